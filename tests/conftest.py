"""What several tests share, and an account of those that were skipped."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

# One thread a test process: nested pools on two cores cost more than they give, and sums stay the same.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# Files of tests need not survive a power failure, and to wait for the disk takes longer than most tests do.
os.fsync = lambda descriptor: None

# Its thread would forbid forks to all later tests of the process.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Shells start background jobs with this signal ignored, and so would be the commands that tests interrupt.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

REPOSITORY = Path(__file__).resolve().parent.parent
os.environ["PYTHONPATH"] = str(REPOSITORY)  # a process that a test starts elsewhere runs this checkout too

# Not left in the environment, where variables of this prefix are settings of the command line.
RECORDINGS = Path(os.environ.pop("EAVCTL_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
MUST_HAVE_RECORDINGS = os.environ.pop("EAVCTL_REQUIRE_DATA", "") == "1"
NO_RECORDINGS = f"no recordings in {RECORDINGS}: set EAVCTL_TEST_DATA"


def lack(what: str) -> NoReturn:
    """Skip a test for want of something, or let it fail, with ``EAVCTL_REQUIRE_DATA=1``."""
    if MUST_HAVE_RECORDINGS:
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Where real recordings are looked for, whether there are some or not."""
    return RECORDINGS


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings beside the checkout, or that of ``EAVCTL_TEST_DATA``.

    Where there is none the test is skipped, or, with ``EAVCTL_REQUIRE_DATA=1``, an error.
    """
    if not RECORDINGS.is_dir():
        lack(NO_RECORDINGS)
    return RECORDINGS


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser that tests of pages drive; without it they are skipped."""
    path = shutil.which("chromium")
    if path is None:  # no package of Python's, so no machine has it by `make install`
        pytest.skip("no chromium")
    if find_spec("playwright") is None:
        lack("no playwright, which drives chromium")
    return path


@pytest.fixture(scope="session")
def lsl() -> Any:
    """The module ``pylsl``; where it is missing the test is skipped, or an error as for `shared_data`.

    Where the machine's network carries no stream to itself, the test is skipped.
    """
    try:
        import pylsl
    except (ImportError, RuntimeError) as error:
        lack(f"no Lab Streaming Layer: {error}")
    from eavctl.live.lsl_library import quieten_lsl

    quieten_lsl(pylsl)
    name = f"eavctl-probe-{os.getpid()}"
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(name, "EEG", 1, 100.0))
    found = pylsl.resolve_byprop("name", name, timeout=10.0)
    del outlet
    if not found:
        pytest.skip("no loopback of the Lab Streaming Layer")
    return pylsl


@pytest.fixture(scope="session")
def model_meta() -> Callable[..., dict[str, Any]]:
    """Makes what a model file must say of itself, of a kind, with other facts."""

    def make(kind: str, **facts: Any) -> dict[str, Any]:
        shared = {"kind": kind, "training_hash": "ff", "versions": {}, "protocol": {"name": "group-kfold"}}
        if kind in ("fuse", "fusion"):
            return {**shared, "streams": [], **facts}
        features = {"modality": "audio", "features": "functionals", "features_version": 1}
        return {**shared, **features, "settings": {}, "rate": 16000, "features_hash": "aa", **facts}

    return make


@pytest.fixture(scope="session")
def few_settings() -> Callable[[], AbstractContextManager[None]]:
    """A context in which support vector machines try two settings instead of twelve.

    It is for tests of what surrounds a machine; `eavctl.classifiers.svm` is tested with all of them.
    """

    @contextlib.contextmanager
    def few() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("eavctl.classifiers.svm.C_GRID", (1.0, 4.0))
            patch.setattr("eavctl.classifiers.svm.GAMMA_GRID", (0.1,))
            yield

    return few


@pytest.fixture(scope="session")
def dask_cluster() -> Iterator[Any]:
    """Two Dask workers, in a working folder that is not the tests'; one that dies is started again.

    Where Dask is missing the test is skipped, or an error as for `shared_data`.
    """
    if find_spec("distributed") is None:
        lack("no Dask")
    from distributed import LocalCluster

    options = {"dashboard_address": "127.0.0.1:0", "silence_logs": 100}
    with LocalCluster(n_workers=2, threads_per_worker=1, **options) as cluster:
        yield cluster


WHISPER = {
    "model_type": "whisper",
    "d_model": 16,
    "encoder_layers": 3,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "max_source_positions": 50,
    "num_mel_bins": 20,
    "activation_function": "gelu",
}


@pytest.fixture(scope="session")
def write_whisper() -> Callable[..., Path]:
    """Writes a tiny checkpoint of Whisper's encoder with random weights, as transformers does, without it.

    ``write_whisper(folder, seed=0, preprocessor={}, **config)`` returns the folder.
    """

    from safetensors.numpy import save_file

    def write(folder: Path, seed: int = 0, preprocessor: Any = None, **config: Any) -> Path:
        about, rng = {**WHISPER, **config}, np.random.default_rng(seed)
        width, inner = about["d_model"], about["encoder_ffn_dim"]
        shapes = {
            "conv1.weight": (width, about["num_mel_bins"], 3),
            "conv1.bias": (width,),
            "conv2.weight": (width, width, 3),
            "conv2.bias": (width,),
            "embed_positions.weight": (about["max_source_positions"], width),
            "layer_norm.weight": (width,),
            "layer_norm.bias": (width,),
        }
        for block in (f"layers.{i}" for i in range(about["encoder_layers"])):
            for part in ("q", "k", "v", "out"):
                shapes[f"{block}.self_attn.{part}_proj.weight"] = (width, width)
            for part in ("q", "v", "out"):
                shapes[f"{block}.self_attn.{part}_proj.bias"] = (width,)
            for norm in ("self_attn_layer_norm", "final_layer_norm"):
                shapes |= {f"{block}.{norm}.{part}": (width,) for part in ("weight", "bias")}
            shapes |= {f"{block}.fc1.weight": (inner, width), f"{block}.fc1.bias": (inner,)}
            shapes |= {f"{block}.fc2.weight": (width, inner), f"{block}.fc2.bias": (width,)}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(about))
        if preprocessor is not None:
            (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
        tensors = {name: rng.normal(scale=0.3, size=shape) for name, shape in shapes.items()}
        tensors = {name: values.astype(np.float32) for name, values in tensors.items()}
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return folder

    return write


@pytest.fixture
def tiny_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers pretraining methods: ``tiny``, and ``tiny-collapse``, whose embedding becomes constant."""
    import torch
    import torch.nn.functional as F  # noqa: N812
    from torch import nn

    from eavctl import registry
    from eavctl.pretraining.base import Method

    class Tiny(Method):
        """Views of a row are nearer each other than those of other rows, after a head."""

        def __init__(self, encoder: Any, *, temperature: float = 0.5) -> None:
            super().__init__(encoder)
            self.temperature = temperature
            self.head = nn.Linear(encoder.embedding_dim, 8)
            self.register_buffer("steps", torch.zeros(()))

        def loss(self, views: Any) -> Any:
            one, other = (F.normalize(self.head(self.encoder(view))) for view in views)
            return F.cross_entropy(one @ other.T / self.temperature, torch.arange(len(one)))

        def after_step(self) -> None:
            super().after_step()
            self.steps += 1

        def constant_rate(self) -> Any:
            return self.head.parameters()

    class Collapsing(Tiny):
        def after_step(self) -> None:
            super().after_step()
            with torch.no_grad():
                for weights in self.encoder.parameters():  # type: ignore[attr-defined]
                    weights.zero_()

    for name, method in (("tiny", Tiny), ("tiny-collapse", Collapsing)):
        facts = {"defaults": {"epochs": 6, "batch": 16, "lr": 1e-2}}
        entry = registry.Entry("pretraining methods", name, method, facts)
        monkeypatch.setitem(registry._entries["pretraining methods"], name, entry)


class Bucket:
    """Files of a remote file system that lives in this process, and what was asked of it.

    Attributes
    ----------
    url : of its topmost folder.
    fetched : keys of the files that were copied to this machine, in order.
    broken_after : copies after which the network is gone; None for never.
    is_read_only : whether writing is refused.
    """

    def __init__(self, name: str) -> None:
        self.url, self.fetched, self.broken_after, self.is_read_only = f"bucket://{name}", [], None, False

    def put(self, folder: Path) -> str:
        """Copy a local folder, with links followed; its URL."""
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            self.write(f"{folder.name}/{path.relative_to(folder)}", path.read_bytes())
        return f"{self.url}/{folder.name}"

    def write(self, key: str, content: bytes) -> str:
        """Write a file; its URL."""
        from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

        path = f"/{self.url.partition('://')[2]}/{key}"  # a key is a text, whatever paths it looks like
        MemoryFileSystem.store[path] = MemoryFile(None, path, content)
        return f"{self.url}/{key}"

    def remove(self, key: str) -> None:
        """Remove a file."""
        from fsspec.implementations.memory import MemoryFileSystem

        del MemoryFileSystem.store[f"/{self.url.partition('://')[2]}/{key}"]

    def read(self, key: str) -> bytes:
        """The content of a file."""
        from fsspec.implementations.memory import MemoryFileSystem

        return bytes(MemoryFileSystem.store[f"/{self.url.partition('://')[2]}/{key}"].getvalue())


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """An empty bucket of this process, whose network can fail."""
    fsspec = pytest.importorskip("fsspec")
    from fsspec.implementations.memory import MemoryFileSystem

    here = tmp_path_factory.mktemp("bucket")
    made = Bucket(here.name)

    class Buckets(MemoryFileSystem):  # type: ignore[misc]
        protocol = ("bucket",)
        cachable = False

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return str(MemoryFileSystem._strip_protocol(path.replace("bucket://", "memory://", 1)))

        def get_file(self, rpath: str, lpath: str, **options: Any) -> None:
            if made.broken_after is not None and len(made.fetched) >= made.broken_after:
                raise ConnectionError("the network is gone")
            made.fetched.append(rpath.removeprefix(f"/{here.name}/"))
            super().get_file(rpath, lpath, **options)

        def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
            if made.is_read_only and "r" not in mode:
                raise PermissionError("Access Denied")
            return super().open(path, mode, **options)

    fsspec.register_implementation("bucket", Buckets, clobber=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(here))
    yield made
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests last that leave threads in the process: after them, no test can have forks as workers."""

    def leaves_threads(item: pytest.Item) -> bool:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        return item.get_closest_marker("threads") is not None or parameters.get("executor") == "dask"

    items.sort(key=leaves_threads)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the skipped tests by their reasons, those without recordings first."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped)
    without = reasons.pop(NO_RECORDINGS, 0)
    if without:
        terminalreporter.write_line(f"{without} tests skipped for want of recordings in {RECORDINGS}")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} tests skipped: {reason}")


@pytest.fixture(scope="session")
def write_encoder(model_meta) -> Callable[..., Path]:
    """Writes a file of `eavctl pretrain` with encoders ``mlp`` of random weights.

    ``write_encoder(path, {"": (recipe, shape)}, seed=0, **meta)`` returns the path; the keys are names of
    streams, "" for an encoder of one table.
    """
    import torch

    from eavctl.pretraining.encoder_model import EncoderModel, StreamEncoder
    from eavctl.storage import artifacts

    def write(path: Path, streams: Any, seed: int = 0, **meta: Any) -> Path:
        torch.manual_seed(seed)
        designs = [
            StreamEncoder(name, "mlp", {"units": 6, "dropout": 0}, shape, ("mean", "std"))
            for name, (_, shape) in streams.items()
        ]
        encoders = [design.build() for design in designs]
        for encoder in encoders:
            encoder.fit_input(torch.randn(20, *encoder.mean.shape))
        about = [{**recipe.meta(), "shape": list(shape)} for recipe, shape in streams.values()]
        named = [{"name": name, "encoder": "mlp", **each} for name, each in zip(streams, about, strict=True)]
        facts = about[0] if "" in streams else {"streams": named}
        known = {"trained_on": {}, "pretraining": {}, **meta}
        base = {key: value for key, value in model_meta("encoder").items() if key not in about[0]}
        artifacts.save(path, EncoderModel(designs, encoders), {**base, **facts, **known})
        return path

    return write

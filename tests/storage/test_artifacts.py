"""Model files: what is written comes back, and what a stranger wrote runs no code."""

import io
import os
import pickle
import subprocess
import sys
import zlib

import joblib
import numpy as np
import pandas as pd
import pytest
import torch

from eavctl.errors import DataError, SettingsError, UsageError
from eavctl.storage import artifacts, ownership, pickled
from eavctl.storage.metadata import FeatureMeta


class Attack:
    """Unpickled by a trusting reader, this makes a file; the reader here must not."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


class Tiny:
    """A predictor as small as one can be."""

    def __init__(self, arrays=None):
        rng = np.random.default_rng(0)
        self.arrays = arrays or {
            "w": rng.normal(size=(2, 3)).T,
            "empty": np.zeros((0, 2), np.float32),
            "n": np.array(3),
        }
        self.classes_ = np.array(["a", "b"])

    def to_arrays(self):
        return self.arrays

    def to_meta(self):
        return {"classes": ["a", "b"]}

    @classmethod
    def from_parts(cls, arrays, meta):
        return cls(arrays)


@pytest.fixture(params=["plain", "compressed"])
def _tiny(monkeypatch, request):
    monkeypatch.setitem(artifacts.PREDICTORS, "tiny", "test_artifacts:Tiny")
    monkeypatch.setattr(artifacts, "COMPRESSED_KINDS", {"tiny"} if request.param == "compressed" else set())


@pytest.fixture
def meta(model_meta):
    return model_meta("tiny")


@pytest.mark.usefixtures("_tiny")
def test_arrays_come_back_and_joblib_reads_the_same(tmp_path, meta):
    path = tmp_path / "m.joblib"
    artifacts.save(path, Tiny(), meta)
    loaded = artifacts.load(path)
    plain = joblib.load(path)
    for name, array in Tiny().arrays.items():
        assert np.array_equal(loaded.predictor.arrays[name], array)
        assert np.array_equal(plain["arrays"][name], array)
        assert loaded.predictor.arrays[name].shape == array.shape
    assert loaded.meta.features.features == plain["meta"]["features"] == "functionals"
    assert (
        path.read_bytes()
        == (artifacts.save(tmp_path / "n.joblib", Tiny(), meta), (tmp_path / "n.joblib").read_bytes())[1]
    )


@pytest.mark.parametrize("dump", [pickle.dump, joblib.dump, torch.save])
def test_a_foreign_file_runs_no_code(tmp_path, dump):
    path, mark = tmp_path / "evil.joblib", tmp_path / "attacked"
    content = {"meta": {"format": artifacts.FORMAT}, "arrays": Attack(mark), "state_dict": Attack(mark)}
    if dump is joblib.dump:
        dump(content, path)
    else:
        with open(path, "wb") as handle:
            dump(content, handle)
    with pytest.raises(DataError, match="refused"):
        artifacts.load(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "name", ["numpy dtype", "numpy._core.numeric _frombuffer", "numpy.core.numeric _frombuffer"]
)
@pytest.mark.parametrize(
    "state",
    [
        b"(X\x0c\x00\x00\x00__defaults__X\x01\x00\x00\x00ad",
        b"N(X\x0c\x00\x00\x00__defaults__X\x01\x00\x00\x00ad\x86",
        b"N(X\x05\x00\x00\x00dtypeX\x01\x00\x00\x00ad\x86",
    ],
)
def test_a_file_leaves_no_state_behind(tmp_path, name, state):
    """A dict, or slots, set on what builds arrays: both stayed set for every model read afterwards."""
    before = vars(pickled).copy()
    module, what = name.split()
    path = tmp_path / "m.joblib"
    path.write_bytes(b"\x80\x04c" + f"{module}\n{what}\n".encode() + state + b"b.")
    with pytest.raises(DataError):
        artifacts.load(path)
    assert vars(pickled) == before
    made = pickled.STAND_INS[module, what]
    assert not hasattr(made(), "__dict__")
    assert "__defaults__" not in vars(made)


@pytest.mark.usefixtures("_tiny")
def test_damage_is_never_silent(tmp_path, meta):
    path = tmp_path / "m.joblib"
    artifacts.save(path, Tiny(), meta)
    whole, known = path.read_bytes(), artifacts.load(path).meta
    rng = np.random.default_rng(5)
    for at in rng.choice(len(whole), min(len(whole), 300), replace=False):
        changed = bytearray(whole)
        changed[at] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        try:
            model = artifacts.load(path)
        except DataError:
            continue
        assert model.meta == known
        for name, array in Tiny().arrays.items():
            assert np.array_equal(model.predictor.arrays[name], array)


@pytest.mark.usefixtures("_tiny")
def test_files_are_recognised_as_models(tmp_path, meta):
    path = tmp_path / "m.joblib"
    artifacts.save(path, Tiny(), meta)
    assert ownership.kind_of(path) == "model"
    path.write_bytes(zlib.compress(b"something else" * 100))
    assert ownership.kind_of(path) is None


def test_a_small_file_cannot_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(pickled, "MOST_BYTES", 1 << 16)
    path = tmp_path / "m.joblib"
    path.write_bytes(zlib.compress(bytes(1 << 20)))
    with pytest.raises(DataError, match="larger than any model"):
        artifacts.load(path)


@pytest.mark.parametrize("place", [b"p4294967295\n", b"r\xff\xff\xff\x7f"])
def test_a_small_pickle_takes_little_memory(tmp_path, place):
    """Python's unpickler makes room for as many objects as the place in its memo says."""
    path = tmp_path / "m.joblib"
    path.write_bytes(b"\x80\x05}" + place + b".")
    script = (
        "import resource, sys\n"
        "from eavctl.storage import artifacts\n"
        "limit = 8 << 30\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    artifacts.load(sys.argv[1])\n"
        "except artifacts.DataError as error:\n"
        "    print(error, file=sys.stderr)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, check=True, timeout=60
    )
    assert "m.joblib" in done.stderr
    assert int(done.stdout) < 50_000  # KB


def test_pickles_of_plain_values_are_read_whole():
    whole = {"a": [1, 2.5, "text", None, True, b"bytes", 10**40, (1, 2), "\n" * 300], "b": {"c": -7}}
    for protocol in (3, 4, 5):
        content = pickle.dumps(whole, protocol=protocol)
        assert pickled.loaded(io.BytesIO(content), is_compressed=False) == whole


@pytest.mark.usefixtures("_tiny")
def test_models_without_a_checksum_are_still_read(tmp_path, meta):
    path = tmp_path / "m.joblib"
    artifacts.save(path, Tiny(), meta)
    parts = joblib.load(path)
    del parts["checksum"]
    parts["meta"]["format_version"] = 1
    path.write_bytes(pickle.dumps(parts, protocol=5))
    assert artifacts.load(path).meta.features.features == "functionals"


@pytest.mark.usefixtures("_tiny")
def test_a_model_can_come_from_stdin(tmp_path, monkeypatch, meta):
    path = tmp_path / "m.joblib"
    artifacts.save(path, Tiny(), meta)
    with open(path) as handle:
        monkeypatch.setattr("sys.stdin", handle)
        assert artifacts.load("-").meta == artifacts.load(path).meta


def test_an_error_about_a_table_given_as_a_model_names_its_kind(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet: this is .*Parquet.*; a model"):
        artifacts.load(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="folder"):
        artifacts.load(tmp_path)


def test_a_network_without_torch_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "m.pt"
    torch.save({"meta": {"format": artifacts.FORMAT}}, path)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(DataError, match="pip install torch"):
        artifacts.load(path)


def test_object_arrays_are_refused(tmp_path):
    path = tmp_path / "m.joblib"
    path.write_bytes(
        pickle.dumps({"meta": {}, "arrays": {"a": np.array([None, {}], dtype=object)}}, protocol=5)
    )
    with pytest.raises(DataError, match="refused"):
        artifacts.load(path)


@pytest.mark.parametrize(
    "content", [b"", b"not a model", b"\x80\x05", b"PK\x03\x04 broken", pickle.dumps([1, 2])]
)
def test_other_files_are_named_and_refused(tmp_path, content):
    path = tmp_path / "m.joblib"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"m\.joblib"):
        artifacts.load(path)


@pytest.mark.usefixtures("_tiny")
def test_truncated_models_are_refused(tmp_path, meta):
    path = tmp_path / "m.joblib"
    artifacts.save(path, Tiny(), meta)
    whole = path.read_bytes()
    for length in range(1, len(whole), 17):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError):
            artifacts.load(path)


def test_the_ending_must_fit(tmp_path, meta):
    with pytest.raises(UsageError, match=r"\.joblib"):
        artifacts.save(tmp_path / "m.pt", Tiny(), meta)


@pytest.mark.usefixtures("_tiny")
def test_features_of_other_settings_are_refused_and_both_are_named(tmp_path, meta):
    artifacts.save(tmp_path / "m.joblib", Tiny(), meta)
    model = artifacts.load(tmp_path / "m.joblib")
    ours = model.meta.features
    artifacts.require_fit(ours, "m.joblib", ours._replace(rate=None), "same.parquet")
    other = ours._replace(features="seed33", features_hash="bb")
    with pytest.raises(
        SettingsError, match=r"m\.joblib was trained on .*functionals.* f\.parquet has .*seed33"
    ):
        artifacts.require_fit(ours, "m.joblib", other, "f.parquet")


@pytest.mark.usefixtures("_tiny")
@pytest.mark.parametrize("key", ["training_hash", "protocol", "versions", "modality", "features_hash"])
def test_a_model_that_lacks_a_key_is_named_with_the_key(tmp_path, meta, key):
    del meta[key]
    artifacts.save(tmp_path / "m.joblib", Tiny(), meta)
    for read in (artifacts.load, artifacts.read_meta):
        with pytest.raises(DataError, match=rf"m\.joblib.*{key}"):
            read(tmp_path / "m.joblib")


FEATURES = {
    "modality": "audio",
    "features": "a",
    "features_version": 3,
    "settings": {"a": "b"},
    "features_hash": "a",
    "rate": 3,
    "units": "V",
    "segment": {"seconds": 1.5, "hop": 1},
    "epoch": [-0.5, 4],
    "shape": [1],
    "columns": ["a"],
    "normalized": {"a": "b"},
    "speech": True,
}
WRONG = [
    (name, value)
    for name, right in FEATURES.items()
    for value in (3, "a", {"a": "b"}, [[1]])
    if not isinstance(value, type(right))
]


MORE = [
    ("segment", {"hop": "a"}),
    ("columns", [1]),
    ("epoch", [1]),
    ("epoch", [1, 2, 3]),
    ("epoch", ["a", 1]),
]


@pytest.mark.usefixtures("_tiny")
@pytest.mark.parametrize(("name", "value"), [*WRONG, *MORE])
def test_features_with_a_value_of_a_wrong_type_are_damage(tmp_path, meta, name, value):
    assert tuple(FEATURES) == FeatureMeta._fields
    path = tmp_path / "m.joblib"
    artifacts.save(path, Tiny(), {**meta, **FEATURES})
    artifacts.read_meta(path)
    artifacts.save(path, Tiny(), {**meta, **FEATURES, name: value})
    with pytest.raises(DataError, match=name):
        artifacts.read_meta(path)

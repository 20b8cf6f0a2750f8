"""Settings are checked by the annotations of what takes them, for all that is registered."""

from __future__ import annotations

import contextlib
import inspect
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eavctl import registry
from eavctl.augmentations.kind import Kind
from eavctl.classifiers.network import build_network
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import DataError, EavctlError, UsageError
from eavctl.extraction.open_recording import Signal
from eavctl.extraction.recipe import Recipe
from eavctl.settings import Within, checked
from eavctl.storage import artifacts
from eavctl.storage.metadata import FeatureMeta

KINDS = ("features", "encoders", "augmentations", "fusion networks")
REGISTERED = [(kind, name) for kind in KINDS for name in registry.names(kind)]
SETTINGS = [(kind, name, each) for kind, name in REGISTERED for each in registry.get(kind, name).settings]
HOSTILE = [
    *("abc", "", "1,2", "a,,b"),
    *(0, -3, 10**9, 10**400, 0.5, 1e300, math.nan, math.inf, -math.inf),
    *([], {}, [[]], ["a", 1], [0, 0], [-1, 10**9], True, None),
]
CHANNELS = ["F3", "F4"]
SMALL: dict[str, dict[str, Any]] = {
    "eeg": {"channels": CHANNELS},
    "video": {"n_frames": 2, "crop": "frame"},
    "audio": {"n_frames": 8},
}
WEIGHTS: list[Path] = []  # the folder of a tiny checkpoint, and the file of a tiny encoder


@pytest.fixture(scope="module", autouse=True)
def _weights(
    tmp_path_factory: pytest.TempPathFactory,
    write_whisper: Callable[..., Path],
    write_encoder: Callable[..., Path],
) -> None:
    WEIGHTS.append(write_whisper(tmp_path_factory.mktemp("whisper")))
    seed33 = Recipe("seed33")
    streams = {"": (seed33, (len(seed33.columns or ()),))}
    WEIGHTS.append(write_encoder(tmp_path_factory.mktemp("encoder") / "encoder.pt", streams))


class Frames:
    """Stands in for a stretch of video."""

    def frames(self, n: int) -> list[np.ndarray]:
        return [np.full((60, 80, 3), 100, np.uint8)] * n


def describe(name: str, settings: dict[str, Any]) -> None:
    """Compute a feature set on a second of something."""
    entry = registry.get("features", name)
    modality = entry.facts["modality"] or "audio"  # that of the encoder, of embeddings
    known = {key: value for key, value in SMALL[modality].items() if key in entry.settings}
    recipe = Recipe(name, known | settings)
    recipe = recipe.with_weights(*WEIGHTS) if recipe.needs_weights else recipe
    noise = np.random.default_rng(0).normal(size=(2, 500))
    if modality == "eeg":
        with recipe.open(Signal(10 * noise, 250.0, CHANNELS)) as stretch_of:
            stretch = stretch_of()
            recipe.compute(stretch.cut(0.0, stretch.duration), stretch.rate)
        return
    signals = {"audio": noise[0].repeat(40).astype(np.float32), "video": Frames()}
    recipe.compute(signals[modality], recipe.rate or 250)


def embed(name: str, settings: dict[str, Any]) -> None:
    """Build an encoder and train one step of it on two rows."""
    entry = registry.get("encoders", name)
    shape, example = entry.facts["example_shape"], entry.facts.get("example_settings", {})
    encoder = entry.build(shape, **example | settings)
    x = torch.rand(2, *shape)
    encoder.fit_input(x)
    loss = encoder.train()(encoder.augment(x, torch.Generator().manual_seed(0))).square().sum()
    loss.backward()
    assert torch.isfinite(loss)


def fuse(name: str, settings: dict[str, Any]) -> None:
    """Build a fusion network on two small encoders."""
    encoder = registry.get("encoders", "shallow-transformer")
    streams = [encoder.build((3, 64), filters=4, kernel=5, layers=2, heads=2) for _ in range(2)]
    registry.get("fusion networks", name).build(streams, [False, False], 3, **settings)


def alter(name: str, settings: dict[str, Any]) -> None:
    """Augment two small rows."""
    entry = registry.get("augmentations", name)
    kind = Kind(entry.facts["of"][0], decibels=1.0, sfreq=100.0)
    x = torch.rand((2, 1, 3, 8, 8) if kind.name == "images" else (2, 8, 64))
    found = entry.build(x, torch.Generator().manual_seed(0), kind, **settings)
    assert found.isfinite().all()


USE = {"features": describe, "encoders": embed, "augmentations": alter, "fusion networks": fuse}


@pytest.mark.parametrize(("kind", "name", "setting"), SETTINGS)
def test_a_hostile_value_is_refused_or_works(kind: str, name: str, setting: str) -> None:
    entry = registry.get(kind, name)
    assert entry.settings[setting].annotation is not inspect.Parameter.empty
    with pytest.raises(UsageError, match=setting):
        entry.with_defaults({setting: object()})
    for value in HOSTILE:
        try:
            entry.with_defaults({setting: value})
        except UsageError:
            continue
        with contextlib.suppress(EavctlError):
            USE[kind](name, {setting: value})


@pytest.mark.parametrize(("kind", "name", "setting"), SETTINGS)
def test_what_the_bounds_allow_works_or_is_refused_in_words(kind: str, name: str, setting: str) -> None:
    entry = registry.get(kind, name)
    bounds = [fact for fact in _facts(entry.settings[setting].annotation) if isinstance(fact, Within)]
    for value in [each.least for each in bounds]:
        with contextlib.suppress(EavctlError):
            USE[kind](name, {setting: value})
    for value in [each.most for each in bounds if kind != "features"]:
        with torch.device("meta"), contextlib.suppress(EavctlError):  # nothing is allocated
            entry.with_defaults({setting: value})
            if kind == "encoders":
                entry.build(entry.facts["example_shape"], **{setting: value})


def _facts(annotation: Any) -> list[Any]:
    parts = list(getattr(annotation, "__metadata__", ()))
    return parts + [fact for part in getattr(annotation, "__args__", ()) for fact in _facts(part)]


@pytest.mark.parametrize(("kind", "name"), REGISTERED)
def test_defaults_are_values_that_the_settings_take(kind: str, name: str) -> None:
    entry = registry.get(kind, name)
    defaults = entry.with_defaults({})
    given = json.loads(json.dumps(defaults))
    assert json.dumps(entry.with_defaults(given)) == json.dumps(defaults)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("C3,C4", ["C3", "C4"]),
        ("C3", ["C3"]),
        (" C3 , C4 ", ["C3", "C4"]),
        ("1,2", ["1", "2"]),
        (["C3", "C4"], ["C3", "C4"]),
        (("C3",), ["C3"]),
        (None, None),
    ],
)
def test_channels_are_names_and_never_letters(value: Any, expected: Any) -> None:
    assert Recipe("eeg-bands", {"channels": value}).settings["channels"] == expected
    assert Recipe("eeg-epochs", {"channels": value}).settings["channels"] == expected


def test_a_list_of_numbers_is_written_with_commas_too() -> None:
    assert registry.get("encoders", "cnn-lstm").with_defaults({"channels": "8,16"})["channels"] == [8, 16]


@pytest.mark.parametrize(("one", "other"), [(45, 45.0), (40, 40.0)])
def test_a_number_is_one_setting_however_it_is_written(one: float, other: float) -> None:
    hashes = {Recipe("eeg-epochs", {"high": high}).meta()["features_hash"] for high in (one, other)}
    assert len(hashes) == 1
    default = Recipe("eeg-epochs").meta()["features_hash"]
    assert (default in hashes) == (one == 45)


def test_features_of_a_file_that_wrote_a_number_otherwise_are_the_same() -> None:
    meta = Recipe("eeg-epochs", {"high": 40}).meta()
    written = {**meta, "settings": {**meta["settings"], "high": 40.0}}
    assert Recipe.from_meta(FeatureMeta.from_json(written, "m.pt")) == Recipe("eeg-epochs", {"high": 40})


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (int, [3, -3], [True, 3.0, "3", None, math.nan]),
        (float, [3, 0.5], [True, "0.5", math.nan, math.inf, 10**400, None]),
        (bool, [True, False], [0, 1, "true", None]),
        (str, ["a"], ["", 3, None, ["a"]]),
        (Literal["a", "b"], ["a", "b"], ["c", "", 3, ["a"]]),
        (Annotated[int, Within(1, 3)], [1, 3], [0, 4, True, 2.0]),
        (Annotated[float, Within(0, 1)] | None, [0, 1, 0.5, None], [-1e-9, 1.1, math.nan, ""]),
        (Sequence[str], [["a"]], [[], [""], [1], {"a": 1}, 3, "a,,b"]),
        (tuple[int, int], [[1, 2]], [[1], [1, 2, 3], [1, "a"], "1", "1,x"]),
    ],
)
def test_a_value_is_of_its_annotation_or_refused(annotation: Any, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert checked("test", "it", value, annotation) == value
    for value in bad:
        with pytest.raises(UsageError, match="test: it must be"):
            checked("test", "it", value, annotation)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


@settings(max_examples=60)
@given(JSON)
def test_any_json_is_taken_or_refused(value: Any) -> None:
    for annotation in (Annotated[float, Within(-1, 1)], Sequence[str] | None, tuple[int, int], Literal["a"]):
        try:
            found = checked("test", "it", value, annotation)
        except UsageError:
            continue
        json.dumps(found, allow_nan=False)


def test_contradictory_settings_are_refused_before_a_recording_is_opened() -> None:
    for name, wrong in (
        ("eeg-epochs", {"low": 20, "high": 10}),
        ("eeg-epochs", {"high": 60}),
        ("eeg-bands", {"low": 4}),
        ("eeg-bands", {"channels": "C3,C4,C3"}),
    ):
        with pytest.raises(UsageError):
            Recipe(name, wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"lr": math.nan}, {"lr": math.inf}, {"dropout": 7}, {"members": 10**9}, {"epochs": 1.5}, {"batch": "8"},
     {"seed": 2**32}, {"device": "tpu"}, {"clip": math.nan}, {"ema": math.nan}],
)  # fmt: skip
def test_an_invalid_training_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        TrainSettings(**wrong)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, 0, -1, 1e-7, 1e9, "2"])
def test_segments_and_hops_have_bounds(wrong: Any) -> None:
    for cutting in ({"segment": wrong}, {"segment": 1.0, "hop": wrong}):
        with pytest.raises(UsageError):
            Recipe("functionals", {}, **cutting)


def test_a_model_file_of_impossible_settings_builds_nothing(tmp_path) -> None:
    model = {
        "encoder": "eegnet",
        "encoder_settings": {"f1": 10**9},
        "shape": [4, 64],
        "classes": ["a", "b"],
        "dropout": 0.1,
        "temperatures": [1.0],
    }
    with pytest.raises(UsageError, match="f1"):
        build_network(model)
    meta = {"format": artifacts.FORMAT, "format_version": artifacts.FORMAT_VERSION, "kind": "dnn"}
    torch.save({"meta": {**meta, "model": model}, "state_dict": {}}, tmp_path / "m.pt")
    with pytest.raises(DataError, match=r"m\.pt"):
        artifacts.load(tmp_path / "m.pt")


def test_a_file_of_impossible_feature_settings_is_bad_data() -> None:
    meta = Recipe("logmel").meta()
    for wrong in (
        {"settings": {**meta["settings"], "n_mels": 10**9}},
        {"segment": {"seconds": "long", "hop": None}},
        {"features": "unheard-of"},
    ):
        with pytest.raises(DataError):
            Recipe.from_meta(FeatureMeta.from_json({**meta, **wrong}, "m.pt"))

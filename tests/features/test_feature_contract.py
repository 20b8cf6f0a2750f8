"""What every registered feature set promises, whatever its modality."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from eavctl import registry
from eavctl.errors import SignalError
from eavctl.extraction.recipe import Recipe
from eavctl.storage.metadata import FeatureMeta

SETS = registry.names("features")
CHANNELS = ["F3", "F4", "Cz"]
WEIGHTS = []  # the folder of a tiny checkpoint, and the file of a tiny encoder, for sets that need one


@dataclass(frozen=True)
class Clip:
    """Stands in for a stretch of video: gives frames that are asked for."""

    seconds: float
    bright: float = 1.0

    def frames(self, n):
        rng = np.random.default_rng(0)
        for i in range(n):
            frame = rng.integers(0, 120, (120, 160, 3)) + 2 * i * self.seconds
            yield (self.bright * frame).astype(np.uint8)


def voice(rate, seconds):
    time = np.arange(int(rate * seconds)) / rate
    noise = np.random.default_rng(0).normal(scale=0.01, size=len(time))
    return (0.3 * np.sign(np.sin(2 * np.pi * 140 * time)) * np.sin(2 * np.pi * 3 * time) + noise).astype(
        np.float32
    )


def brain(rate, seconds):
    return 10 * np.random.default_rng(0).normal(size=(len(CHANNELS), int(rate * seconds)))


@pytest.fixture(scope="module", autouse=True)
def _weights(tmp_path_factory, write_whisper, write_encoder):
    WEIGHTS.append(write_whisper(tmp_path_factory.mktemp("whisper")))
    seed33 = Recipe("seed33")
    streams = {"": (seed33, (len(seed33.columns),))}
    WEIGHTS.append(write_encoder(tmp_path_factory.mktemp("encoder") / "encoder.pt", streams))


def recipe(name):
    known = Recipe(name).settings
    given = {"channels": CHANNELS, "crop": "frame"}
    found = Recipe(name, {key: value for key, value in given.items() if key in known})
    return found.with_weights(*WEIGHTS) if found.needs_weights else found


def signal_of(name, seconds):
    """A signal of the set's modality, and its rate."""
    chosen = recipe(name)
    if chosen.modality == "audio":
        rate = chosen.rate or 22050
        return voice(rate, seconds), rate
    if chosen.modality == "eeg":
        return brain(chosen.base.settings["rate"], seconds), chosen.base.settings["rate"]
    return Clip(seconds), 30.0


def described(name, seconds=1.5):
    chosen = recipe(name)
    signal, rate = signal_of(name, seconds)
    found = chosen.compute(signal, rate)
    return found[0] if isinstance(found, tuple) else found


@pytest.mark.parametrize("name", SETS)
def test_facts_are_complete_and_settings_are_plain(name):
    meta = recipe(name).meta()
    assert json.loads(json.dumps(meta)) == meta
    assert meta["modality"] in ("eeg", "audio", "video")
    assert meta["features_version"] >= 1
    assert meta["units"]
    assert Recipe.from_meta(FeatureMeta.from_json(meta, "t.parquet")) == recipe(name)


@pytest.mark.parametrize("name", SETS)
def test_settings_younger_than_the_set_change_its_identity_only_where_they_are_set(name):
    added = registry.get("features", name).facts.get("added", {})
    assert added.items() <= Recipe(name).settings.items()
    assert not added.keys() & recipe(name).identity()["settings"].keys()


@pytest.mark.parametrize(
    ("name", "hash_"),
    [
        ("eeg-epochs", "48507a807296fb0402398347260d96f4"),
        ("eeg-bands", "4242145ad192162cd9cc33ae3b608410"),
    ],
)
def test_tables_of_eeg_older_than_the_phase_still_fit(name, hash_):
    """The hashes are those of version 0.8."""
    meta = Recipe(name).meta()
    assert meta["features_hash"] == hash_ != Recipe(name, {"filter": "causal"}).meta()["features_hash"]
    assert "filter" not in meta["settings"]
    found = Recipe.from_meta(FeatureMeta.from_json(meta, "t.parquet"))
    assert found.settings["filter"] == "zero"


NEEDS_A_FACE = ("face-stats", "face-encoder")
PLAIN = [name for name in SETS if name not in NEEDS_A_FACE]


@pytest.mark.parametrize("name", PLAIN)
def test_float_tensors_say_where_their_bands_are_and_what_pads(name):
    """So that they can be standardised by speaker."""
    entry, settings = registry.get("features", name), recipe(name).settings
    if entry.facts["columns"] is not None or entry.facts.get("dtype", "float32") != "float32":
        assert "band_axis" not in entry.facts
        assert "padding" not in entry.facts
        return
    x = described(name, 0.8)
    axis = entry.facts["band_axis"]
    n_bands = settings["n_mels"] if "n_mels" in settings else len(CHANNELS)
    assert axis in (0, 1)
    assert x.ndim == 2
    assert x.shape[axis] == n_bands
    last = np.take(x, -1, axis=1 - axis)
    if "n_frames" in settings:
        assert x.shape[1 - axis] == settings["n_frames"]
        assert (last == entry.facts["padding"]).all()
        assert (np.take(x, 0, axis=1 - axis) != entry.facts["padding"]).any()
    else:
        assert entry.facts.get("padding") is None
        assert not (last == last[0]).all()


@pytest.mark.parametrize("name", PLAIN)
def test_pure_finite_and_as_many_as_named(name):
    signal, _ = signal_of(name, 1.5)
    kept = np.copy(signal) if isinstance(signal, np.ndarray) else None
    one, other = described(name), described(name)
    assert np.array_equal(one, other)
    assert kept is None or np.array_equal(signal, kept)
    assert one.dtype == np.dtype(registry.get("features", name).facts.get("dtype", "float32"))
    assert np.isfinite(one).all()
    columns = recipe(name).columns
    assert one.ndim > 1 if columns is None else one.shape == (len(columns),)
    assert len(set(columns or ())) == len(columns or ())


@pytest.mark.parametrize("name", [name for name in PLAIN if name != "eeg-epochs"])
def test_the_shape_does_not_depend_on_the_length(name):
    assert described(name, 1.2).shape == described(name, 2.5).shape


@pytest.mark.parametrize(
    "name", [n for n in SETS if registry.get("features", n).facts["modality"] == "audio"]
)
@pytest.mark.parametrize("signal", [np.zeros(30000), np.full(30000, 0.5), np.ones(20)])
def test_sound_that_cannot_be_described_raises_a_signal_error(name, signal):
    entry = registry.get("features", name)
    with pytest.raises(SignalError):
        recipe(name).compute(signal.astype(np.float32), entry.facts["rate"] or 22050)


@pytest.mark.parametrize("name", [n for n in SETS if "face_model" in registry.get("features", n).settings])
def test_pictures_without_a_face_raise_a_signal_error(name):
    with pytest.raises(SignalError, match="no face"):
        registry.get("features", name).thing(Clip(1.0, bright=0.0), 30.0, n_frames=2)

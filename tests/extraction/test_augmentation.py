"""Altered copies in feature tables: reproducible, beside their clip, not in the features' identity."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from eavctl.errors import UsageError
from eavctl.extraction.augmentation import ALTERATIONS, Augmentation, parse
from eavctl.extraction.open_recording import sampled
from eavctl.extraction.recipe import Recipe
from eavctl.stages.extract import extract, plan
from eavctl.storage.tables import FeatureTable, read_features, read_meta

RATE = 16000
RECIPE = Recipe("seed33")  # of signals at any rate, short ones too


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve short sounds of two classes; the names of two begin with a third one's."""
    folder = tmp_path_factory.mktemp("sounds")
    names = [f"c{i:02d}" for i in range(10)] + ["c03 (2)", "c03!"]
    for number, name in enumerate(names):
        place = folder / ("low", "high")[number % 2]
        place.mkdir(exist_ok=True)
        rng = np.random.default_rng(number)
        times = np.arange(int(0.7 * RATE)) / RATE
        sound = 0.2 * np.sin(2 * np.pi * (150, 400)[number % 2] * times) + 0.02 * rng.normal(size=len(times))
        soundfile.write(place / f"{name}.wav", sound, RATE)
    return folder


def table_of(
    data: Path, out: Path, augmentation: Augmentation | None, recipe: Recipe = RECIPE
) -> FeatureTable:
    extract(data, out, recipe, augmentation=augmentation)
    return read_features(out)


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_jobs(data: Path, tmp_path: Path) -> None:
    for jobs in (1, 2):
        out = tmp_path / f"{jobs}.parquet"
        extract(data, out, RECIPE, augmentation=parse("all", 2, 7), jobs=jobs)
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()


def test_copies_do_not_depend_on_other_clips(data: Path, tmp_path: Path) -> None:
    chosen = parse("noise,room,gain", 2, 7)
    everything = table_of(data, tmp_path / "all.parquet", chosen)
    (tmp_path / "part" / "low").mkdir(parents=True)
    (tmp_path / "part" / "high").mkdir()
    for name in ("low/c04.wav", "high/c07.wav"):
        (tmp_path / "part" / name).write_bytes((data / name).read_bytes())
    part = table_of(tmp_path / "part", tmp_path / "part.parquet", chosen)
    rows = {name: x for name, x in zip(everything.keys["sample_id"], everything.x, strict=True)}
    assert len(part) == 6
    for name, x in zip(part.keys["sample_id"], part.x, strict=True):
        assert np.array_equal(x, rows[name])


def test_a_copy_has_the_keys_of_its_clip(data: Path, tmp_path: Path) -> None:
    found = table_of(data, tmp_path / "t.parquet", parse("noise,band", 3, 1))
    keys = found.keys
    is_copy = keys["augment"].notna().to_numpy()
    assert is_copy.sum() == 3 * (~is_copy).sum() == 36
    assert keys["sample_id"].is_monotonic_increasing
    own = keys[~is_copy].set_index("clip_id")
    for _, copy in keys[is_copy].iterrows():
        clip = own.loc[copy["clip_id"]]
        assert copy["sample_id"] == f"{clip['sample_id']}#{copy['augment']}"
        shared = ["recording", "label", "start", "end"]
        assert copy[shared].tolist() == clip[shared].tolist()
    assert len(np.unique(found.x, axis=0)) == len(found)


def test_the_clips_themselves_are_what_they_are_without_copies(data: Path, tmp_path: Path) -> None:
    plain = table_of(data, tmp_path / "plain.parquet", None)
    found = table_of(data, tmp_path / "t.parquet", parse("all", 1, 1))
    own = found.keys["augment"].isna().to_numpy()
    assert np.array_equal(found.x[own], plain.x)
    assert "augment" not in plain.keys
    assert found.keys[own].drop(columns="augment").reset_index(drop=True).equals(plain.keys)
    for name in ("features_hash", "settings", "n_rows", "class_counts", "rejected", "notes"):
        assert found.meta[name] == plain.meta[name]
    assert found.meta["n_copies"] == len(plain)
    assert found.meta["augment"]["alterations"] == list(ALTERATIONS)


def test_other_settings_are_extracted_again_and_equal_ones_are_not(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    runs = [parse("noise", 1, 1), parse("noise", 1, 1), parse("noise", 1, 2), parse("gain", 1, 2), None, None]
    found = [extract(data, out, RECIPE, augmentation=each).up_to_date for each in runs]
    assert found == [False, True, False, False, False, True]
    assert read_meta(out)["augment"] is None


def test_segments_of_a_copy_are_those_of_its_clip(data: Path, tmp_path: Path) -> None:
    """Whatever the tempo: each has the segment's own length."""
    recipe = Recipe("logmel", {"n_frames": 30}, segment=0.3, hop=0.2)
    found = table_of(data, tmp_path / "t.parquet", parse("tempo,room", 2, 1), recipe)
    own = found.keys[found.keys["augment"].isna()]
    for name, copies in found.keys[found.keys["augment"].notna()].groupby(["clip_id", "augment"]):
        clip = own[own["clip_id"] == name[0]]
        assert copies[["start", "end"]].values.tolist() == clip[["start", "end"]].values.tolist()
    assert not found.meta["rejected"]


def test_a_segment_of_a_slower_copy_begins_where_the_same_sound_does() -> None:
    """A click at 1.5 s is in the middle of the segment from 1 to 2 s, at any tempo."""
    signal = np.zeros(3 * RATE, np.float32)
    signal[round(1.5 * RATE)] = 1
    noise = 1e-4 * np.random.default_rng(0).standard_normal(len(signal))
    stretch = sampled("click", (signal + noise).astype(np.float32), RATE)
    for seed in range(4):
        ((_, copy),) = Augmentation(("tempo",), 1, seed).copies_of(stretch, "click", None, None)
        segment = copy.cut(1.0, 2.0)
        assert len(segment) == RATE
        factor = 3.0 / (len(copy.cut(0.0, 3.0)) / RATE)
        assert factor != 1
        assert np.abs(segment).argmax() / RATE == pytest.approx(0.5 / factor, abs=0.02)


def test_chains_have_the_order_in_which_things_happen_to_a_voice() -> None:
    stretch = sampled("tone", np.sin(np.arange(RATE // 4)).astype(np.float32), RATE)
    names = [
        name.partition("-")[2].split("+")
        for name, _ in parse("gain,noise,room,band", 40, 3).copies_of(stretch, "tone", None, None)
    ]
    for chain in names:
        assert chain == [name for name in ALTERATIONS if name in chain]
    assert {len(chain) for chain in names} == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("text", "copies", "hint"), [("nois", 1, "noise"), ("", 1, "noise"), ("noise", 0, "copies")]
)
def test_wrong_requests_say_what_is_known(text: str, copies: int, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        parse(text, copies, 42)


def test_copies_are_made_of_audio_only(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="audio"):
        plan(data, tmp_path / "t.parquet", Recipe("face-stats"), augmentation=parse("noise", 1, 1))


def test_a_killed_run_continues_with_its_own_copies(data: Path, tmp_path: Path) -> None:
    """Parts of a run with other copies are not taken."""
    out = tmp_path / "t.parquet"

    def stop(done: int, total: int, note: str) -> None:
        raise KeyboardInterrupt

    for seed in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            extract(data, out, RECIPE, augmentation=parse("noise", 1, seed), on_clip=stop)
    found = table_of(data, out, parse("noise", 1, 2))
    afresh = table_of(data, tmp_path / "afresh.parquet", parse("noise", 1, 2))
    assert np.array_equal(found.x, afresh.x)

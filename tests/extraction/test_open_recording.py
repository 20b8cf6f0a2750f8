"""Rows are what they say: segments of one take meet, tensors keep their shape, and nothing is made up."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import mne
import numpy as np
import pytest
import scipy.io
import soundfile

from eavctl import registry
from eavctl.errors import RecordingWarning, SignalError
from eavctl.extraction import open_recording as recordings
from eavctl.extraction.batches import sample_id
from eavctl.extraction.recipe import Recipe, Sample
from eavctl.signals.eeg_trials import EAV_SFREQ
from eavctl.signals.video import open_video

RATE = 16000
RECIPES = {
    "eeg": Recipe("eeg-epochs", {"channels": ["Fz", "Cz"]}, segment=5.0),
    "audio": Recipe("logmel", segment=5.0),
    "video": Recipe("faces", {"crop": "frame", "n_frames": 5, "size": 8}, segment=5.0),
}


def film(path: Path, seconds: float) -> Path:
    """Of 25 frames a second that brighten; the last but one frame is shorter, so that it ends in time."""
    ticks = [*range(0, round(seconds * 1000) - 40, 40), round(seconds * 1000) - 40]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 32
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, tick in enumerate(ticks):
            picture = np.full((32, 32, 3), 10 + 200 * number // len(ticks), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with open_video(path) as file:
        assert file.duration == pytest.approx(seconds)
    return path


def sound(path: Path, seconds: float) -> Path:
    signal = np.random.default_rng(0).normal(scale=0.1, size=round(seconds * RATE))
    soundfile.write(path, signal, RATE, "PCM_16")
    return path


def trials(path: Path, seconds: float) -> Path:
    size = (round(seconds * EAV_SFREQ), 30, 2)
    scipy.io.savemat(path, {"seg": np.random.default_rng(0).normal(scale=20, size=size)})
    return path


TAKES: dict[str, tuple[Callable[[Path, float], Path], str]] = {
    "eeg": (trials, "a.mat"),
    "audio": (sound, "a.wav"),
    "video": (film, "a.mp4"),
}


def samples(folder: Path, modality: str, seconds: float, **part: float) -> list[Sample]:
    """The samples of a recording of that length, of which ``part`` counts."""
    make, name = TAKES[modality]
    trial = 0 if modality == "eeg" else None
    with RECIPES[modality].open(make(folder / name, seconds)) as stretch_of:
        return RECIPES[modality].describe(stretch_of(trial), part.get("start"), part.get("end"))


def names_of(found: list[Sample], recipe: Recipe) -> list[str]:
    return [sample_id("take", recipe, sample.start) for sample in found]


@pytest.mark.parametrize("lengths", [(19.99, 20.01, 20.0), (20.0, 19.99, 20.01), (20.01, 20.0, 19.96)])
def test_eeg_sound_and_film_of_one_take_give_the_same_segments(
    tmp_path: Path, lengths: tuple[float, ...]
) -> None:
    for modality, seconds in zip(TAKES, lengths, strict=True):
        found = samples(tmp_path, modality, seconds)
        assert names_of(found, RECIPES[modality]) == [f"take@{start:05d}.000" for start in (0, 5, 10, 15)]
        assert [(sample.start, sample.end) for sample in found] == [(0, 5), (5, 10), (10, 15), (15, 20)]
        assert len({None if sample.x is None else sample.x.shape for sample in found}) == 1
        assert found[0].x is not None


@pytest.mark.parametrize("modality", TAKES)
def test_a_recording_that_lacks_more_than_a_frame_loses_its_last_segment(
    tmp_path: Path, modality: str
) -> None:
    assert len(samples(tmp_path, modality, 19.95)) == 3


@pytest.mark.parametrize("modality", TAKES)
@pytest.mark.parametrize(("seconds", "end"), [(4.99, 5.0), (4.96, 5.0), (4.92, 4.92)])
def test_one_segment_that_lacks_a_frame_is_whole(
    tmp_path: Path, modality: str, seconds: float, end: float
) -> None:
    (found,), (whole,) = samples(tmp_path, modality, seconds), samples(tmp_path, modality, 5.0)
    assert (found.start, found.end) == (0, pytest.approx(end))
    assert found.x is not None
    assert whole.x is not None
    if modality != "eeg" or end == 5.0:
        assert found.x.shape == whole.x.shape


def test_what_a_segment_lacks_is_taken_before_it_and_never_made_up() -> None:
    signal = np.arange(2000.0)[None]
    stretch = recordings.sampled("a", signal[:, :1999], 100.0)
    assert np.array_equal(stretch.cut(15.0, 20.0), signal[:, 1499:1999])
    assert np.array_equal(stretch.cut(10.0, 15.0), signal[:, 1000:1500])
    assert np.array_equal(stretch.cut(-0.02, 4.98), signal[:, :500])
    short = recordings.sampled("a", signal[:, :498], 100.0).cut(0.0, 5.0)
    assert np.array_equal(short, np.concatenate([signal[:, :498], [[497.0, 497.0]]], axis=1))


def test_half_a_sample_is_rounded_alike_in_every_segment() -> None:
    stretch = recordings.sampled("a", np.zeros((1, 10_000)), 100.0)
    onsets = 4.2 * np.arange(20) + 0.3
    assert len({stretch.cut(onset, onset + 0.135).shape for onset in onsets}) == 1


def test_frames_of_a_film_that_is_short_are_its_last_ones(tmp_path: Path) -> None:
    late = samples(tmp_path, "video", 19.97)[-1].x
    inner = samples(tmp_path, "video", 19.97, start=14.97, end=19.97)[0].x
    assert late is not None
    assert inner is not None
    assert np.array_equal(late, inner)


@pytest.mark.parametrize("modality", TAKES)
@pytest.mark.parametrize(("part", "used"), [((8.0, 100.0), "8.00 to 10.00"), ((-3.0, 6.0), "0.00 to 6.00")])
def test_a_part_beyond_the_recording_keeps_what_is_there_and_says_so(
    tmp_path: Path, modality: str, part: tuple[float, float], used: str
) -> None:
    whole = {**RECIPES, modality: Recipe(RECIPES[modality].features, RECIPES[modality].settings)}[modality]
    make, name = TAKES[modality]
    with whole.open(make(tmp_path / name, 10.0)) as stretch_of:
        stretch = stretch_of(0 if modality == "eeg" else None)
        with pytest.warns(RecordingWarning) as told:
            (sample,) = whole.describe(stretch, *part)
        assert f"{sample.start:.2f} to {sample.end:.2f}" == used
        (text,) = [str(each.message) for each in told]
        assert used in text
        assert f"{part[0]:.2f} to {part[1]:.2f}" in text
        with pytest.raises(SignalError):
            whole.describe(stretch, 11.0, 12.0)


def test_a_part_that_lacks_a_frame_keeps_its_times_and_its_shape_without_a_word(tmp_path: Path) -> None:
    recipe = Recipe("eeg-epochs", {"channels": ["Fz"]})
    with recipe.open(trials(tmp_path / "a.mat", 10.0)) as stretch_of, warnings.catch_warnings():
        warnings.simplefilter("error", RecordingWarning)
        for part in ((6.03, 10.03), (-0.03, 3.97), (2.0, 6.0)):
            (sample,) = recipe.describe(stretch_of(0), *part)
            assert (sample.start, sample.end) == part
            assert sample.x is not None
            assert sample.x.shape == (1, 400)


@pytest.mark.parametrize("modality", TAKES)
@pytest.mark.parametrize(
    ("part", "starts"),
    [
        ((0.0, 19.99), (0, 5, 10)),
        ((0.0, 20.0), (0, 5, 10, 15)),
        ((4.99, 20.0), (4.99, 9.99, 14.99)),
        ((5.0, 19.99), (5, 10)),
        ((0.0, 20.02), (0, 5, 10, 15)),
        ((0.0, 99.0), (0, 5, 10, 15)),
    ],
)
def test_parts_give_the_segments_that_the_manifest_says_in_every_modality(
    tmp_path: Path, modality: str, part: tuple[float, float], starts: tuple[float, ...]
) -> None:
    """Whether the recording goes on after the part, or is a bit too short: parts beside it stay apart."""
    for seconds in (19.99, 20.01, 22.0):
        if part[1] == 99.0 and seconds == 22.0:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RecordingWarning)
            found = samples(tmp_path, modality, seconds, start=part[0], end=part[1])
        assert [sample.start for sample in found] == pytest.approx(starts)
        assert all(sample.x is not None for sample in found)
        assert [sample.end - sample.start for sample in found] == pytest.approx([5] * len(starts))
        assert found[-1].end <= part[1] + 1e-9


def test_a_part_that_ends_where_the_recording_begins_is_no_whole_recording(tmp_path: Path) -> None:
    recipe = RECIPES["audio"]
    with recipe.open(sound(tmp_path / "a.wav", 6.0)) as stretch_of, pytest.raises(SignalError):
        recipe.describe(stretch_of(), 0.0, 0.0)


def test_a_recording_that_cannot_be_used_is_read_once(tmp_path: Path, monkeypatch: Any) -> None:
    """However many epochs of it there are, each with the reason."""
    info = mne.create_info(["A1", "B7"], 100.0, "eeg")
    data = np.random.default_rng(0).normal(scale=1e-5, size=(2, 2000))
    data[1] = 0
    mne.io.RawArray(data, info, verbose="ERROR").save(tmp_path / "a_raw.fif", verbose="ERROR")
    reads = []
    recipe = Recipe("eeg-epochs")
    read = mne.io.BaseRaw.get_data
    monkeypatch.setattr(mne.io.BaseRaw, "get_data", lambda *a, **k: reads.append(1) or read(*a, **k))
    with recipe.open(tmp_path / "a_raw.fif") as stretch_of:
        for start in range(5):
            with pytest.raises(SignalError, match="B7"):
                recipe.describe(stretch_of(), start, start + 2.0)
    assert len(reads) == 1


def test_features_that_are_no_numbers_reject_their_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(32000)), 16000)
    entry = Recipe("seed33").entry
    broken = replace(entry, thing=lambda signal, rate: np.full(33, np.inf, np.float32))
    monkeypatch.setitem(registry._entries["features"], "seed33", broken)
    recipe = Recipe("seed33", segment=1.0)
    with recipe.open(tmp_path / "a.wav") as stretch_of:
        found = recipe.describe(stretch_of())
    assert [sample.x for sample in found] == [None, None]
    assert all("not finite" in sample.reason for sample in found)

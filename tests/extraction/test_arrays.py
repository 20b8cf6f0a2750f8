"""Arrays in memory are resampled, filtered, checked and cut as the file with the same data is."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import av
import mne
import numpy as np
import pytest
import soundfile

from eavctl.errors import RecordingWarning, SignalError, UsageError
from eavctl.extraction.open_recording import Signal, Source
from eavctl.extraction.recipe import Recipe, Sample
from eavctl.signals.arrays import TimedFrames

CHANNELS = ["Fz", "Cz", "Pz", "O1", "O2", "F3", "F4"]
PARTS = [(None, None), (1.0, 4.0)]


def described(recipe: Recipe, source: Source, *part: float | None) -> list[Sample]:
    with recipe.open(source) as stretch_of:
        return recipe.describe(stretch_of(), *part)


def assert_same(one: list[Sample], other: list[Sample], **tolerance: float) -> None:
    assert len(one) == len(other) > 0
    for a, b in zip(one, other, strict=True):
        assert (a.start, a.end, a.reason) == (b.start, b.end, b.reason)
        assert a.x is not None
        assert b.x is not None
        np.testing.assert_allclose(a.x, b.x, **(tolerance or {"rtol": 0}))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "features", ["functionals", "seed33", "logmel"]
)  # at 16 kHz, the file's rate, 16 kHz
def test_audio(tmp_path: Path, features: str, part: Any) -> None:
    rate = 44_100
    signal = np.random.default_rng(0).normal(scale=0.1, size=5 * rate).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", signal, rate, "FLOAT")
    recipe = Recipe(features, segment=1.0)
    assert_same(described(recipe, tmp_path / "a.wav", *part), described(recipe, Signal(signal, rate), *part))


@pytest.mark.parametrize("part", PARTS)
def test_eeg_with_a_bad_channel(tmp_path: Path, part: Any) -> None:
    signal = np.random.default_rng(0).normal(scale=20, size=(len(CHANNELS), 2500))
    signal[1] = 0
    names = ["FZ", "cz", *CHANNELS[2:]]  # in no usual spelling
    raw = mne.io.RawArray(signal / 1e6, mne.create_info(names, 250.0, "eeg"), verbose="ERROR")
    raw.save(tmp_path / "a_raw.fif", fmt="double", verbose="ERROR")
    recipe = Recipe("eeg-bands", {"channels": ["O2", "Cz", "F3", "F4"]}, segment=1.0)
    kept = signal.copy()
    with pytest.warns(RecordingWarning, match=r"interpolated from the others: Cz \(flat\)") as noted:
        file, array = (
            described(recipe, source, *part)
            for source in (tmp_path / "a_raw.fif", Signal(signal, 250.0, names, "live"))
        )
    assert [str(each.message).split(": ")[0] for each in noted] == [str(tmp_path / "a_raw.fif"), "live"]
    assert_same(file, array, rtol=1e-4)
    assert np.array_equal(signal, kept)


def with_margin(signal: np.ndarray, seconds: float) -> Signal:
    return Signal(signal, 250.0, CHANNELS, margin=seconds)


@pytest.mark.parametrize("margin", [0.0, 0.4, 2.0])
def test_the_margin_of_eeg_is_filtered_but_no_part_of_the_recording(margin: float) -> None:
    signal = np.random.default_rng(0).normal(scale=20, size=(len(CHANNELS), 1250)).cumsum(axis=1)
    recipe = Recipe("eeg-bands", segment=1.0, hop=0.2)
    whole = described(recipe, with_margin(signal, 0.0), margin, 5.0)
    after = described(recipe, with_margin(signal, margin))
    shifted = [each._replace(start=each.start - margin, end=each.end - margin) for each in whole]
    for one, other in zip(shifted, after, strict=True):
        assert (one.start, one.end) == pytest.approx((other.start, other.end))
        np.testing.assert_array_equal(one.x, other.x)


@pytest.mark.parametrize("features", ["eeg-epochs", "eeg-bands"])
def test_causal_windows_with_their_margin_are_those_of_the_whole_recording(features: str) -> None:
    signal = np.random.default_rng(0).normal(scale=20, size=(len(CHANNELS), 12 * 1000)).cumsum(axis=1)
    recipe = Recipe(features, {"filter": "causal"}, segment=5.0)
    (whole,) = described(recipe, with_margin(signal, 0.0), 30.0, 35.0)
    first, last = round((30.0 - recipe.margin_s) * 250), 35 * 250
    (window,) = described(recipe, with_margin(signal[:, first:last], recipe.margin_s))
    assert whole.x is not None
    np.testing.assert_allclose(window.x, whole.x, atol=2e-6 * np.abs(whole.x).max())


@pytest.mark.parametrize("margin", [0.3, 0.412, 1.0, 2.996])
def test_a_margin_does_not_change_the_shape(margin: float) -> None:
    signal = np.random.default_rng(0).normal(scale=20, size=(len(CHANNELS), 2000))
    window = signal[:, : 1250 + round(margin * 250)]
    (found,) = described(Recipe("eeg-epochs"), with_margin(window, margin))
    assert found.x is not None
    assert (found.x.shape, found.end) == ((len(CHANNELS), 500), 5.0)


def test_a_channel_that_is_flat_in_the_margin_only_is_judged() -> None:
    signal = np.random.default_rng(0).normal(scale=20, size=(len(CHANNELS), 1000))
    signal[2, :250] = 0
    recipe = Recipe("eeg-bands")
    flat, good = (described(recipe, with_margin(signal, margin), 0.0, 1.0) for margin in (0.0, 1.0))
    assert "flat in this segment: channels Pz" in flat[0].reason
    assert good[0].x is not None


def test_a_channel_that_is_flat_in_the_recording_is_interpolated_whatever_its_margin() -> None:
    """An electrode that falls off in live EEG is bad at once, not when most of the margin is flat too."""
    signal = np.random.default_rng(0).normal(scale=20, size=(len(CHANNELS), 3000))
    signal[2, 2000:] = 0
    with pytest.warns(RecordingWarning, match=r"interpolated from the others: Pz \(flat\)"):
        (found,) = described(Recipe("eeg-bands"), with_margin(signal, 8.0))
    assert found.x is not None


@pytest.mark.parametrize("part", PARTS)
def test_video(tmp_path: Path, part: Any) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (150, 16, 16, 3), np.uint8)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.width = stream.height = 16
        stream.pix_fmt = "bgr0"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    recipe = Recipe("faces", {"crop": "frame", "n_frames": 6, "size": 16}, segment=1.0)
    file, array = (described(recipe, each, *part) for each in (tmp_path / "a.mkv", Signal(pictures, 30.0)))
    assert len({each.x.tobytes() for each in file if each.x is not None}) == len(file)
    assert_same([each._replace(end=round(each.end, 6)) for each in file], array)


@pytest.mark.parametrize(
    ("features", "signal"),
    [
        ("seed33", Signal(np.zeros((2, 100), np.float32), 16000)),
        ("seed33", Signal(np.ones(100, np.int16), 16000)),
        ("seed33", Signal(np.ones(100, np.float32), 0)),
        ("seed33", Signal(np.ones(100, np.float32), np.nan)),
        ("eeg-bands", Signal(np.ones((2, 500)), 250.0)),
        ("eeg-bands", Signal(np.ones(500), 250.0, ["Fz"])),
        ("eeg-bands", Signal(np.ones((1, 500)), 250.0, ["Fz"], margin=2.0)),
        ("eeg-bands", Signal(np.ones((1, 500)), 250.0, ["Fz"], margin=-1.0)),
        ("seed33", Signal(np.ones(16000, np.float32), 16000, margin=0.5)),
        ("faces", Signal(np.zeros((5, 8, 8, 3), np.uint8), 25.0, margin=0.1)),
        ("seed33", Signal(TimedFrames("film", [0.0], [np.zeros((8, 8, 3), np.uint8)], 1.0), 16000)),
        ("faces", Signal(np.zeros((5, 8, 8, 3)), 25.0)),
        ("faces", Signal(np.zeros((0, 8, 8, 3), np.uint8), 25.0)),
    ],
)
def test_arrays_that_cannot_be_meant(features: str, signal: Signal) -> None:
    with pytest.raises(UsageError, match="^window: "):
        described(Recipe(features), signal)


@pytest.mark.parametrize(
    ("features", "signal"),
    [
        ("seed33", Signal(np.zeros(16000, np.float32), 16000, name="mic")),
        ("seed33", Signal(np.full(16000, np.nan, np.float32), 16000, name="mic")),
        ("seed33", Signal(np.empty(0, np.float32), 16000, name="mic")),
        ("eeg-bands", Signal(np.zeros((2, 500)), 250.0, ["Fz", "Cz"], "mic")),
        ("eeg-bands", Signal(np.full((2, 500), np.nan), 250.0, ["Fz", "Cz"], "mic")),
    ],
)
def test_arrays_without_a_usable_signal(features: str, signal: Signal) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(SignalError, match="^mic: "):
            described(Recipe(features), signal)


def test_frames_at_times_are_a_recording_of_the_given_duration() -> None:
    pictures = [np.full((8, 8, 3), value, np.uint8) for value in (10, 20, 30)]
    film = TimedFrames("film", [-0.4, 0.5, 2.9], pictures, 3.0)
    recipe = Recipe("faces", {"crop": "frame", "n_frames": 6, "size": 8}, segment=3.0)
    (found,) = described(recipe, Signal(film, film.fps))
    assert (found.start, found.end) == (0.0, 3.0)
    assert found.x is not None
    assert found.x[:, 0, 0, 0].tolist() == [10, 20, 20, 20, 20, 20]


@pytest.mark.parametrize(
    ("times", "pictures", "duration"),
    [
        ([], [], 1.0),
        ([0.0, 0.5], [np.zeros((8, 8, 3), np.uint8)], 1.0),
        ([0.5, 0.0], [np.zeros((8, 8, 3), np.uint8)] * 2, 1.0),
        ([np.nan], [np.zeros((8, 8, 3), np.uint8)], 1.0),
        ([0.0], [np.zeros((8, 8, 3))], 1.0),
        ([0.0], [np.zeros((8, 8), np.uint8)], 1.0),
        ([0.0], [np.zeros((8, 8, 3), np.uint8)], 0.0),
    ],
)
def test_frames_at_times_that_cannot_be_meant(times: Any, pictures: Any, duration: float) -> None:
    with pytest.raises(UsageError, match="^film: "):
        TimedFrames("film", times, pictures, duration)

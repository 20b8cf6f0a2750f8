"""Made-up sounds: what the recipes say is what is heard, and the same seed gives the same bytes."""

import os

import numpy as np
import pytest
import soundfile

from eavctl.errors import UsageError
from eavctl.synthetic import tones as tones


def read_all(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.wav"))}


def test_same_seed_same_bytes_for_any_other_arguments(tmp_path):
    assert tones.synth_speech(tmp_path / "a", per_class=2) == 8
    tones.synth_speech(tmp_path / "b", per_class=3, classes=("angry", "sad"))
    tones.synth_speech(tmp_path / "c", per_class=2, seed=1)
    first, some, other = (read_all(tmp_path / name) for name in "abc")
    assert set(first) == {f"{c}/{c}_sample_{i}.wav" for c in tones.CLASSES for i in (1, 2)}
    assert all(first[name] == some[name] for name in first.keys() & some.keys())
    assert all(first[name] != other[name] for name in first)


@pytest.mark.parametrize("name", tones.CLASSES)
def test_tones_follow_their_recipe(name):
    kind = tones.CLASSES[name]
    for seed in range(5):
        signal = tones.tone(kind, np.random.default_rng(seed))
        assert np.abs(signal).max() == pytest.approx(1)
        seconds = len(signal) / tones.RATE
        assert 2 * kind.duration <= seconds + 1e-3
        assert seconds <= 4 * kind.duration
        spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal))))
        hz = np.argmax(spectrum) / seconds
        assert 220 * kind.frequency - 1 <= hz <= 880 * kind.frequency + 1
        analytic = np.fft.fft(signal)
        analytic[len(signal) // 2 :] = 0
        envelope = np.abs(np.fft.ifft(analytic))
        slow = np.abs(np.fft.rfft((envelope - envelope.mean()) * np.hanning(len(signal))))
        low, high = int(seconds), int(20 * seconds)
        assert (low + np.argmax(slow[low:high])) / seconds == pytest.approx(kind.modulation_hz, abs=0.5)


def test_files_are_as_said(tmp_path):
    tones.synth_speech(tmp_path, per_class=1, classes=("happy",))
    info = soundfile.info(tmp_path / "happy/happy_sample_1.wav")
    assert (info.samplerate, info.channels, info.subtype) == (22050, 1, "PCM_16")


def test_recordings_of_others_are_kept(tmp_path):
    mine = tmp_path / "happy" / "happy_sample_1.wav"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    with pytest.raises(UsageError, match="--force"):
        tones.synth_speech(tmp_path, per_class=1)
    assert mine.read_bytes() == b"mine"
    tones.synth_speech(tmp_path, per_class=1, force=True)
    assert mine.read_bytes() != b"mine"


def test_what_is_there_already_is_not_written_again(tmp_path):
    tones.synth_speech(tmp_path, per_class=1)
    paths = sorted(tmp_path.rglob("*.wav"))
    for path in paths:
        os.utime(path, (1, 1))
    assert tones.synth_speech(tmp_path, per_class=2, force=True) == 8
    assert all(path.stat().st_mtime == 1 for path in paths)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 8  # and nothing temporary


def test_angry_alone_is_noisy():
    """Below the tone's lowest frequency there is noise of the recipe's share, or nothing."""
    for name, kind in tones.CLASSES.items():
        signal = tones.tone(kind, np.random.default_rng(3))
        hz = np.fft.rfftfreq(len(signal), 1 / tones.RATE)
        power = np.abs(np.fft.rfft(signal * np.hanning(len(signal)))) ** 2
        share = power[hz > 5000].mean() * len(hz) / power.sum()  # white noise's share of all power
        expected = kind.noise**2 / (kind.noise**2 + kind.amplitude**2 / 2 * (1 + 0.3**2 / 2))
        assert share == pytest.approx(expected, rel=0.1, abs=1e-9), name


def test_progress_is_told(tmp_path):
    told = []
    tones.synth_speech(tmp_path, per_class=2, classes=("sad",), on_clip=lambda *step: told.append(step[:2]))
    assert told == [(0, 2), (1, 2), (2, 2)]


def test_unknown_classes_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"bored.*happy, sad, angry, neutral"):
        tones.synth_speech(tmp_path, classes=("bored",))

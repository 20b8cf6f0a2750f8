"""Made-up sounds: what the recipes say is what is heard, and the same seed gives the same bytes."""

import numpy as np
import pytest
import soundfile

from eavctl.datasets import synthesis
from eavctl.errors import UsageError


def read_all(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.wav"))}


def test_same_seed_same_bytes_whatever_else_is_asked_for(tmp_path):
    assert synthesis.synth_speech(tmp_path / "a", per_class=2) == 8
    synthesis.synth_speech(tmp_path / "b", per_class=3, classes=("angry", "sad"))
    synthesis.synth_speech(tmp_path / "c", per_class=2, seed=1)
    first, some, other = (read_all(tmp_path / name) for name in "abc")
    assert set(first) == {f"{c}/{c}_sample_{i}.wav" for c in synthesis.CLASSES for i in (1, 2)}
    assert all(first[name] == some[name] for name in first.keys() & some.keys())
    assert all(first[name] != other[name] for name in first)


@pytest.mark.parametrize("name", synthesis.CLASSES)
def test_tones_follow_their_recipe(name):
    kind = synthesis.CLASSES[name]
    for seed in range(5):
        signal = synthesis.tone(kind, np.random.default_rng(seed))
        assert np.abs(signal).max() == pytest.approx(1)
        seconds = len(signal) / synthesis.RATE
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
    synthesis.synth_speech(tmp_path, per_class=1, classes=("happy",))
    info = soundfile.info(tmp_path / "happy/happy_sample_1.wav")
    assert (info.samplerate, info.channels, info.subtype) == (22050, 1, "PCM_16")


def test_recordings_of_others_are_kept(tmp_path):
    mine = tmp_path / "happy" / "happy_sample_1.wav"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    with pytest.raises(UsageError, match="--force"):
        synthesis.synth_speech(tmp_path, per_class=1)
    assert mine.read_bytes() == b"mine"
    synthesis.synth_speech(tmp_path, per_class=1, force=True)
    assert mine.read_bytes() != b"mine"


def test_unknown_classes_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"bored.*happy, sad, angry, neutral"):
        synthesis.synth_speech(tmp_path, classes=("bored",))

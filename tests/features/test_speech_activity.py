"""A recording with speech is told from one without, whatever its level, room, band or length."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks import sounds_without_speech as sounds
from eavctl.errors import SignalError
from eavctl.features.speech_activity import LONGEST_S, SHORTEST_S, holds_speech, require_speech
from eavctl.synthetic import tones

RATE = 16000
TIME = np.arange(3 * RATE) / RATE


def tone(hz: float) -> np.ndarray:
    return np.sin(2 * np.pi * hz * TIME)


def noise(slope: float) -> np.ndarray:
    return sounds.colored(np.random.default_rng(1), len(TIME), slope)


WITHOUT = {
    "white noise": noise(0),
    "pink noise": noise(1),
    "brown noise": noise(2),
    "faint noise": 1e-5 * noise(0),
    "dither": np.random.default_rng(2).integers(-1, 2, len(TIME)) / 2**15,
    "tone": tone(220),
    "chord": tone(220) + tone(277.2) + tone(329.6),
    "mains hum": sum((tone(50 * i) / i for i in range(1, 12)), np.zeros(len(TIME))),
    "sweep": np.sin(2 * np.pi * (100 * TIME + 300 * TIME**2)),
    "clicks": np.where(np.arange(len(TIME)) % 8000 == 0, 1.0, 0.0) + 1e-4 * noise(0),
    "noise at the rate of syllables": noise(0) * (1 + np.sin(2 * np.pi * 4 * TIME)),
    "notes": np.concatenate([np.hanning(8000) * tone(110 * 2 ** (i / 4))[:8000] for i in range(6)]),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_sounds_that_are_not_speech(name: str) -> None:
    signal = (0.3 * WITHOUT[name] / np.abs(WITHOUT[name]).max()).astype(np.float32)
    assert not holds_speech(signal, RATE)
    with pytest.raises(SignalError, match="no speech"):
        require_speech(signal, RATE)


@pytest.mark.parametrize("family", sounds.KINDS)
def test_few_sounds_of_any_family_pass(family: str) -> None:
    made = [
        sounds.draw(family, name, np.random.default_rng(100 + i))
        for name in sounds.KINDS[family]
        for i in range(8)
    ]
    assert np.mean([holds_speech(signal, RATE) for signal in made]) <= 0.2


@pytest.mark.parametrize("name", tones.CLASSES)
def test_tones_of_synth_are_no_speech(name: str) -> None:
    made = [tones.tone(tones.CLASSES[name], np.random.default_rng(seed)) for seed in range(10)]
    assert not any(holds_speech(signal.astype(np.float32), tones.RATE) for signal in made)


def test_silence_is_called_so() -> None:
    for silent in (np.zeros(RATE), np.full(RATE, 0.1), 1e-5 * noise(0)):
        with pytest.raises(SignalError, match="silent"):
            require_speech(silent.astype(np.float32), RATE)
    with pytest.raises(SignalError) as error:
        require_speech(tone(300).astype(np.float32), RATE)
    assert "silent" not in str(error.value)


def test_too_short_to_tell_is_left_to_the_features() -> None:
    short = tone(300)[: round(SHORTEST_S * RATE) - 1].astype(np.float32)
    assert holds_speech(short, RATE)
    assert holds_speech(short[:0], RATE)


@pytest.mark.filterwarnings("error")
def test_odd_signals_are_no_speech_and_raise_no_warning() -> None:
    rng = np.random.default_rng(5)
    one = np.zeros(RATE, np.float32)
    one[RATE // 2] = 1e-30
    for odd in (one, 1e9 * noise(0), 0.5 + 1e-7 * noise(0), np.sign(rng.normal(size=RATE)), -tone(7900)):
        assert not holds_speech(odd.astype(np.float32), RATE)


def test_a_rate_too_low_for_the_band_is_left_to_the_features() -> None:
    assert holds_speech(tone(300).astype(np.float32), 4000)


# --- real speech ------------------------------------------------------------------------------------------

ALTERATIONS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "as it is": lambda signal, rng: signal,
    "noise": lambda signal, rng: sounds.with_noise(signal, 10, rng),
    "telephone": lambda signal, rng: sounds.band(signal, 300, 3400),
    "room": sounds.in_room,
    "quiet": lambda signal, rng: 0.003 * signal,
}


@pytest.fixture(scope="module")
def speech(shared_data: Path) -> list[np.ndarray]:
    """Sixty clips of three corpora and languages."""
    found = []
    for corpus in ("emodb", "nemo", "ravdess-speech"):
        clips = sorted((shared_data / corpus).rglob("*.flac"))
        found += [soundfile.read(clip, dtype="float32")[0] for clip in clips[:: len(clips) // 20][:20]]
    return found


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_speech_passes(speech: list[np.ndarray], alteration: str) -> None:
    rng = np.random.default_rng(3)
    altered = [ALTERATIONS[alteration](signal, rng).astype(np.float32) for signal in speech]
    assert sum(not holds_speech(signal, RATE) for signal in altered) <= (1 if alteration == "room" else 0)


def test_the_level_does_not_matter(speech: list[np.ndarray]) -> None:
    signals = [*speech[::6], *(each.astype(np.float32) for each in WITHOUT.values())]
    for signal in signals:
        found = {holds_speech(signal * gain, RATE) for gain in (1 / 64, 1, 64)}
        assert len(found) == 1


def test_a_part_with_speech_is_enough_and_music_does_not_become_speech_by_its_length(
    speech: list[np.ndarray],
) -> None:
    rng = np.random.default_rng(4)
    hiss = (1e-3 * rng.normal(size=round(6 * LONGEST_S) * RATE)).astype(np.float32)
    assert not holds_speech(hiss, RATE)
    said = hiss.copy()
    clip = speech[25]
    said[9 * RATE : 9 * RATE + len(clip)] += clip
    assert holds_speech(said, RATE)
    require_speech(said, RATE)


def test_any_rate_of_the_recording_will_do(speech: list[np.ndarray]) -> None:
    soxr = pytest.importorskip("soxr")
    for rate in (8000, 22050, 44100, 48000):
        assert all(holds_speech(soxr.resample(signal, RATE, rate), rate) for signal in speech[::6])
        hum = soxr.resample(WITHOUT["mains hum"].astype(np.float32), RATE, rate)
        assert not holds_speech(hum, rate)

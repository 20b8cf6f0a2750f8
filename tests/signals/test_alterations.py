"""Each alteration does to a signal what its parameters say, and leaves its timing."""

import numpy as np
import pytest
from librosa.effects import time_stretch
from scipy.signal import correlate

from eavctl.signals.alterations import (
    active,
    add_noise,
    amplified,
    babble,
    band_limited,
    clipped,
    coloured_noise,
    equalized,
    hum,
    level,
    repitched,
    reverberate,
    room_response,
    stretched,
)
from eavctl.signals.codecs import CODECS, is_available, recoded

RATE = 16000


def tone(hz: float, seconds: float = 2.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def speech(seed: int = 0) -> np.ndarray:
    """Pulses of a gliding pitch, through two formants, in syllables with pauses; ends in silence."""
    rng = np.random.default_rng(seed)
    n = 3 * RATE
    pulses = (np.diff(np.floor(np.cumsum(np.linspace(110, 190, n) / RATE)), prepend=0) > 0).astype(float)
    pulses += 0.02 * rng.standard_normal(n)
    sound = np.zeros(n)
    for hz, width in ((600, 90), (1700, 150)):
        times = np.arange(800) / RATE
        sound += np.convolve(pulses, np.exp(-np.pi * width * times) * np.sin(2 * np.pi * hz * times))[:n]
    syllables = (np.sin(2 * np.pi * 1.5 * np.arange(n) / RATE) > -0.2) & (np.arange(n) < 2.6 * RATE)
    return (0.3 * sound * syllables / np.abs(sound).max()).astype(np.float32)


def loudest_hz(signal: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal))))
    return float(spectrum.argmax() * RATE / len(signal))


def gain_db(before: np.ndarray, after: np.ndarray) -> float:
    inner = slice(RATE // 4, -RATE // 4)  # the ends of a tone are not a tone
    return float(10 * np.log10(np.square(after[inner]).mean() / np.square(before[inner]).mean()))


NOISES = {
    "white": lambda n, rng: coloured_noise(n, RATE, 0, rng),
    "pink": lambda n, rng: coloured_noise(n, RATE, 3, rng),
    "babble": lambda n, rng: babble(n, RATE, 6, rng),
    "hum": lambda n, rng: hum(n, RATE, 50, rng),
}


def test_pauses_do_not_count_as_speech() -> None:
    signal = np.concatenate([tone(200, 1), 1e-3 * tone(200, 3)])
    assert active(signal, RATE).sum() == RATE
    assert level(signal, RATE) == pytest.approx(0.3 / np.sqrt(2), rel=1e-3)


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("snr_db", [5.0, 20.0])
def test_noise_has_the_ratio_asked_for_where_somebody_speaks(kind: str, snr_db: float) -> None:
    signal = speech()
    noise = NOISES[kind](len(signal), np.random.default_rng(1))
    added = add_noise(signal, RATE, noise, snr_db) - signal
    mask = active(signal, RATE)
    assert mask.mean() < 0.8
    found = 10 * np.log10(np.square(signal[mask]).mean() / np.square(added[mask]).mean())
    assert found == pytest.approx(snr_db, abs=0.1)


@pytest.mark.parametrize(("slope", "expected"), [(0, 0), (3, -3), (6, -6)])
def test_coloured_noise_falls_by_its_slope_an_octave(slope: float, expected: float) -> None:
    power = np.square(np.abs(np.fft.rfft(coloured_noise(20 * RATE, RATE, slope, np.random.default_rng(0)))))
    hz = np.arange(len(power)) * RATE / (20 * RATE)
    octaves = [power[(hz >= low) & (hz < 2 * low)].mean() for low in (250, 500, 1000, 2000)]
    assert np.diff(10 * np.log10(octaves)) == pytest.approx([expected] * 3, abs=0.3)


@pytest.mark.parametrize("hz", [100, 200, 5000, 7000])
def test_a_tone_outside_of_the_band_is_gone(hz: float) -> None:
    assert gain_db(tone(hz), band_limited(tone(hz), RATE, 300, 3400)) < -40


@pytest.mark.parametrize("hz", [310, 1000, 3300])
def test_a_tone_in_the_band_stays(hz: float) -> None:
    found = band_limited(tone(hz), RATE, 300, 3400)
    assert gain_db(tone(hz), found) == pytest.approx(0, abs=1)
    assert correlate(found, tone(hz)).argmax() == len(found) - 1


def test_an_open_band_changes_nothing() -> None:
    assert band_limited(speech(), RATE, 0, RATE / 2) == pytest.approx(speech(), abs=1e-5)


def test_the_equalizer_gives_its_gains() -> None:
    for hz, gain in ((250, 4.0), (1000, -3.0), (500, 0.5)):
        found = equalized(tone(hz), RATE, (250, 1000, 4000), (4.0, -3.0, 0.0))
        assert gain_db(tone(hz), found) == pytest.approx(gain, abs=0.1)


@pytest.mark.parametrize("rt60", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_the_sound_of_a_room_decays_by_60_db_in_its_time(rt60: float, seed: int) -> None:
    """Schroeder's backward integration, from 5 to 25 dB."""
    rng = np.random.default_rng(seed)
    response = room_response(RATE, rt60, (6, 4, 3), (1, 2, 1.5), (2.5, 2.2, 1.2), rng).astype(float)
    energy = np.cumsum(np.square(response[::-1]))[::-1]
    decay = 10 * np.log10(energy / energy[0])
    fitted = np.flatnonzero((decay < -5) & (decay > -25))
    assert -60 / np.polyfit(fitted / RATE, decay[fitted], 1)[0] == pytest.approx(rt60, rel=0.15)


def test_a_nearer_voice_is_drier() -> None:
    def direct_share(x: float) -> float:
        response = room_response(RATE, 0.5, (6, 4, 3), (1, 2, 1.5), (x, 2.2, 1.2), np.random.default_rng(0))
        assert response.argmax() == 0
        return float(response[0] ** 2 / np.square(response).sum())

    assert direct_share(1.3) > direct_share(2.0) > direct_share(4.0)


def test_a_room_leaves_timing_and_level() -> None:
    response = room_response(RATE, 0.6, (6, 4, 3), (1, 2, 1.5), (2, 2.2, 1.2), np.random.default_rng(0))
    found = reverberate(speech(), RATE, response)
    assert correlate(found, speech()).argmax() == len(found) - 1
    assert level(found, RATE) == pytest.approx(level(speech(), RATE), rel=1e-3)


def test_gain_and_clipping() -> None:
    assert gain_db(tone(300), amplified(tone(300), -20)) == pytest.approx(-20, abs=1e-3)
    assert np.abs(amplified(tone(300), 20)).max() == 1
    found = clipped(np.random.default_rng(0).standard_normal(RATE).astype(np.float32), 0.1)
    assert np.mean(np.abs(found) == np.abs(found).max()) == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_tempo_changes_the_duration_and_not_the_pitch(factor: float) -> None:
    found = stretched(tone(440), RATE, factor)
    assert len(found) == round(2 * RATE / factor)
    assert loudest_hz(found) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_the_phase_vocoder_is_that_of_librosa(factor: float) -> None:
    noise = 1e-3 * np.random.default_rng(0).standard_normal(3 * RATE)  # silence has no phase to compare
    signal = (speech() + noise).astype(np.float32)
    expected = time_stretch(signal, rate=factor, n_fft=1024)
    assert stretched(signal, RATE, factor) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("semitones", [-2.0, 1.0])
def test_pitch_changes_the_frequency_and_not_the_duration(semitones: float) -> None:
    found = repitched(tone(440), RATE, semitones)
    assert len(found) == 2 * RATE
    assert loudest_hz(found) == pytest.approx(440 * 2 ** (semitones / 12), abs=2)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("rate", [16000, 22050])
def test_codecs_leave_length_and_timing(name: str, rate: int) -> None:
    if not is_available(name):
        pytest.skip(f"this FFmpeg has no {name}")
    signal = speech()
    for bit_rate in CODECS[name].bit_rates:
        found = recoded(signal, rate, name, bit_rate)
        assert found.dtype == np.float32
        assert len(found) == len(signal)
        assert not np.array_equal(found, signal)
        assert abs(correlate(found, signal).argmax() - (len(signal) - 1)) <= rate / 1000
        assert np.array_equal(found, recoded(signal, rate, name, bit_rate))


@pytest.mark.parametrize("n_samples", [1, 100, 1601])
def test_short_signals(n_samples: int) -> None:
    signal, rng = tone(200)[:n_samples] + np.float32(0.01), np.random.default_rng(0)
    response = room_response(RATE, 0.3, (4, 3, 2.5), (1, 1, 1), (2, 2, 1), rng)
    available = [name for name in CODECS if is_available(name)]
    for found in (
        add_noise(signal, RATE, coloured_noise(n_samples, RATE, 3, rng), 10),
        reverberate(signal, RATE, response),
        band_limited(signal, RATE, 300, 3400),
        clipped(signal, 0.01),
        repitched(signal, RATE, 1),
        stretched(signal, RATE, 1.0),
        *(recoded(signal, RATE, name, CODECS[name].bit_rates[0]) for name in available),
    ):
        assert len(found) == n_samples
        assert found.dtype == np.float32
        assert np.isfinite(found).all()

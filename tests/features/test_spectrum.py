"""Spectra, mel bands and chroma: what is known of tones, noise and impulses, and librosa beside it."""

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eavctl.features import chroma, spectrum

RATE = 16000


def tone(hz, seconds=1.0, rate=RATE):
    return np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_tones_peak_is_at_its_frequency_with_the_windows_height(dtype):
    n_fft = 512
    hz = 40 * RATE / n_fft  # in the middle of a bin
    magnitude = spectrum.short_time_spectrum(tone(hz).astype(dtype), n_fft, 160)
    assert magnitude.dtype == dtype
    assert magnitude.shape == (n_fft // 2 + 1, 1 + RATE // 160)
    whole = magnitude[:, 2:-2]  # frames that do not reach beyond the ends
    assert (whole.argmax(axis=0) == 40).all()
    assert whole[40] == pytest.approx(n_fft / 4, rel=1e-4)  # half the sum of a Hann window
    assert whole[39] == pytest.approx(n_fft / 8, rel=1e-3)
    assert whole[45].max() < 1e-3


@given(
    st.integers(1, 5000),
    st.sampled_from([(512, 160, 400), (2048, 512, None), (256, 100, 255)]),
    st.integers(0, 9),
)
@settings(max_examples=30, deadline=None)
@pytest.mark.filterwarnings("ignore:n_fft=")
def test_spectrum_is_librosas_at_any_length(n_samples, sizes, seed):
    n_fft, hop, window = sizes
    signal = np.random.default_rng(seed).normal(size=n_samples)
    found = spectrum.short_time_spectrum(signal, n_fft, hop, window)
    expected = np.abs(librosa.stft(signal, n_fft=n_fft, hop_length=hop, win_length=window))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-12 * n_fft


def test_spectrum_is_librosas_to_the_last_bit():
    """Chroma's tuning depends on ties between spectral peaks, which a last bit decides."""
    signal = np.random.default_rng(0).normal(size=200 * 512)
    expected = np.abs(librosa.stft(signal))
    assert np.array_equal(spectrum.short_time_spectrum(signal, 2048, 512), expected)


def test_power_is_the_signals_energy():
    """Parseval: power over all bins, both halves, is that of the windowed frames."""
    signal = np.random.default_rng(1).normal(size=RATE)
    n_fft = 512
    power = spectrum.short_time_spectrum(signal, n_fft, n_fft // 4) ** 2
    both = 2 * power.sum(axis=0) - power[0] - power[-1]
    assert both.sum() / n_fft == pytest.approx(1.5 * (signal**2).sum(), rel=0.02)  # Hann squared, 4 overlaps


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 48000])
@pytest.mark.parametrize(("n_fft", "n_mels"), [(512, 64), (2048, 128), (1024, 40), (256, 200)])
@pytest.mark.filterwarnings("ignore:Empty filters")
def test_mel_filters_and_bands_are_librosas(rate, n_fft, n_mels):
    expected = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels, dtype=np.float64)
    assert spectrum.mel_filters(rate, n_fft, n_mels) == pytest.approx(expected, abs=1e-12)
    power = np.random.default_rng(2).random((n_fft // 2 + 1, 7))
    assert spectrum.mel_bands(power, rate, n_fft, n_mels) == pytest.approx(
        expected @ power, rel=1e-9, abs=1e-14
    )
    in_float32 = spectrum.mel_bands(power.astype(np.float32), rate, n_fft, n_mels)
    assert in_float32.dtype == np.float32
    assert in_float32 == pytest.approx(expected @ power, rel=1e-4, abs=1e-7)


def test_decibels_of_known_ratios():
    assert spectrum.decibels(np.array([1.0, 10.0, 1e-3])) == pytest.approx([0, 10, -30])
    assert spectrum.decibels(np.array([1.0, 10.0]), 10.0) == pytest.approx([-10, 0])


def test_decibels_end_80_below_the_highest():
    assert spectrum.decibels(np.array([1.0, 1e-7, 1e-9, 0.0])) == pytest.approx([0, -70, -80, -80])
    assert spectrum.decibels(np.zeros(3)) == pytest.approx([-100] * 3)


@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=30))
def test_decibels_are_librosas(values):
    power = np.array(values)
    assert spectrum.decibels(power) == pytest.approx(librosa.power_to_db(power), abs=1e-9)


@pytest.mark.parametrize(("cents", "expected"), [(0, 0.0), (20, 0.2), (-30, -0.3)])
def test_tuning_is_the_deviation_of_the_notes(cents, expected):
    notes = 440 * 2 ** ((np.array([-12, -5, 0, 4, 7]) + cents / 100) / 12)
    signal = sum(tone(hz, 2.0, 22050) for hz in notes)
    power = spectrum.short_time_spectrum(signal, 8192, 512) ** 2
    assert chroma.tuning(power, 22050, 8192) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(("hz", "row"), [(261.63, 0), (440.0, 9), (880.0, 9), (987.77, 11)])
def test_chroma_of_a_note_peaks_at_its_pitch_class(hz, row):
    power = spectrum.short_time_spectrum(tone(hz, 1.0, 22050), 2048, 512) ** 2
    found = chroma.chroma(power, 22050, 2048)
    assert found.shape[0] == 12
    assert (found[:, 3:-3].argmax(axis=0) == row).all()
    assert found.max(axis=0) == pytest.approx(1)


def test_chroma_of_silence_is_zero():
    assert not chroma.chroma(np.zeros((1025, 4)), 22050, 2048).any()

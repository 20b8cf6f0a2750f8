"""Short-time spectra, windows, mel bands and decibels, by librosa's conventions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache

import numpy as np

from eavctl.signals.transforms import rfft

AMIN = 1e-10
DYNAMIC_RANGE_DB = 80.0
BYTES_AT_ONCE = 2**18  # of frames, so that they and their spectra stay in the cache
FILTERS_AT_ONCE = 8


def short_time_spectrum(signal: np.ndarray, n_fft: int, hop: int, window: int | None = None) -> np.ndarray:
    """Magnitude of the short-time Fourier transform; frame ``t`` is centred on sample ``t * hop``.

    Parameters
    ----------
    signal : float array, shape (n_samples,); the transform has its precision.
    n_fft, hop : length of the transform and distance between frames, samples.
    window : length of the periodic Hann window, ``n_fft`` if not given; a shorter one is centred.

    Returns
    -------
    Shape (n_bins, n_frames), a view of frames that lie together in memory; the signal is taken as 0 beyond
    its ends.
    """
    weights = _hann(n_fft, window or n_fft).astype(signal.dtype)
    magnitude = np.empty((1 + len(signal) // hop, n_fft // 2 + 1), signal.dtype)
    for part, spectrum in spectra(signal, weights, hop, n_fft):
        np.abs(spectrum, out=magnitude[part])
    return magnitude.T


def spectra(
    signal: np.ndarray, window: np.ndarray, hop: int, n_fft: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Short-time Fourier transforms in batches: yields a slice of frames and its spectra (n_frames, n_bins).

    Frame ``t`` is centred on sample ``t * hop``; the signal is taken as 0 beyond its ends. The window has
    the signal's precision and an even length, and is padded with zeros to ``n_fft`` samples.
    """
    half = len(window) // 2
    padded = np.zeros(len(signal) + 2 * half, signal.dtype)
    padded[half : half + len(signal)] = signal
    step = signal.dtype.itemsize
    frames = np.lib.stride_tricks.as_strided(
        padded, (1 + len(signal) // hop, len(window)), (hop * step, step), writeable=False
    )
    at_once = max(BYTES_AT_ONCE // (n_fft * step), 1)
    windowed = np.zeros((min(at_once, len(frames)), n_fft), signal.dtype)
    for start in range(0, len(frames), at_once):
        part = slice(start, min(start + at_once, len(frames)))
        rows = windowed[: part.stop - part.start]
        np.multiply(frames[part], window, out=rows[:, : len(window)])
        yield part, rfft(rows)


@cache
def _hann(n_fft: int, window: int) -> np.ndarray:
    # To the last bit that of scipy.signal, which librosa uses: the tuning of chroma can hang on that bit.
    weights = 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, window + 1)[:-1])
    left = (n_fft - window) // 2
    return np.pad(weights, (left, n_fft - window - left))


@cache
def mel_filters(rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    """Slaney's triangular filters of unit area, shape (n_mels, n_bins), from 0 Hz to half the rate.

    Reference: Slaney, Auditory Toolbox, Interval Research Corporation Technical Report 1998-010.
    """
    edges = _mel_to_hz(np.linspace(0, _hz_to_mel(rate / 2), n_mels + 2))
    hz = np.fft.rfftfreq(n_fft, 1 / rate)[None]
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    filters = np.minimum((hz - left) / (centre - left), (right - hz) / (right - centre))
    return np.asarray(np.maximum(filters, 0) * 2 / (right - left))


def mel_bands(power: np.ndarray, rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    """Energy in mel bands, shape (n_mels, n_frames), of a power spectrum (n_bins, n_frames).

    Blocks of neighbouring filters multiply only the bins that they cover: a sixth of a full product's time.
    """
    energy = np.empty((n_mels, power.shape[1]), power.dtype)
    for start, (low, high), filters in _mel_blocks(rate, n_fft, n_mels, power.dtype.str):
        np.matmul(filters, power[low:high], out=energy[start : start + len(filters)])
    return energy


@cache
def _mel_blocks(
    rate: int, n_fft: int, n_mels: int, dtype: str
) -> list[tuple[int, tuple[int, int], np.ndarray]]:
    """First filter, range of bins and weights of each run of neighbouring filters."""
    blocks = []
    filters = mel_filters(rate, n_fft, n_mels).astype(dtype)
    for start in range(0, n_mels, FILTERS_AT_ONCE):
        block = filters[start : start + FILTERS_AT_ONCE]
        touched = np.flatnonzero(block.any(axis=0))
        low, high = (int(touched[0]), int(touched[-1]) + 1) if len(touched) else (0, 0)
        blocks.append((start, (low, high), np.ascontiguousarray(block[:, low:high])))
    return blocks


# Slaney's scale: even steps of 200/3 Hz below 1 kHz, 27 logarithmic steps to each factor of 6.4 above.
_HZ_PER_MEL, _KNEE_HZ, _LOG_STEP = 200 / 3, 1000.0, np.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    if hz < _KNEE_HZ:
        return hz / _HZ_PER_MEL
    return float(_KNEE_HZ / _HZ_PER_MEL + np.log(hz / _KNEE_HZ) / _LOG_STEP)


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    knee = _KNEE_HZ / _HZ_PER_MEL
    return np.where(mel < knee, mel * _HZ_PER_MEL, _KNEE_HZ * np.exp(_LOG_STEP * (mel - knee)))


def decibels(power: np.ndarray, reference: float = 1.0) -> np.ndarray:
    """Power in dB above the reference, cut off 80 dB below the highest value."""
    level = np.log(np.maximum(power, AMIN))  # numpy computes it faster than log10
    level *= 10 / math.log(10)
    level -= 10 * math.log10(max(reference, AMIN))
    return np.asarray(np.maximum(level, level.max() - DYNAMIC_RANGE_DB, out=level))

"""Short-time spectra and what maps them: windows, mel bands, chroma, decibels. librosa's conventions."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import fft

AMIN = 1e-10
DYNAMIC_RANGE_DB = 80.0


def short_time_spectrum(signal: np.ndarray, n_fft: int, hop: int, window: int | None = None) -> np.ndarray:
    """Magnitude of the short-time Fourier transform; frame ``t`` is centred on sample ``t * hop``.

    Parameters
    ----------
    signal : float array, shape (n_samples,); the transform has its precision.
    n_fft, hop : length of a transform and distance of frames, samples.
    window : length of the periodic Hann window, ``n_fft`` if not given; shorter ones stand in the middle.

    Returns
    -------
    Shape (n_bins, n_frames); the signal is taken as 0 beyond its ends.
    """
    frames = framed(np.pad(signal, n_fft // 2), n_fft, hop)
    spectrum = fft.rfft(frames * _hann(n_fft, window or n_fft).astype(signal.dtype), axis=1)
    return np.asarray(np.abs(spectrum).T)


def framed(padded: np.ndarray, length: int, hop: int) -> np.ndarray:
    """Overlapping frames, shape (n_frames, length), as a view."""
    return np.lib.stride_tricks.sliding_window_view(padded, length)[::hop]


@cache
def _hann(n_fft: int, window: int) -> np.ndarray:
    left = (n_fft - window) // 2
    return np.pad(np.hanning(window + 1)[:-1], (left, n_fft - window - left))


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
    level = 10 * np.log10(np.maximum(power, AMIN)) - 10 * np.log10(max(reference, AMIN))
    return np.asarray(np.maximum(level, level.max() - DYNAMIC_RANGE_DB))


def shares(values: np.ndarray) -> np.ndarray:
    """Columns divided by their sums; a column of zeros stays so."""
    total = values.sum(axis=0, keepdims=True)
    return np.asarray(values / np.where(total < np.finfo(values.dtype).tiny, 1, total))

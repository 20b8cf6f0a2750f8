"""Fourier transform of a segment of EEG whose ends are tapered."""

from __future__ import annotations

import numpy as np

TAPER = 0.05  # tapered share of a segment, half of it at each end


def tapered_transform(signal: np.ndarray) -> tuple[np.ndarray, float]:
    """Fourier transform of a segment minus its line, with tapered ends.

    Without the taper, the step between the ends would leak slow waves into the fast bands.

    Parameters
    ----------
    signal : shape (n_chans, n_times).

    Returns
    -------
    Complex, shape (n_chans, n_times // 2 + 1), and the factor by which squared magnitudes, summed over the
    bins of a band, are the variance in it: one-sided, for bands without 0 Hz and the Nyquist frequency.
    """
    n_times = signal.shape[1]
    taper = tukey(n_times)
    return np.fft.rfft(detrended(signal) * taper), 2 / (n_times * np.sum(taper**2))


def tukey(n_times: int) -> np.ndarray:
    """Tukey window: half a cosine over half of `TAPER` at each end, flat between."""
    to_end = np.minimum(np.arange(n_times), np.arange(n_times)[::-1])
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.minimum(2 * to_end / (TAPER * (n_times - 1)), 1)))


def detrended(signal: np.ndarray) -> np.ndarray:
    """The signal, (..., n_times), minus its least-squares line."""
    time = np.arange(signal.shape[-1]) - (signal.shape[-1] - 1) / 2
    slope = signal @ time / (time @ time)
    return np.asarray(signal - signal.mean(axis=-1, keepdims=True) - slope[..., None] * time)

"""The log-mel spectrogram that Whisper takes, equal to that of transformers."""

from __future__ import annotations

from functools import cache

import numpy as np

from eavctl.features.spectrum import mel_bands
from eavctl.signals.transforms import rfft

RATE, N_FFT, HOP = 16000, 400, 160
FLOOR, RANGE = 1e-10, 8.0  # of energy, and in powers of ten below the maximum
VARIANCE_FLOOR = 1e-7


def standardized(signal: np.ndarray) -> np.ndarray:
    """A signal with mean 0 and variance 1, float64."""
    centred = signal - signal.mean(dtype=np.float64)
    return np.asarray(centred / np.sqrt(np.square(centred).mean() + VARIANCE_FLOOR))


def log_mel(signal: np.ndarray, n_mels: int) -> np.ndarray:
    """Log-mel spectrogram: Hann windows of 25 ms with a hop of 10 ms, Slaney's mel bands up to 8 kHz.

    The signal is mirrored at its ends. The spectra are computed in double precision, because a band 80 dB
    below the maximum counts as much as the loudest one.

    Parameters
    ----------
    signal : shape (n_samples,), 16 kHz, longer than 200 samples.
    n_mels : number of bands.

    Returns
    -------
    float32, shape (n_mels, n_samples // 160): log10 of the energy, at most 8 below its maximum, plus 4, and
    divided by 4.
    """
    padded = np.pad(signal.astype(np.float64), N_FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP][: len(signal) // HOP]
    spectra = rfft(frames * _window())
    power = (spectra.real**2 + spectra.imag**2).T
    level = np.log10(np.maximum(mel_bands(power, RATE, N_FFT, n_mels), FLOOR))
    return np.asarray((np.maximum(level, level.max() - RANGE) + 4) / 4, np.float32)


@cache
def _window() -> np.ndarray:
    """The periodic Hann window."""
    return np.hanning(N_FFT + 1)[:-1]

"""Fast Fourier transforms of real signals by scipy's compiled module, without importing ``scipy.fft``.

Importing ``scipy.fft`` takes 30 MB and longer than all other imports of a prediction, because it imports
``scipy.special`` and much of numpy. So its compiled module is loaded alone if it is where scipy 1.4 to 1.17
have it; otherwise ``scipy.fft`` runs, with the same results.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from eavctl.signals.kernels import load_kernel

KERNEL = ("fft", "_pocketfft", "pypocketfft")  # folders and module, below scipy


@cache
def _kernel() -> Any:
    """The module of the compiled transforms; None if this version of scipy has it elsewhere."""
    module = load_kernel(*KERNEL)
    try:
        round_trip = module.c2r(module.r2c(np.ones(2), (0,), True, 0, None, 1), (0,), 2, False, 2, None, 1)
    except (AttributeError, TypeError):  # another signature, in another version of scipy
        return None
    return module if round_trip.tolist() == [1, 1] else None


def rfft(signals: np.ndarray, n_fft: int | None = None) -> np.ndarray:
    """Fourier transform of real signals along the last axis, in their precision.

    Parameters
    ----------
    signals : float32 or float64, shape (..., n_samples).
    n_fft : length of the transform, at least n_samples; signals are padded with zeros. None is n_samples.

    Returns
    -------
    complex64 or complex128, shape (..., n_fft // 2 + 1), identical to ``scipy.fft.rfft``.
    """
    if n_fft is not None and n_fft != signals.shape[-1]:
        padded = np.zeros((*signals.shape[:-1], n_fft), signals.dtype)
        padded[..., : signals.shape[-1]] = signals
        signals = padded
    kernel = _kernel()
    if kernel is None:
        from scipy import fft

        return np.asarray(fft.rfft(signals))
    return np.asarray(kernel.r2c(signals, (signals.ndim - 1,), True, 0, None, 1))


def irfft(spectra: np.ndarray, n_fft: int) -> np.ndarray:
    """The real signals, shape (..., n_fft), whose transforms are ``spectra``, (..., n_fft // 2 + 1)."""
    kernel = _kernel()
    if kernel is None:
        from scipy import fft

        return np.asarray(fft.irfft(spectra, n_fft))
    return np.asarray(kernel.c2r(spectra, (spectra.ndim - 1,), n_fft, False, 2, None, 1))


def fast_length(n_samples: int) -> int:
    """The smallest length of at least ``n_samples`` with a fast transform: a product of 2, 3 and 5."""
    length = n_samples
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 1


@cache
def dct_matrix(n_out: int, n_in: int) -> np.ndarray:
    """The first rows of the orthonormal discrete cosine transform (type 2), float64 (n_out, n_in)."""
    angles = np.pi / n_in * np.outer(np.arange(n_out), np.arange(n_in) + 0.5)
    matrix = np.cos(angles) * np.sqrt(2 / n_in)
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix)

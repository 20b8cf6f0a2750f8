"""The zero-phase Butterworth band-pass, by scipy's compiled recursion without the rest of ``scipy.signal``.

Importing that takes as long as filtering twenty trials and more, and 70 MB. So its kernel is loaded by itself
where it lies as in scipy 1.5 to 1.17; where not, through ``scipy.signal``, with the same results.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from eavctl.signals.kernels import load_kernel

KERNEL = ("signal", "_sosfilt")  # folder and module, below scipy
RINGING_PERIODS, RUNG_OUT = 20, 1e-3  # of the lowest frequency; of the impulse response's maximum


def zero_phase(signal: np.ndarray, sfreq: float, low: float, high: float, order: int) -> np.ndarray:
    """Band-pass forward and backward, over the signal and its point reflections while the filter rings.

    To rounding this is ``scipy.signal.sosfiltfilt`` with ``padlen`` of that ringing, or as long as the signal
    allows.

    Parameters
    ----------
    signal : float64, shape (n_chans, n_times), at least 2 samples.
    sfreq : Hz.
    low, high : edges of the pass-band, Hz; 6 dB down.
    order : of the filter, before it runs twice.

    Returns
    -------
    float64, shape (n_chans, n_times).

    References
    ----------
    Gustafsson, Determining the initial states in forward-backward filtering, IEEE TSP 44, 1996.
    """
    design = _butterworth(sfreq, low, high, order)
    n_times = signal.shape[1]
    padding = min(design.ringing, n_times - 1)
    before = 2 * signal[:, :1] - signal[:, padding:0:-1]
    after = 2 * signal[:, -1:] - signal[:, -2 : -2 - padding : -1]
    forward = design.run(np.concatenate([before, signal, after], axis=1))
    backward = design.run(np.ascontiguousarray(forward[:, ::-1]))
    return backward[:, ::-1][:, padding : padding + n_times]


@dataclass(frozen=True)
class _Filter:
    """Second-order sections (n_sections, 6), and how many samples their response takes to ring out."""

    sections: np.ndarray
    ringing: int

    def run(self, signal: np.ndarray) -> np.ndarray:
        """Filter a signal (n_chans, n_times) from one end to the other, in place; settled on its first value.

        Settled, the first section gives 0, as the pass-band holds no 0 Hz, and the others are at rest.
        """
        states = np.zeros((len(signal), len(self.sections), 2))
        states[:, 0] = self.sections[0, 2] * signal[:, :1]
        return _recursion(self.sections, signal, states)


@functools.lru_cache(maxsize=2)
def _butterworth(sfreq: float, low: float, high: float, order: int) -> _Filter:
    """The filter by the bilinear transform, as ``scipy.signal.butter`` makes it.

    Each section has two poles and zeros at 0 Hz and at the Nyquist frequency, and a gain of 1 at the centre.
    """
    lower, upper = np.tan(np.pi * np.array([low, high]) / sfreq)
    prototype = -np.exp(0.5j * np.pi * np.arange(1 - order, order, 2) / order) * (upper - lower) / 2
    spread = np.sqrt(prototype**2 - lower * upper)
    analog = np.concatenate([prototype + spread, prototype - spread])
    poles = (1 + analog) / (1 - analog)
    above, real = poles[poles.imag > 0], poles[poles.imag == 0]
    one = np.concatenate([above, real[0::2]])
    other = np.concatenate([above.conj(), real[1::2]])
    denominators = np.stack([np.ones(order), -(one + other).real, (one * other).real], axis=1)
    centre = np.exp(-2j * np.arctan(np.sqrt(lower * upper)) * np.arange(3))  # powers of 1 / z
    gains = np.abs(denominators @ centre) / np.abs(1 - centre[2])
    sections = np.hstack([gains[:, None] * np.array([1.0, 0.0, -1.0]), denominators])
    impulse = np.eye(1, round(RINGING_PERIODS * sfreq / low) + 1)
    response = np.abs(_recursion(sections, impulse, np.zeros((1, order, 2)))[0])
    return _Filter(sections, int(np.flatnonzero(response > RUNG_OUT * response.max())[-1]))


@functools.cache
def _kernel() -> Any:
    """The module that holds the compiled recursion, or None where scipy has it elsewhere."""
    module = load_kernel(*KERNEL)
    trial = np.ones((1, 2))
    try:
        module._sosfilt(np.array([[0.5, 0, 0, 1, 0, 0]]), trial, np.zeros((1, 1, 2)))
    except (AttributeError, TypeError, ValueError):  # another scipy, which has it otherwise
        return None
    return module if trial.tolist() == [[0.5, 0.5]] else None


def _recursion(sections: np.ndarray, signal: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Run sections over a signal (n_chans, n_times), in place, from states (n_chans, n_sections, 2)."""
    kernel = _kernel()
    if kernel is None:
        from scipy.signal import sosfilt

        return np.asarray(sosfilt(sections, signal, axis=1, zi=states.swapaxes(0, 1))[0])
    kernel._sosfilt(sections, signal, states)
    return signal

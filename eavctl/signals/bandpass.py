"""Butterworth band-pass filters and notches, zero-phase and causal, run by scipy's compiled recursion.

Importing ``scipy.signal`` takes longer than filtering twenty trials, and 70 MB. So its compiled kernel is
loaded alone if it is where scipy 1.5 to 1.17 have it; otherwise ``scipy.signal`` runs, with the same results.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eavctl.signals.kernels import load_kernel

KERNEL = ("signal", "_sosfilt")  # folder and module, below scipy
RINGING_PERIODS = 20  # length of the impulse response computed, in periods of the lower edge
RUNG_OUT = 1e-3  # of the impulse response's maximum: below it, ringing has ended
SETTLED = 1e-6  # of a transient: what is left of it after the settling time
NOTCH_Q = 30.0  # frequency of a notch over its width at -3 dB: 1.7 Hz at 50 Hz


def zero_phase(
    signal: np.ndarray, sfreq: float, low: float, high: float, order: int, notch: Sequence[float] = ()
) -> np.ndarray:
    """Band-pass filter forward and backward, after padding both ends by point reflection.

    Equal, up to rounding, to ``scipy.signal.sosfiltfilt`` with ``padlen`` set to the ringing time of the
    filter, or to the length of the signal where that is shorter. Notches are those of
    ``scipy.signal.iirnotch`` with a Q of 30, in one cascade with the band-pass.

    Parameters
    ----------
    signal : float64, shape (n_chans, n_times), at least 2 samples.
    sfreq : sampling rate, Hz.
    low, high : edges of the pass-band in Hz, where the gain of both passes together is -6 dB.
    order : order of the filter in each direction.
    notch : frequencies that are removed, in Hz, below sfreq / 2; the gain is -6 dB at 1/60 of the frequency
        above and below.

    Returns
    -------
    float64, shape (n_chans, n_times).

    References
    ----------
    Gustafsson, Determining the initial states in forward-backward filtering, IEEE TSP 44, 1996.
    """
    design = _design(sfreq, low, high, order, tuple(notch))
    n_times = signal.shape[1]
    padding = min(design.ringing, n_times - 1)
    before = 2 * signal[:, :1] - signal[:, padding:0:-1]
    after = 2 * signal[:, -1:] - signal[:, -2 : -2 - padding : -1]
    forward = design.run(np.concatenate([before, signal, after], axis=1))
    backward = design.run(np.ascontiguousarray(forward[:, ::-1]))
    return backward[:, ::-1][:, padding : padding + n_times]


def causal(
    signal: np.ndarray, sfreq: float, low: float, high: float, order: int, notch: Sequence[float] = ()
) -> np.ndarray:
    """Band-pass filter forward only: no value depends on later samples.

    Parameters
    ----------
    signal : float64, shape (n_chans, n_times).
    sfreq : sampling rate, Hz.
    low, high : edges of the pass-band in Hz, where the gain is -3 dB.
    order : order of the filter.
    notch : as in `zero_phase`; the gain at the same places is -3 dB.

    Returns
    -------
    float64, shape (n_chans, n_times); the filter starts settled on the first value.
    """
    return _design(sfreq, low, high, order, tuple(notch)).run(np.array(signal, np.float64, order="C"))


def settling_s(low: float, high: float, order: int, notch: Sequence[float] = ()) -> float:
    """Seconds in which a transient of the filter decays to a millionth.

    That is how much must precede a window, so that it is filtered as within the whole recording.

    Parameters
    ----------
    low, high, order, notch : as `causal` and `zero_phase` take them.
    """
    slowest = -_analog_poles(2 * np.pi * low, 2 * np.pi * high, order).real.max()  # decay, 1/s
    return float(-np.log(SETTLED) / min(slowest, *(np.pi * hz / NOTCH_Q for hz in notch), np.inf))


@dataclass(frozen=True)
class _Filter:
    """Second-order sections (n_sections, 6), and the number of samples for which their response rings."""

    sections: np.ndarray
    ringing: int

    def run(self, signal: np.ndarray) -> np.ndarray:
        """Filter a signal (n_chans, n_times) once, in place, starting settled on its first value.

        Settled, a notch passes the value on, and the first section of the band-pass gives 0, because the
        pass-band excludes 0 Hz; the others are at rest.
        """
        states = np.zeros((len(signal), len(self.sections), 2))
        for number, (b0, b1, b2, _, a1, a2) in enumerate(self.sections):
            gain = (b0 + b1 + b2) / (1 + a1 + a2)  # at 0 Hz
            last = b2 - a2 * gain
            states[:, number] = signal[:, :1] * np.array([b1 - a1 * gain + last, last])
            if gain == 0:
                break
        return _recursion(self.sections, signal, states)


@functools.lru_cache(maxsize=2)
def _design(sfreq: float, low: float, high: float, order: int, notch: tuple[float, ...]) -> _Filter:
    """The notches, and then the band-pass: both are sections of one cascade."""
    sections = np.concatenate([_notches(sfreq, notch), _butterworth(sfreq, low, high, order)])
    seconds = RINGING_PERIODS / min(low, *(hz / NOTCH_Q for hz in notch), np.inf)
    impulse = np.eye(1, round(seconds * sfreq) + 1)
    response = np.abs(_recursion(sections, impulse, np.zeros((1, len(sections), 2)))[0])
    return _Filter(sections, int(np.flatnonzero(response > RUNG_OUT * response.max())[-1]))


def _notches(sfreq: float, notch: Sequence[float]) -> np.ndarray:
    """Sections that remove one frequency each, as ``scipy.signal.iirnotch`` designs them; (n_notches, 6)."""
    turn = 2 * np.pi * np.array(notch, np.float64) / sfreq
    gain = 1 / (1 + np.tan(turn / NOTCH_Q / 2))
    middle, one = -2 * gain * np.cos(turn), np.ones_like(turn)
    return np.stack([gain, middle, gain, one, middle, 2 * gain - 1], axis=1)


def _butterworth(sfreq: float, low: float, high: float, order: int) -> np.ndarray:
    """Sections of the band-pass by the bilinear transform, as ``scipy.signal.butter`` has it; (order, 6).

    Each section has two poles, zeros at 0 Hz and at the Nyquist frequency, and a gain of 1 at the centre.
    """
    lower, upper = np.tan(np.pi * np.array([low, high]) / sfreq)
    analog = _analog_poles(lower, upper, order)
    poles = (1 + analog) / (1 - analog)
    above, real = poles[poles.imag > 0], poles[poles.imag == 0]
    one = np.concatenate([above, real[0::2]])
    other = np.concatenate([above.conj(), real[1::2]])
    denominators = np.stack([np.ones(order), -(one + other).real, (one * other).real], axis=1)
    centre = np.exp(-2j * np.arctan(np.sqrt(lower * upper)) * np.arange(3))  # powers of 1 / z
    gains = np.abs(denominators @ centre) / np.abs(1 - centre[2])
    return np.hstack([gains[:, None] * np.array([1.0, 0.0, -1.0]), denominators])


def _analog_poles(lower: float, upper: float, order: int) -> np.ndarray:
    """Poles of the band-pass before the bilinear transform, in the unit of its edges, shape (2 * order,)."""
    prototype = -np.exp(0.5j * np.pi * np.arange(1 - order, order, 2) / order) * (upper - lower) / 2
    spread = np.sqrt(prototype**2 - lower * upper)
    return np.concatenate([prototype + spread, prototype - spread])


@functools.cache
def _kernel() -> Any:
    """The module of the compiled recursion; None if this version of scipy has it elsewhere."""
    module = load_kernel(*KERNEL)
    trial = np.ones((1, 2))
    try:
        module._sosfilt(np.array([[0.5, 0, 0, 1, 0, 0]]), trial, np.zeros((1, 1, 2)))
    except (AttributeError, TypeError, ValueError):  # another signature, in another version of scipy
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

"""The zero-phase Butterworth band-pass by Fourier transform, equal to the recursive one up to the ends."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from eavctl.signals.transforms import fast_length

RINGING_PERIODS, RUNG_OUT = 20, 1e-3  # of the lowest frequency; of the impulse response's maximum
FADED = 1e-18  # of a mode: what is left of it then is rounding
APART = 1e-6  # least distance of poles; what moving them by so little changes is its square


def zero_phase(signal: np.ndarray, sfreq: float, low: float, high: float, order: int) -> np.ndarray:
    """Band-pass forward and backward, over the signal and its point reflections while the filter rings.

    To rounding this is ``scipy.signal.sosfiltfilt`` with ``padlen`` of that ringing, several times as fast: a
    recursion waits for its last value at every sample, a Fourier transform does not, and what the two passes
    amount to is a gain, 1 / (1 + x^(2 order)). They differ where the passes begin and end and where the
    transform closes to a circle: by the filter's own modes, geometric series that start at either end, whose
    sizes follow in closed form from the filter's partial fractions.

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
    n_times = signal.shape[1]
    plan = _plan(n_times, sfreq, low, high, order)
    extended = plan.extended(signal)
    spectrum = np.fft.rfft(extended)
    spectrum *= plan.gain
    found = np.fft.irfft(spectrum, plan.n_fft)[:, plan.padding : plan.padding + n_times]
    left, right = plan.at_the_ends(extended)
    reach = min(len(plan.series), n_times)
    found[:, :reach] += _real(left) @ plan.series[:reach].T
    found[:, n_times - reach :] += _real(right) @ plan.reversed[-reach:].T
    return found


@dataclass(frozen=True)
class _Filter:
    """Poles p and residues r of H(z) = direct + sum of r / (1 - p / z).

    Of two conjugate poles, only the one above the real axis is held.
    """

    poles: np.ndarray
    residues: np.ndarray
    direct: float

    @property
    def weights(self) -> np.ndarray:
        """For how many poles each stands."""
        return np.where(self.poles.imag > 0, 2.0, 1.0)

    def with_conjugates(self, values: np.ndarray) -> np.ndarray:
        """Values (..., n_poles) of the poles held, and of all others after them."""
        return np.concatenate([values, values[..., self.poles.imag > 0].conj()], axis=-1)

    def series(self, length: int) -> np.ndarray:
        """Powers of the poles, 0 to ``length`` - 1: complex, (length, n_poles)."""
        return np.cumprod(np.vstack([np.ones_like(self.poles), np.tile(self.poles, (length - 1, 1))]), axis=0)

    def ringing(self, length: int) -> int:
        """After how many samples the impulse response stays below a thousandth of its maximum."""
        response = (self.series(length) @ (self.weights * self.residues)).real
        response[0] += self.direct
        response = np.abs(response)
        return int(np.flatnonzero(response > RUNG_OUT * response.max())[-1])


def _butterworth(sfreq: float, low: float, high: float, order: int) -> _Filter:
    """The band-pass by the bilinear transform, as ``scipy.signal.butter`` makes it, in partial fractions."""
    lower, upper = _warped(np.array([low, high]), sfreq)
    prototype = -np.exp(0.5j * np.pi * np.arange(1 - order, order, 2) / order) * (upper - lower) / 2
    spread = np.sqrt(prototype**2 - lower * upper)
    spread[np.abs(spread) < APART * upper] = APART * upper  # two poles in one place have no partial fractions
    analog = np.concatenate([prototype + spread, prototype - spread])
    poles = (1 + analog) / (1 - analog)
    scale = ((upper - lower) ** order / np.prod(1 - analog)).real
    differences = poles[:, None] - poles
    np.fill_diagonal(differences, 1)
    residues = scale * (poles**2 - 1) ** order / (poles * differences.prod(axis=1))
    held = poles.imag >= 0
    return _Filter(poles[held], residues[held], float(scale * (-1) ** order / np.prod(poles).real))


def _warped(hz: np.ndarray, sfreq: float) -> np.ndarray:
    """Frequencies as the bilinear transform bends them, the Nyquist frequency to infinity."""
    return np.asarray(np.tan(np.pi * hz / sfreq))


@dataclass(frozen=True)
class _Plan:
    """All about a filter that signals of one length share.

    Parameters
    ----------
    padding : samples by which the signal is continued at either end.
    n_fft : length of the transform.
    gain : of both passes, (n_fft // 2 + 1,).
    series, reversed : powers of the poles, rising and falling, no further than there are samples; complex
        numbers as pairs, (n_series, 2 n_poles).
    """

    filter: _Filter
    n_times: int
    padding: int
    n_fft: int
    gain: np.ndarray
    series: np.ndarray
    reversed: np.ndarray

    @property
    def length(self) -> int:
        """Samples of the continued signal."""
        return self.n_times + 2 * self.padding

    def extended(self, signal: np.ndarray) -> np.ndarray:
        """The signal between its point reflections, less its first value then, and zeros: (n_chans, n_fft).

        Less its first value: so the first pass starts settled on it, as the pass-band holds no 0 Hz.
        """
        start, stop = self.padding, self.padding + self.n_times
        found = np.empty((len(signal), self.n_fft))
        first, last = signal[:, :1], signal[:, -1:]
        found[:, start:stop] = signal
        np.subtract(2 * first, signal[:, start:0:-1], out=found[:, :start])
        np.subtract(2 * last, signal[:, -2 : -2 - start : -1], out=found[:, stop : self.length])
        found[:, : self.length] -= found[:, :1].copy()
        found[:, self.length :] = 0
        return found

    def at_the_ends(self, extended: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the transform lacks: the modes, counted from the first and the last sample of the signal.

        Each complex, shape (n_chans, n_poles). With u the continued signal of m samples, h the impulse
        response and y the first pass:

        - The second pass starts settled on y's last value, and takes y to end there, where the transform
          lets it ring out: backward, a mode answers another by 1 / (1 - p q), and a step by 1 / (1 - p).
        - The transform has every sample again n_fft earlier and later, from where its two-sided response,
          the autocorrelation of h, reaches in: ``a`` p^lag.
        """
        f, m, reach = self.filter, self.length, len(self.series)
        from_first = (extended[:, :reach] @ self.series).view(np.complex128)  # sum of p^s u[s]
        from_last = (extended[:, m - reach : m] @ self.reversed).view(np.complex128)  # of p^(m - 1 - s) u[s]
        poles, residues = f.with_conjugates(f.poles), f.with_conjugates(f.residues)
        rung = f.with_conjugates(from_last) * residues
        last = f.direct * extended[:, m - 1] + rung.sum(axis=1).real
        answers = 1 / (1 - f.poles * poles[:, None])  # (all poles, poles held)
        second = f.residues * (last[:, None] / (1 - f.poles) - (rung * poles) @ answers)
        wrapped = f.residues * (f.direct + residues @ answers) * f.poles ** (self.n_fft - m)
        wrapped /= 1 - f.poles**self.n_fft
        shift = f.weights * f.poles ** (self.padding + 1)
        return -shift * wrapped * from_last, shift * (second - wrapped * from_first)


@functools.lru_cache(maxsize=2)
def _plan(n_times: int, sfreq: float, low: float, high: float, order: int) -> _Plan:
    design = _butterworth(sfreq, low, high, order)
    padding = min(design.ringing(round(RINGING_PERIODS * sfreq / low) + 1), n_times - 1)
    length = n_times + 2 * padding
    n_fft = 2 * fast_length(-(-length // 2))  # even
    hz = np.fft.rfftfreq(n_fft, 1 / sfreq)
    lower, upper = _warped(np.array([low, high]), sfreq)
    with np.errstate(divide="ignore", over="ignore"):
        bent = _warped(hz, sfreq)
        gain = 1 / (1 + ((bent - lower * upper / bent) / (upper - lower)) ** (2 * order))
    fading = np.ceil(np.log(FADED) / np.log(np.abs(design.poles).max()))
    series = design.series(min(length, int(fading))).view(np.float64)
    return _Plan(design, n_times, padding, n_fft, gain, series, np.ascontiguousarray(series[::-1]))


def _real(coefficients: np.ndarray) -> np.ndarray:
    """Such that a product with a complex series, both seen as real, is the real part of the complex one."""
    return coefficients.conj().view(np.float64)

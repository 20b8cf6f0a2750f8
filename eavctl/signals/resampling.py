"""Resampling by a rational factor with a low-pass filter of linear or minimum phase, as matrix products."""

from __future__ import annotations

import functools
from fractions import Fraction

import numpy as np

from eavctl.errors import UsageError

LARGEST_RATIO = 1000  # numerator and denominator of the change of rate
STOPBAND_BETA = 8.0  # Kaiser window with 80 dB of stop-band attenuation
CEPSTRUM = 32  # its length over the low-pass's: shorter ones alias
LEAST_GAIN = 1e-6  # its logarithm stands for that of the low-pass's zeros
HALF_LENGTH = 32  # periods of the lower rate; the transition band is then a tenth of the new rate


def ratio(sfreq: float, rate: float) -> tuple[int, int]:
    """Factors of up- and downsampling from one sampling rate to another, in Hz.

    The nearest ratio with a denominator of at most 1000 is used.

    Raises
    ------
    UsageError : the rates are too far apart.
    """
    found = (Fraction(rate) / Fraction(sfreq)).limit_denominator(LARGEST_RATIO)
    if not 0 < found.numerator <= 10 * LARGEST_RATIO:
        raise UsageError(f"resampling from {sfreq:g} to {rate:g} Hz is not possible: too far apart")
    return found.numerator, found.denominator


def resampled(signal: np.ndarray, up: int, down: int, *, is_causal: bool = False) -> np.ndarray:
    """Resample by ``up / down``, after padding both ends by point reflection.

    Equal, up to rounding, to ``scipy.signal.resample_poly`` with ``padtype="antireflect"`` and the window
    ``firwin(64 * slower + 1, 1 / slower, window=("kaiser", 8))``, where ``slower`` is the larger factor.
    Blocks of the result are matrix products of blocks of samples: more multiplications, but many times
    faster.

    Parameters
    ----------
    signal : float64, shape (n_chans, n_times).
    up, down : factors, see `ratio`.
    is_causal : use no sample after the time of a value. The low-pass then has the same gain and minimum
        phase, and delays by 2.5 periods of the lower rate, by 5.5 at 0.8 of its Nyquist frequency; before the
        start, the first value is repeated.

    Returns
    -------
    float64, shape (n_chans, ceil(n_times * up / down)).
    """
    if up == down:
        return signal
    n_chans, n_times = signal.shape
    n_values = -(-n_times * up // down)
    weights, lead = _weights(up, down, is_causal)  # (n_windows, step, values)
    n_windows, step, values = weights.shape
    n_blocks = -(-n_values // values)
    n_samples = (n_blocks + n_windows - 1) * step
    used = signal[:, : n_samples - lead]  # causal values can need none of the last samples
    around = ((0, 0), (lead, n_samples - lead - used.shape[1]))
    if is_causal:
        continued = np.pad(used, around, mode="edge")
    else:
        continued = np.pad(used, around, mode="reflect", reflect_type="odd")
    continued = continued.reshape(n_chans, -1, step)
    found = continued[:, :n_blocks] @ weights[0]
    for window in range(1, n_windows):
        found += continued[:, window : window + n_blocks] @ weights[window]
    return np.asarray(found.reshape(n_chans, -1)[:, :n_values])


@functools.lru_cache(maxsize=2)
def _weights(up: int, down: int, is_causal: bool) -> tuple[np.ndarray, int]:
    """Weights, shifted low-pass filters, of the samples of neighbouring blocks in the values of one block.

    Returns
    -------
    Weights, shape (n_windows, samples per block, values per block), and the number of samples by which a
    block begins before its first value.
    """
    low_pass = _low_pass(max(up, down)) * up
    half = len(low_pass) // 2
    centre = 0 if is_causal else half  # the tap of the sample at the time of a value
    if is_causal:
        low_pass = _minimum_phase(low_pass)
    lead = (len(low_pass) - 1 - centre) // up
    repeats = max(round(half / (up * down)), 1)  # a block is half as long as the low-pass
    step, values = repeats * down, repeats * up
    last = ((values - 1) * down + centre) // up + lead  # the last sample that the last value needs
    n_windows = last // step + 1
    samples = np.arange(n_windows * step)[:, None] - lead
    taps = centre + np.arange(values) * down - samples * up
    found = np.where((taps >= 0) & (taps < len(low_pass)), low_pass[taps.clip(0, len(low_pass) - 1)], 0)
    return found.reshape(n_windows, step, values), lead


def _low_pass(slower: int) -> np.ndarray:
    """Windowed sinc with -6 dB at the Nyquist frequency of a rate ``slower`` times lower; sums to 1."""
    half = HALF_LENGTH * slower
    found = np.sinc(np.arange(-half, half + 1) / slower) * np.kaiser(2 * half + 1, STOPBAND_BETA)
    return np.asarray(found / found.sum())


def _minimum_phase(low_pass: np.ndarray) -> np.ndarray:
    """The causal filter of the same length and gain that delays least, by folding the cepstrum [1]_.

    References
    ----------
    .. [1] Oppenheim, Schafer: Discrete-time signal processing, 2nd edition, 1999, chapter 11.
    """
    n = 1 << (CEPSTRUM * len(low_pass) - 1).bit_length()
    gain = np.abs(np.fft.rfft(low_pass, n))
    cepstrum = np.fft.irfft(np.log(np.maximum(gain, LEAST_GAIN * gain[0])))
    cepstrum[1 : n // 2] *= 2
    cepstrum[n // 2 + 1 :] = 0
    found = np.fft.irfft(np.exp(np.fft.rfft(cepstrum)))[: len(low_pass)]
    return np.asarray(found * (low_pass.sum() / found.sum()))

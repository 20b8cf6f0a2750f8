"""Feature sets of EEG: ``eeg-epochs``, the filtered signal for networks, and ``eeg-bands``, for the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np

from eavctl.errors import SignalError, UsageError
from eavctl.registry import register
from eavctl.settings import Within
from eavctl.signals.bandpass import zero_phase
from eavctl.signals.eeg_file import LEAVE_OUT
from eavctl.signals.resampling import ratio, resampled

BANDS = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 45.0),
}  # Hz, the upper end not included
TAPER = 0.05  # share of a segment in which it is faded in and out, half at each end
WELCH_S = 2.0
SHORTEST_S = 1.0  # one period of the slowest band
FLOOR = 1e-4  # microvolt^2; a hundredth of a microvolt is below any amplifier's noise

GROUP_VALUES = 1 << 16  # filtered at once: they and what is made of them stay in the processor's cache

Rate = Annotated[float, Within(1, 20_000)]  # Hz
Edge = Annotated[float, Within(0.01, 10_000)]  # Hz
Order = Annotated[int, Within(1, 10)]

HOMOLOGOUS = re.compile(r"(Fp|AF|F|FT|FC|T|TP|C|CP|P|PO|O|I|N)(\d+)")


def prepare(
    signal: np.ndarray, sfreq: float, *, rate: float, low: float, high: float, order: int
) -> tuple[np.ndarray, float]:
    """Band-pass and resample one whole trial or recording, zero-phase; nothing of another trial gets in.

    A Butterworth filter runs forward and backward at the original rate (so each edge is 6 dB down, and the
    slope that of twice the order), over the signal continued by its point reflection for as long as the
    filter rings: MNE's ``filter_data(method="iir")`` to rounding; see `zero_phase`. Then a linear-phase
    low-pass, 6 dB down at the lower of the two Nyquist frequencies, flat up to nine tenths of
    it, and its mirror image 60 dB down and more; and the new rate. With ``high`` at the new Nyquist
    frequency itself (50 Hz at 100 Hz, as the EAV paper has it) the tenth below it is attenuated further,
    and what lies as little above it folds back into it, 12 dB down at 50 Hz itself.

    Parameters
    ----------
    signal : shape (n_chans, n_times), microvolt.
    sfreq : Hz.
    rate : Hz to resample to.
    low, high : edges of the pass-band, Hz; ``high`` below sfreq / 2 and not above rate / 2.
    order : of the Butterworth filter, before it runs twice.

    Returns
    -------
    float64, shape (n_chans, ceil(n_times * rate / sfreq)), and its exact rate in Hz: ``rate``, or as near to
    it as a ratio of whole numbers up to 1000 comes.

    Raises
    ------
    SignalError : too short for the filter, or sampled too slowly for ``high``.
    UsageError : settings that cannot be meant.

    References
    ----------
    Gustafsson, Determining the initial states in forward-backward filtering, IEEE TSP 44, 1996.
    """
    _check_filter(rate, low, high, order)
    if high >= sfreq / 2:
        raise SignalError(
            f"sampled at {sfreq:g} Hz, too slowly for a pass-band up to {high:g} Hz; set high below "
            f"{sfreq / 2:g}"
        )
    shortest = 3 * (2 * order + 1)
    n_chans, n_times = signal.shape
    if n_times <= shortest:
        raise SignalError(f"too short to be filtered: {n_times} samples, more than {shortest} are needed")
    up, down = ratio(sfreq, rate)
    found = np.empty((n_chans, -(-n_times * up // down)))
    group = max(GROUP_VALUES // n_times, 1)
    for first in range(0, n_chans, group):  # a long recording is not held several times
        part = np.asarray(signal[first : first + group], dtype=np.float64)
        found[first : first + group] = resampled(zero_phase(part, sfreq, low, high, order), up, down)
    exact = sfreq * up / down
    return found, float(rate) if abs(exact - rate) < 1e-9 * rate else exact


def _check_settings(
    *, channels: Sequence[str] | None, rate: float, low: float, high: float, order: int
) -> None:
    """Refuse settings that cannot be meant together, before a recording is opened."""
    if channels and len(set(channels)) < len(channels):
        raise UsageError(f"channels: a name stands there twice: {', '.join(channels)}")
    _check_filter(rate, low, high, order)


def _check_band_settings(*, low: float, high: float, **others: Any) -> None:
    _check_bands(low, high)
    _check_settings(low=low, high=high, **others)


def _check_bands(low: float, high: float) -> None:
    lowest, highest = BANDS["delta"][0], BANDS["gamma"][1]
    if low > lowest or high < highest:
        raise UsageError(
            f"eeg-bands needs a pass-band of {lowest:g} to {highest:g} Hz, not {low:g} to {high:g}"
        )


def _check_filter(rate: float, low: float, high: float, order: int) -> None:
    if not 0 < low < high:
        raise UsageError(f"a pass-band from {low:g} to {high:g} Hz cannot be: 0 < low < high")
    if high > rate / 2:
        raise UsageError(f"high {high:g} Hz is above half the rate of {rate:g} Hz: lower high, or raise rate")
    if order < 1:
        raise UsageError(f"a filter of order {order} cannot be: 1 or more")


@register(
    "features",
    "eeg-epochs",
    modality="eeg",
    version=2,
    rate=None,
    columns=None,
    units="microvolt",
    prepare=prepare,
    check=_check_settings,
    band_axis=0,
)
def eeg_epochs(
    signal: np.ndarray,
    sfreq: float,
    *,
    channels: Sequence[str] | None = None,
    rate: Rate = 100,
    low: Edge = 0.5,
    high: Edge = 45.0,
    order: Order = 5,
) -> np.ndarray:
    """The signal itself, as `prepare` left it: band-passed, zero-phase and resampled.

    Parameters
    ----------
    signal : shape (n_chans, n_times), microvolt, after `prepare`.
    sfreq : Hz, that of ``rate``.
    channels : names of its rows.
    rate, low, high, order : the settings of `prepare`.

    Returns
    -------
    float32, shape (n_chans, n_times), microvolt.

    Raises
    ------
    SignalError : empty, not finite, or a channel is flat (deviates by less than 0.01 microvolt).

    References
    ----------
    Lee et al., EAV: EEG-Audio-Video dataset, Scientific Data 11, 2024 (0.5 to 50 Hz, 100 Hz).
    """
    _check_segment(signal, channels)
    return signal.astype(np.float32)


def _band_columns(*, channels: Sequence[str] | None = None, **settings: object) -> tuple[str, ...]:
    names = channels or ()
    pairs = [f"{names[right]}-{names[left]}" for left, right in homologous_pairs(names)]
    parts = (("de", names), ("power", names), ("asymmetry", pairs))
    return tuple(f"{band}_{part}_{name}" for part, of in parts for band in BANDS for name in of)


@register(
    "features",
    "eeg-bands",
    modality="eeg",
    version=2,
    rate=None,
    columns=_band_columns,
    units="nat (de, asymmetry), log10 of a share (power)",
    prepare=prepare,
    check=_check_band_settings,
)
def eeg_bands(
    signal: np.ndarray,
    sfreq: float,
    *,
    channels: Sequence[str] | None = None,
    rate: Rate = 200,
    low: Edge = 0.5,
    high: Edge = 50.0,
    order: Order = 5,
) -> np.ndarray:
    """Differential entropy, relative power and left-right asymmetry in five bands.

    Differential entropy of a band is that of a Gaussian signal of its variance, 0.5 ln(2 pi e variance):
    the absolute strength, on the scale on which EEG is near normal and an SVM does well [1]_. Relative power
    is the logarithm of the band's share of the power of all five, by Welch's method: free of the gain of
    electrode and skull, which differs more between people than emotion moves it, and smoothed where the
    entropy is not. Asymmetry is ln(power) right minus left for each pair of homologous places, found by
    name: a digit is odd on the left, and one more is its place on the right [2]_.

    Parameters
    ----------
    signal : shape (n_chans, n_times), microvolt, after `prepare`; at least 1 s.
    sfreq : Hz, that of ``rate``.
    channels : names of its rows; without them there are no pairs.
    rate, low, high, order : the settings of `prepare`; the pass-band must hold 1 to 45 Hz.

    Returns
    -------
    float32: entropies, relative powers, asymmetries; within each, band after band. Bands below 0.01
    microvolt count as that.

    Raises
    ------
    SignalError : shorter than 1 s, not finite, or a channel is flat (deviates by less than 0.01 microvolt).
    UsageError : the pass-band cuts off a band.

    References
    ----------
    .. [1] Duan, Zhu, Lu, Differential entropy feature for EEG-based emotion classification, NER 2013.
    .. [2] Davidson, Anterior cerebral asymmetry and the nature of emotion, Brain and Cognition 20, 1992.
    """
    _check_bands(low, high)
    _check_segment(signal, channels)
    if signal.shape[1] < SHORTEST_S * sfreq:
        raise SignalError(f"too short: {signal.shape[1] / sfreq:.2f} s, and {SHORTEST_S:g} s are needed")
    signal = np.asarray(signal, dtype=np.float64)
    entropy = 0.5 * np.log(2 * np.pi * np.e * (_variances(signal, sfreq) + FLOOR))
    power = _welch_powers(signal, sfreq) + FLOOR
    share = np.log10(power / power.sum(axis=0))
    pairs = np.array(list(homologous_pairs(channels or ())), dtype=int).reshape(-1, 2)
    asymmetry = np.log(power[:, pairs[:, 1]]) - np.log(power[:, pairs[:, 0]])
    return np.concatenate([entropy.ravel(), share.ravel(), asymmetry.ravel()]).astype(np.float32)


def _variances(signal: np.ndarray, sfreq: float) -> np.ndarray:
    """Variance of the signal in each band, microvolt^2, (n_bands, n_chans), by one transform.

    The ends are faded, so that the jump from the last sample to the first does not spill slow waves into
    the fast bands.
    """
    n_times = signal.shape[1]
    taper = _tukey(n_times)
    spectrum = np.abs(np.fft.rfft(_detrended(signal) * taper)) ** 2
    spectrum *= 2 / (n_times * np.sum(taper**2))  # both halves; no band holds 0 Hz or the Nyquist frequency
    return _sums(spectrum, np.fft.rfftfreq(n_times, 1 / sfreq))


def _tukey(n_times: int) -> np.ndarray:
    """A window that rises and falls as half a cosine over half of `TAPER` at each end, flat between."""
    to_end = np.minimum(np.arange(n_times), np.arange(n_times)[::-1])
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.minimum(2 * to_end / (TAPER * (n_times - 1)), 1)))


def _welch_powers(signal: np.ndarray, sfreq: float) -> np.ndarray:
    """Power in each band, microvolt^2, (n_bands, n_chans), by Hann windows of 2 s that overlap by half."""
    length = min(round(WELCH_S * sfreq), signal.shape[1])
    window = np.hanning(length + 1)[:-1]  # of a period
    pieces = np.lib.stride_tricks.sliding_window_view(signal, length, axis=1)[:, :: length - length // 2]
    spectrum = (np.abs(np.fft.rfft(_detrended(pieces) * window)) ** 2).mean(axis=1)
    spectrum *= 2 / (length * np.sum(window**2))  # as in `_variances`
    return _sums(spectrum, np.fft.rfftfreq(length, 1 / sfreq))


def _sums(spectrum: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """Sum over each band of a spectrum (n_chans, n_bins): (n_bands, n_chans)."""
    return np.stack([spectrum[:, (hz >= a) & (hz < b)].sum(axis=1) for a, b in BANDS.values()])


def _detrended(signal: np.ndarray) -> np.ndarray:
    """The signal, (..., n_times), without its least-squares line."""
    time = np.arange(signal.shape[-1]) - (signal.shape[-1] - 1) / 2
    slope = signal @ time / (time @ time)
    return np.asarray(signal - signal.mean(axis=-1, keepdims=True) - slope[..., None] * time)


def homologous_pairs(channels: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Indices of the left and the right of each pair of places that mirror each other, in the left's order.

    By the rule of the 10-20 system and its extensions: odd digits left, the next even one right.
    """
    places = {name: index for index, name in enumerate(channels)}
    for index, name in enumerate(channels):
        match = HOMOLOGOUS.fullmatch(name)
        if match and int(match[2]) % 2:
            right = places.get(f"{match[1]}{int(match[2]) + 1}")
            if right is not None:
                yield index, right


def _check_segment(signal: np.ndarray, channels: Sequence[str] | None) -> None:
    if signal.ndim != 2 or not signal.size:
        raise SignalError(f"not a segment of channels x samples, but of shape {signal.shape}")
    if channels is not None and len(channels) != len(signal):
        raise SignalError(f"{len(signal)} channels where {len(channels)} are named")
    if not np.isfinite(signal).all():
        raise SignalError("some samples are not finite numbers")
    squares = np.einsum("ij,ij->i", signal, signal) / signal.shape[1]  # without a copy, as std() makes one
    flat = np.flatnonzero(squares - signal.mean(axis=1) ** 2 < FLOOR).tolist()
    if flat:
        named = ", ".join(channels[i] if channels else str(i + 1) for i in flat)
        raise SignalError(f"flat here: channels {named}; {LEAVE_OUT}")

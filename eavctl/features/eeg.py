"""Feature sets of EEG: ``eeg-epochs``, the filtered signal for networks, and ``eeg-bands``, a vector."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import numpy as np

from eavctl.errors import SignalError, UsageError
from eavctl.features.families import BAND, CHANNEL, MEASURE
from eavctl.registry import register
from eavctl.settings import Within
from eavctl.signals.bandpass import causal, settling_s, zero_phase
from eavctl.signals.eeg_file import LEAVE_OUT
from eavctl.signals.resampling import ratio, resampled

BANDS = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 45.0),
}  # Hz, upper edge excluded
TAPER = 0.05  # tapered share of a segment, half of it at each end
WELCH_S = 2.0
SHORTEST_S = 1.0  # one period of the slowest band
FLOOR = 1e-4  # microvolt^2; a hundredth of a microvolt is below the noise of any amplifier

GROUP_VALUES = 1 << 16  # values filtered at once, so that they stay in the CPU cache

Rate = Annotated[float, Within(1, 20_000)]  # Hz
Edge = Annotated[float, Within(0.01, 10_000)]  # Hz
Order = Annotated[int, Within(1, 10)]
Phase = Literal["zero", "causal"]

HOMOLOGOUS = re.compile(r"(Fp|AF|F|FT|FC|T|TP|C|CP|P|PO|O|I|N)(\d+)")


def prepare(
    signal: np.ndarray,
    sfreq: float,
    *,
    rate: float,
    low: float,
    high: float,
    order: int,
    phase: Phase = "zero",
) -> tuple[np.ndarray, float]:
    """Band-pass filter and resample a whole trial or recording.

    Zero-phase, a Butterworth filter runs forward and backward at the original rate (each edge has -6 dB, and
    the slope is that of twice the order), with padding by point reflection for the ringing time of the
    filter: equal to MNE's ``filter_data(method="iir")`` up to rounding; see `zero_phase`. Then the signal is
    resampled with a linear-phase low-pass, which has -6 dB at the lower of the two Nyquist frequencies, is
    flat up to 90 % of it, and attenuates the mirror image by at least 60 dB. If ``high`` is the new Nyquist
    frequency (50 Hz at 100 Hz, as in the EAV paper), the upper 10 % of the band are attenuated further and
    contain aliases of the same width above it, with -12 dB at 50 Hz.

    Causal, so that no value depends on later samples, the Butterworth filter runs forward only: each edge has
    -3 dB, and the attenuation in dB is half of that above. The low-pass has the same gain and minimum phase.
    With 0.5 to 45 Hz and 500 to 100 Hz, the group delay is 38 ms at 10 Hz, 0.10 s at 2 Hz and 0.33 s at 1 Hz.

    Parameters
    ----------
    signal : shape (n_chans, n_times), microvolt.
    sfreq : sampling rate, Hz.
    rate : sampling rate to resample to, Hz.
    low, high : edges of the pass-band, Hz; ``high`` below sfreq / 2 and at most rate / 2.
    order : order of the Butterworth filter in each direction.
    phase : ``zero``, or ``causal``, as live inference needs it.

    Returns
    -------
    float64, shape (n_chans, ceil(n_times * rate / sfreq)), and its exact sampling rate in Hz: ``rate``, or
    the nearest rational multiple of ``sfreq``, see `eavctl.signals.resampling.ratio`.

    Raises
    ------
    SignalError : too short for the filter, or ``sfreq`` too low for ``high``.
    UsageError : invalid settings.

    References
    ----------
    Gustafsson, Determining the initial states in forward-backward filtering, IEEE TSP 44, 1996.
    """
    _check_filter(rate, low, high, order)
    if high >= sfreq / 2:
        raise SignalError(
            f"a sampling rate of {sfreq:g} Hz is too low for a pass-band up to {high:g} Hz; set high below "
            f"{sfreq / 2:g}"
        )
    shortest = 3 * (2 * order + 1)
    n_chans, n_times = signal.shape
    if n_times <= shortest:
        raise SignalError(f"too short to filter: {n_times} samples, but more than {shortest} are needed")
    up, down = ratio(sfreq, rate)
    found = np.empty((n_chans, -(-n_times * up // down)))
    group = max(GROUP_VALUES // n_times, 1)
    for first in range(0, n_chans, group):  # in groups, so that a long recording is not copied as a whole
        part = np.asarray(signal[first : first + group], dtype=np.float64)
        filtered = (causal if phase == "causal" else zero_phase)(part, sfreq, low, high, order)
        found[first : first + group] = resampled(filtered, up, down, is_causal=phase == "causal")
    exact = sfreq * up / down
    return found, float(rate) if abs(exact - rate) < 1e-9 * rate else exact


def _settling(*, low: float, high: float, order: int, **others: Any) -> float:
    return settling_s(low, high, order)


def _check_settings(
    *, channels: Sequence[str] | None, rate: float, low: float, high: float, order: int, phase: Phase
) -> None:
    """Check the combination of settings before a recording is opened."""
    if channels and len(set(channels)) < len(channels):
        raise UsageError(f"channels: a name is repeated: {', '.join(channels)}")
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
        raise UsageError(f"invalid pass-band from {low:g} to {high:g} Hz: 0 < low < high is needed")
    if high > rate / 2:
        raise UsageError(f"high {high:g} Hz is above half the rate of {rate:g} Hz: lower high, or raise rate")
    if order < 1:
        raise UsageError(f"invalid filter order {order}: it must be 1 or more")


@register(
    "features",
    "eeg-epochs",
    modality="eeg",
    version=2,
    rate=None,
    columns=None,
    units="microvolt",
    prepare=prepare,
    margin=_settling,
    check=_check_settings,
    added={"phase": "zero"},
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
    phase: Phase = "zero",
) -> np.ndarray:
    """The signal after `prepare`, that is, band-pass filtered and resampled.

    Parameters
    ----------
    signal : shape (n_chans, n_times), microvolt, after `prepare`.
    sfreq : sampling rate, Hz, after `prepare`.
    channels : names of the channels.
    rate, low, high, order, phase : settings of `prepare`.

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


MEASURES = {"de": "differential entropy", "power": "relative power", "asymmetry": "asymmetry"}


def _band_columns(*, channels: Sequence[str] | None = None, **settings: object) -> tuple[str, ...]:
    names = channels or ()
    pairs = [f"{names[right]}-{names[left]}" for left, right in homologous_pairs(names)]
    parts = (("de", names), ("power", names), ("asymmetry", pairs))
    return tuple(f"{band}_{part}_{name}" for part, of in parts for band in BANDS for name in of)


def _channels_of(column: str) -> tuple[str, ...]:
    """The channel of a column of `eeg_bands`, or the two of an asymmetry."""
    _, part, name = column.split("_", 2)
    return tuple(name.split("-")) if part == "asymmetry" else (name,)


@register(
    "features",
    "eeg-bands",
    modality="eeg",
    version=2,
    rate=None,
    columns=_band_columns,
    units="nat (de, asymmetry), log10 of a share (power)",
    families={
        BAND: lambda column: column.partition("_")[0],
        CHANNEL: _channels_of,
        MEASURE: lambda column: MEASURES[column.split("_", 2)[1]],
    },
    prepare=prepare,
    margin=_settling,
    check=_check_band_settings,
    added={"phase": "zero"},
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
    phase: Phase = "zero",
) -> np.ndarray:
    """Differential entropy, relative power and left-right asymmetry in five bands.

    The differential entropy of a band is that of a Gaussian signal with its variance,
    0.5 ln(2 pi e variance) [1]_. The relative power is log10 of the share of the band in the power of all
    five bands, by Welch's method; it does not depend on the gain of electrodes and skull, which differs more
    between people than between emotions. The asymmetry is ln(power) on the right minus ln(power) on the left
    for each pair of homologous channels [2]_, see `homologous_pairs`.

    Parameters
    ----------
    signal : shape (n_chans, n_times), microvolt, after `prepare`; at least 1 s.
    sfreq : sampling rate, Hz, after `prepare`.
    channels : names of the channels; without them there are no asymmetries.
    rate, order, phase : settings of `prepare`.
    low, high : settings of `prepare`; the pass-band must include 1 to 45 Hz.

    Returns
    -------
    float32: entropies, relative powers, asymmetries; within each, band after band. (0.01 microvolt)^2 is
    added to all variances and powers.

    Raises
    ------
    SignalError : shorter than 1 s, not finite, or a channel is flat (deviates by less than 0.01 microvolt).
    UsageError : the pass-band does not include all bands.

    References
    ----------
    .. [1] Duan, Zhu, Lu, Differential entropy feature for EEG-based emotion classification, NER 2013.
    .. [2] Davidson, Anterior cerebral asymmetry and the nature of emotion, Brain and Cognition 20, 1992.
    """
    _check_bands(low, high)
    _check_segment(signal, channels)
    if signal.shape[1] < SHORTEST_S * sfreq:
        raise SignalError(f"too short: {signal.shape[1] / sfreq:.2f} s, but {SHORTEST_S:g} s are needed")
    signal = np.asarray(signal, dtype=np.float64)
    entropy = 0.5 * np.log(2 * np.pi * np.e * (_variances(signal, sfreq) + FLOOR))
    power = _welch_powers(signal, sfreq) + FLOOR
    share = np.log10(power / power.sum(axis=0))
    pairs = np.array(list(homologous_pairs(channels or ())), dtype=int).reshape(-1, 2)
    asymmetry = np.log(power[:, pairs[:, 1]]) - np.log(power[:, pairs[:, 0]])
    return np.concatenate([entropy.ravel(), share.ravel(), asymmetry.ravel()]).astype(np.float32)


def _variances(signal: np.ndarray, sfreq: float) -> np.ndarray:
    """Variance of the signal in each band, microvolt^2, (n_bands, n_chans), by one Fourier transform.

    The ends are tapered, so that the step between them does not leak slow waves into the fast bands.
    """
    n_times = signal.shape[1]
    taper = _tukey(n_times)
    spectrum = np.abs(np.fft.rfft(_detrended(signal) * taper)) ** 2
    spectrum *= 2 / (n_times * np.sum(taper**2))  # one-sided; no band includes 0 Hz or the Nyquist frequency
    return _sums(spectrum, np.fft.rfftfreq(n_times, 1 / sfreq))


def _tukey(n_times: int) -> np.ndarray:
    """Tukey window: half a cosine over half of `TAPER` at each end, flat between."""
    to_end = np.minimum(np.arange(n_times), np.arange(n_times)[::-1])
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.minimum(2 * to_end / (TAPER * (n_times - 1)), 1)))


def _welch_powers(signal: np.ndarray, sfreq: float) -> np.ndarray:
    """Power in each band, microvolt^2, (n_bands, n_chans), with Hann windows of 2 s that overlap by half."""
    length = min(round(WELCH_S * sfreq), signal.shape[1])
    window = np.hanning(length + 1)[:-1]  # periodic
    pieces = np.lib.stride_tricks.sliding_window_view(signal, length, axis=1)[:, :: length - length // 2]
    spectrum = (np.abs(np.fft.rfft(_detrended(pieces) * window)) ** 2).mean(axis=1)
    spectrum *= 2 / (length * np.sum(window**2))  # as in `_variances`
    return _sums(spectrum, np.fft.rfftfreq(length, 1 / sfreq))


def _sums(spectrum: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """Sum over each band of a spectrum (n_chans, n_bins): (n_bands, n_chans)."""
    return np.stack([spectrum[:, (hz >= a) & (hz < b)].sum(axis=1) for a, b in BANDS.values()])


def _detrended(signal: np.ndarray) -> np.ndarray:
    """The signal, (..., n_times), minus its least-squares line."""
    time = np.arange(signal.shape[-1]) - (signal.shape[-1] - 1) / 2
    slope = signal @ time / (time @ time)
    return np.asarray(signal - signal.mean(axis=-1, keepdims=True) - slope[..., None] * time)


def homologous_pairs(channels: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the indices of the left and the right channel of each homologous pair, ordered by the left one.

    In the names of the 10-20 system and its extensions, the left channel has an odd number and the right one
    the next even number.
    """
    index_of = {name: index for index, name in enumerate(channels)}
    for index, name in enumerate(channels):
        match = HOMOLOGOUS.fullmatch(name)
        if match and int(match[2]) % 2:
            right = index_of.get(f"{match[1]}{int(match[2]) + 1}")
            if right is not None:
                yield index, right


def _check_segment(signal: np.ndarray, channels: Sequence[str] | None) -> None:
    if signal.ndim != 2 or not signal.size:
        raise SignalError(f"a segment of channels x samples is needed, not of shape {signal.shape}")
    if channels is not None and len(channels) != len(signal):
        raise SignalError(f"{len(signal)} channels, but {len(channels)} names of channels")
    if not np.isfinite(signal).all():
        raise SignalError("some samples are not finite numbers")
    squares = np.einsum("ij,ij->i", signal, signal) / signal.shape[1]  # std() would copy the signal
    flat = np.flatnonzero(squares - signal.mean(axis=1) ** 2 < FLOOR).tolist()
    if flat:
        named = ", ".join(channels[i] if channels else str(i + 1) for i in flat)
        raise SignalError(f"flat in this segment: channels {named}; {LEAVE_OUT}")

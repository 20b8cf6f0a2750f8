"""Preparation of EEG for every feature set: the pass-band, the sampling rate, and checks of segments.

The settings of `prepare`, of `eavctl.features.eeg_channels` and of `eavctl.features.eeg_rows.corrected` are
settings of every feature set of EEG: each registers with ``**PREPARED``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np

from eavctl.errors import SignalError, UsageError
from eavctl.features import eeg_channels, eeg_rows
from eavctl.registry import taken
from eavctl.settings import Within
from eavctl.signals.bandpass import causal, settling_s, zero_phase
from eavctl.signals.eeg_file import LEAVE_OUT
from eavctl.signals.resampling import ratio, resampled

FLOOR = 1e-4  # microvolt^2; a hundredth of a microvolt is below the noise of any amplifier
GROUP_VALUES = 1 << 16  # values filtered at once, so that they stay in the CPU cache

Rate = Annotated[float, Within(1, 20_000)]  # Hz
Edge = Annotated[float, Within(0.01, 10_000)]  # Hz
Mains = Annotated[float, Within(1, 10_000)]  # Hz; lower ones would ring for minutes
Order = Annotated[int, Within(1, 10)]
Filter = Literal["zero", "causal"]


def prepare(
    signal: np.ndarray,
    sfreq: float,
    *,
    rate: Rate = 100,
    low: Edge = 0.5,
    high: Edge = 45.0,
    order: Order = 5,
    filter: Filter = "zero",
    notch: Sequence[Mains] | None = None,
) -> tuple[np.ndarray, float]:
    """Filter a whole trial or recording by a band-pass and notches, and resample it.

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
    filter : ``zero`` (zero-phase), or ``causal``, as live inference needs it.
    notch : frequencies to remove in Hz, such as 50 for the mains, or 50 and 100; below sfreq / 2. Each notch
        is that of ``scipy.signal.iirnotch`` with a Q of 30, run with the band-pass: forward and backward, or
        causally.

    Returns
    -------
    float64, shape (n_chans, ceil(n_times * rate / sfreq)), and its exact sampling rate in Hz: ``rate``, or
    the nearest rational multiple of ``sfreq``, see `eavctl.signals.resampling.ratio`.

    Raises
    ------
    SignalError : too short for the filter, or ``sfreq`` too low for ``high`` or a notch.
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
    if notch and max(notch) >= sfreq / 2:
        raise SignalError(
            f"a sampling rate of {sfreq:g} Hz is too low for a notch at {max(notch):g} Hz; leave it out"
        )
    shortest = 3 * (2 * order + 1)
    n_chans, n_times = signal.shape
    if n_times <= shortest:
        raise SignalError(f"too short to filter: {n_times} samples, but more than {shortest} are needed")
    up, down = ratio(sfreq, rate)
    found = np.empty((n_chans, -(-n_times * up // down)))
    run = causal if filter == "causal" else zero_phase
    group = max(GROUP_VALUES // n_times, 1)
    for first in range(0, n_chans, group):  # in groups, so that a long recording is not copied as a whole
        part = np.asarray(signal[first : first + group], dtype=np.float64)
        filtered = run(part, sfreq, low, high, order, notch or ())
        found[first : first + group] = resampled(filtered, up, down, is_causal=filter == "causal")
    exact = sfreq * up / down
    return found, float(rate) if abs(exact - rate) < 1e-9 * rate else exact


def _settling(
    *, low: float, high: float, order: int, notch: Sequence[float] | None = None, **others: Any
) -> float:
    return settling_s(low, high, order, notch or ())


def check_settings(*, rate: float, low: float, high: float, order: int, **others: Any) -> None:
    """Check the combination of settings before a recording is opened."""
    eeg_channels.check_channels(**taken(eeg_channels.check_channels, others))
    _check_filter(rate, low, high, order)


def _check_filter(rate: float, low: float, high: float, order: int) -> None:
    if not 0 < low < high:
        raise UsageError(f"invalid pass-band from {low:g} to {high:g} Hz: 0 < low < high is needed")
    if high > rate / 2:
        raise UsageError(f"high {high:g} Hz is above half the rate of {rate:g} Hz: lower high, or raise rate")
    if order < 1:
        raise UsageError(f"invalid filter order {order}: it must be 1 or more")


def check_segment(
    signal: np.ndarray, channels: Sequence[str] | None, sfreq: float = 1.0, shortest_s: float = 0.0
) -> None:
    """Raise a SignalError if a segment (n_chans, n_times), in microvolt, cannot be described.

    It is empty, does not fit the names, is not finite, has a channel that deviates by less than 0.01
    microvolt, or, at ``sfreq`` Hz, lasts less than ``shortest_s`` seconds.
    """
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
    if signal.shape[1] < shortest_s * sfreq:
        raise SignalError(f"too short: {signal.shape[1] / sfreq:.2f} s, but {shortest_s:g} s are needed")


def _told(*, notch: Sequence[float] | None, filter: Filter, **others: Any) -> list[str]:
    lines = eeg_channels.told(**taken(eeg_channels.told, others))
    if notch:
        lines.append(f"notch at {', '.join(f'{hz:g}' for hz in notch)} Hz")
    if filter == "causal":
        lines.append("filter: causal")
    return lines + eeg_rows.told(**taken(eeg_rows.told, others))


# Settings that are younger than the first feature sets, with their defaults.
ADDED = {"filter": "zero", "notch": None, **eeg_channels.ADDED, **eeg_rows.ADDED}
PREPARED: dict[str, Any] = {
    "modality": "eeg",
    "rate": None,
    "prepare": prepare,
    "margin": _settling,
    "correct": eeg_rows.corrected,
    "check_rows": eeg_rows.check_rows,
    "shared": (prepare, eeg_channels.chosen, eeg_channels.recorded, eeg_rows.corrected),
    "settings_for": eeg_channels.settings_for,
    "told": _told,
    "added": ADDED,
}  # facts of every feature set of EEG

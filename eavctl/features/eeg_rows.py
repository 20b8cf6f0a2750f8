"""Correction of each row of EEG, for every feature set: a baseline window, and rejection by amplitude.

The settings of `corrected` are settings of every feature set of EEG, as those of
`eavctl.features.eeg_preparation.prepare` are. The row is an epoch, a segment, or a whole recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from eavctl.errors import SignalError, UsageError
from eavctl.settings import Within

Seconds = Annotated[float, Within(-100_000, 100_000)]
Amplitude = Annotated[float, Within(0.01, 1_000_000)]  # microvolt
ROUNDING = 1e-6  # seconds
ADDED = {"baseline": None, "reject": None}  # the defaults, with which features are those of older versions


def corrected(
    signal: np.ndarray,
    sfreq: float,
    tmin: float,
    channels: Sequence[str] | None,
    *,
    baseline: tuple[Seconds, Seconds] | None = None,
    reject: Amplitude | None = None,
) -> np.ndarray:
    """Subtract the baseline of each channel from a row, and reject a row of too large an amplitude.

    Equal to ``mne.Epochs(baseline=baseline, reject={"eeg": reject * 1e-6})``: both ends of the window count,
    and amplitudes are those of the filtered signal.

    Parameters
    ----------
    signal : shape (n_chans, n_times), microvolt, filtered and resampled.
    sfreq : sampling rate, Hz.
    tmin : time of the row's first sample in seconds, as the baseline counts it.
    channels : names of the channels, for errors.
    baseline : start and end, in seconds relative to the event (without --events: to the start of the row), of
        the window whose mean is subtracted from the row, such as ``[-0.2, 0]``.
    reject : reject a row in which a channel spans more than this, microvolt peak to peak, such as 150.

    Returns
    -------
    Of the shape of ``signal``.

    Raises
    ------
    SignalError : the row is rejected, or the baseline does not lie in it.
    """
    if baseline is not None:
        first, last = (round(each * sfreq) - round(tmin * sfreq) for each in baseline)
        n_times = signal.shape[1]
        if not 0 <= first < n_times or last > n_times:  # a window may end where the row does
            raise SignalError(_outside(baseline, tmin, tmin + n_times / sfreq))
        signal = signal - signal[:, first : last + 1].mean(axis=1, keepdims=True)
    if reject is not None:
        spans = np.ptp(signal, axis=1)
        if (n_large := int((spans > reject).sum())) > 0:
            largest = int(spans.argmax())
            name = channels[largest] if channels and len(channels) == len(signal) else str(largest + 1)
            others = f" (and so do {n_large - 1} more)" if n_large > 1 else ""
            raise SignalError(
                f"channel {name} spans {spans[largest]:.1f} microvolt, more than reject={reject:g}{others}"
            )
    return signal


def check_rows(
    tmin: float, seconds: float | None, *, baseline: Sequence[float] | None = None, **others: Any
) -> None:
    """Check that a baseline lies in the rows, before a recording is opened.

    Parameters
    ----------
    tmin : as in `corrected`.
    seconds : duration of a row; None where it is not known.

    Raises
    ------
    UsageError : it does not, or it ends before it starts.
    """
    if baseline is None:
        return
    first, last = baseline
    if last < first:
        raise UsageError(f"a baseline from {first:g} to {last:g} s: the end must come after the start")
    tmax = np.inf if seconds is None else tmin + seconds
    if not tmin - ROUNDING <= first < tmax or last > tmax + ROUNDING:
        raise UsageError(_outside(baseline, tmin, tmax))


def told(*, baseline: Sequence[float] | None, reject: float | None) -> list[str]:
    """What the settings do, in one line each."""
    lines = []
    if baseline is not None:
        lines.append(f"baseline: the mean from {baseline[0]:g} to {baseline[1]:g} s is subtracted")
    if reject is not None:
        lines.append(f"reject: rows that span more than {reject:g} microvolt")
    return lines


def _outside(baseline: Sequence[float], tmin: float, tmax: float) -> str:
    end = "" if tmax == np.inf else f" to {tmax:g}"
    return (
        f"the baseline from {baseline[0]:g} to {baseline[1]:g} s is not in the row, which goes from {tmin:g}"
        f"{end} s; with --events, --tmin and --tmax set its ends"
    )

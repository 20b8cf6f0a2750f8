"""An open EEG file of any format: its channels in microvolt, and which of them cannot be trusted."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from eavctl.errors import RecordingWarning, SignalError

FLAT_UV, EXTREME_UV = 0.1, 1000.0  # standard deviation; below amplifiers' noise, and beyond any scalp's EEG
WINDOW_S = 1.0
FAULTS = ("not finite", "flat", "extreme")
MARKED = "marked bad in the file"
LEAVE_OUT = "leave them out with --set 'channels=[...]'"


@dataclass(frozen=True)
class Event:
    """Something that happened: when it began and how long it took, in seconds, and its name in the file.

    ``is_cut`` where the recording ends before the event does, and ``duration`` is what there is of it.
    """

    onset: float
    duration: float
    name: str
    is_cut: bool = False


class EegFile(ABC):
    """An open EEG file, of trials or of one continuous recording; `eavctl.signals.eeg.open_eeg` returns one.

    Parameters
    ----------
    path : the file.
    ch_names : names of the channels, 10-20 ones in their usual spelling.
    sfreq : samples a second.
    n_trials : None for one continuous recording.
    events, bads : what the file marks.
    """

    def __init__(
        self,
        path: str,
        ch_names: Sequence[str],
        sfreq: float,
        n_trials: int | None = None,
        events: Sequence[Event] = (),
        bads: Sequence[str] = (),
    ) -> None:
        self.path = path
        self.ch_names, self.sfreq, self.n_trials = tuple(ch_names), sfreq, n_trials
        self.events, self.bads = tuple(events), tuple(bads)
        self._told: set[tuple[str, str]] = set()

    @property
    def duration(self) -> float | None:
        """Seconds of a continuous recording; None for trials."""
        return None

    def places(self, channels: Iterable[str]) -> list[int]:
        """Indices of channels; files may hold them in any order, and others beside them.

        Raises
        ------
        SignalError : the file lacks some.
        """
        index = {name: i for i, name in enumerate(self.ch_names)}
        missing = [name for name in channels if name not in index]
        if missing:
            names = listed(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise SignalError(f"{self.path}: lacks channels that are asked for: {names}")
        return [index[name] for name in channels]

    def read(self, trial: int | None = None, channels: Sequence[str] | None = None) -> np.ndarray:
        """Read one trial, counted from 0, or the whole of a continuous recording.

        Channels that are flat, extreme (see `channel_faults`) or marked bad in the file are interpolated
        from the file's good ones, see `eavctl.signals.eeg_splines`; a `RecordingWarning` names them, each
        once a file. Those not asked for do not matter.

        Parameters
        ----------
        channels : which, and in which order; None takes all.

        Returns
        -------
        float64, shape (n_chans, n_times), microvolt.

        Raises
        ------
        SignalError : no such trial or channel, damaged, not finite, all channels flat, or bad channels that
            cannot be interpolated.
        """
        self._check_trial(trial)
        wanted = self.ch_names if channels is None else tuple(channels)
        places = self.places(wanted)
        signal = self._read(trial)
        self._mend(signal, wanted, "" if trial is None else f"trial {trial + 1}: ")
        return signal if wanted == self.ch_names else signal[places]

    @abstractmethod
    def _read(self, trial: int | None) -> np.ndarray: ...

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_trial(self, trial: int | None) -> None:
        if self.n_trials is None and trial is not None:
            raise SignalError(f"{self.path}: one continuous recording, it has no trial {trial + 1}")
        if self.n_trials is not None and trial is None:
            raise SignalError(f"{self.path}: holds {self.n_trials} trials; say which")
        if self.n_trials is not None and trial is not None and not 0 <= trial < self.n_trials:
            raise SignalError(f"{self.path}: has no trial {trial + 1}, only {self.n_trials}")

    def _mend(self, signal: np.ndarray, wanted: Sequence[str], where: str) -> None:
        """Interpolate the bad ones of the channels that are wanted, in place."""
        faults = {self.ch_names[i]: fault for i, fault in channel_faults(signal, self.sfreq).items()}
        if len(faults) == len(self.ch_names) and set(faults.values()) == {"flat"}:
            raise SignalError(
                f"{self.path}: {where}every channel is flat (below {FLAT_UV} microvolt; values in volt must "
                "be multiplied by 1e6)"
            )
        bad = dict.fromkeys(self.bads, MARKED) | faults
        needed = [name for name in wanted if name in bad]
        broken = [name for name in needed if bad[name] == "not finite"]
        if broken:
            raise SignalError(f"{self.path}: {where}not finite: channels {listed(broken)}; {LEAVE_OUT}")
        if not needed:
            return
        from eavctl.signals.eeg_splines import interpolate  # imports MNE, which takes a second

        try:
            interpolate(signal, self.ch_names, frozenset(bad), needed)
        except SignalError as error:
            told = listed(f"{name} ({bad[name]})" for name in needed)
            raise SignalError(
                f"{self.path}: {where}bad channels {told} cannot be interpolated: {error}; {LEAVE_OUT}"
            ) from None
        new = [name for name in needed if (name, bad[name]) not in self._told]
        if new:
            self._told.update((name, bad[name]) for name in new)
            told = listed(f"{name} ({bad[name]})" for name in new)
            warn(self.path, f"{where}bad channels interpolated from the others: {told}")


def channel_faults(signal: np.ndarray, sfreq: float) -> dict[int, str]:
    """Tell which channels cannot be trusted, and why.

    Judged by the median over windows of 1 s of the standard deviation: so slow drift is forgiven, and a
    channel is flat that is so half of the time.

    Parameters
    ----------
    signal : shape (n_chans, n_times), microvolt; in another unit, the limits are wrong.
    sfreq : Hz.

    Returns
    -------
    Index of the channel to ``not finite``, ``flat`` (below 0.1 microvolt) or ``extreme`` (above 1000).
    """
    finite = np.array([np.isfinite(channel).all() for channel in signal], bool)
    deviations = _deviations(signal, _window(signal, sfreq))
    deviations[~finite] = 0.0
    typical = np.median(deviations, axis=1)
    faults = np.select([~finite, typical < FLAT_UV, typical > EXTREME_UV], FAULTS, "")
    return {index: str(fault) for index, fault in enumerate(faults) if fault}


@dataclass(frozen=True)
class Dropouts:
    """When channels are flat as they were recorded; a filter goes on ringing there.

    Parameters
    ----------
    channels : their names.
    flat : bool, shape (n_chans, n_windows).
    seconds : length of a window.
    """

    channels: Sequence[str]
    flat: np.ndarray
    seconds: float

    @classmethod
    def of(cls, signal: np.ndarray, sfreq: float, channels: Sequence[str]) -> Self:
        """Find them in a signal (n_chans, n_times), microvolt, by windows of 1 s."""
        window = _window(signal, sfreq)
        return cls(channels, _deviations(signal, window) < FLAT_UV, window / sfreq)

    def check(self, start: float, end: float) -> None:
        """Raise a SignalError if a channel is flat in half of what lies from ``start`` to ``end`` seconds."""
        first = min(int(max(start, 0.0) / self.seconds), self.flat.shape[1] - 1)
        here = self.flat[:, first : max(math.ceil(end / self.seconds), first + 1)]
        bad = [name for name, flat in zip(self.channels, here, strict=True) if 2 * flat.sum() >= flat.size]
        if bad:
            raise SignalError(f"flat here: channels {listed(bad)}; {LEAVE_OUT}")


def _window(signal: np.ndarray, sfreq: float) -> int:
    """Samples of 1 s, or of a shorter signal."""
    return max(min(round(WINDOW_S * sfreq), int(signal.shape[1])), 1)


def _deviations(signal: np.ndarray, window: int) -> np.ndarray:
    """Standard deviation in each whole window, (n_chans, n_windows); a long recording is not copied."""
    n_windows = signal.shape[1] // window
    variances = np.empty((len(signal), n_windows))
    with np.errstate(invalid="ignore", over="ignore"):  # of what is not finite
        for channel, variance in zip(signal, variances, strict=True):
            windows = channel[: n_windows * window].reshape(n_windows, window)
            mean = np.einsum("ij->i", windows) / window
            variance[:] = np.einsum("ij,ij->i", windows, windows) / window - mean**2
        return np.sqrt(np.maximum(variances, 0.0))


def listed(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(names)


def warn(path: str, text: str) -> None:
    """Tell what is odd about a recording that is used all the same."""
    warnings.warn(f"{path}: {text}", RecordingWarning, stacklevel=2)

"""EEG from files: trials of MATLAB arrays, and recordings of the usual formats, in microvolt."""

from __future__ import annotations

import itertools
import math
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from eavctl.endings import EEG_ENDINGS, split_ending
from eavctl.errors import RecordingWarning, SignalError
from eavctl.signals.matlab import MatFile, open_mat

# The .mat files carry no names. Assumed is the order of the amplifier's cap of 32 channels without TP9 and
# TP10, whose names begin the list in Lee et al., EEG dataset and OpenBMI toolbox for three BCI paradigms,
# GigaScience 8, 2019. It names columns, pairs channels for asymmetry, and tells which are near a bad one.
EAV_CHANNELS = (
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "FC5", "FC1", "FC2", "FC6", "T7", "C3", "Cz", "C4",
    "T8", "CP5", "CP1", "CP2", "CP6", "P7", "P3", "Pz", "P4", "P8", "PO9", "O1", "Oz", "O2", "PO10",
)  # fmt: skip
EAV_SFREQ = 500.0  # Hz; not in the files either
EAV_KEYS = ("seg", "seg1")
SHORTEST_TRIAL = 500  # samples, 1 s
KNOWN_ORDERS = ((0, 1, 2), (1, 2, 0))  # places of time, channel, trial: as published, and as others save it

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
    """An open EEG file, of trials or of one continuous recording; `open_eeg` gives one.

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


def open_eeg(path: str | os.PathLike[str]) -> EegFile:
    """Open an EEG file by its ending; only headers are read.

    MATLAB arrays (``seg`` or ``seg1``, else the only one of three axes) are trials of 30 channels at 500 Hz,
    as the EAV set publishes them. EDF, BDF, BrainVision, EEGLAB and FIF are continuous recordings, of which
    the EEG channels are taken. What is odd about a file is told by `RecordingWarning`.

    Raises
    ------
    SignalError : missing, damaged, of another kind, or too large.
    """
    name = os.fspath(path)
    _, ending = split_ending(name)
    if not os.path.exists(name):
        raise SignalError(f"{name}: no such file")
    if not os.path.isfile(name):
        raise SignalError(f"{name}: a folder, not a recording")
    if not os.path.getsize(name):
        raise SignalError(f"{name}: the file is empty")
    if ending not in EEG_ENDINGS:
        raise SignalError(f"{name}: not an EEG file by its ending; known: {', '.join(EEG_ENDINGS)}")
    if ending == ".mat":
        return _MatTrials(name)
    if ending == ".set":
        from eavctl.signals.eeglab import EeglabRecording

        return EeglabRecording(name)
    from eavctl.signals.eeg_recordings import Recording  # imports MNE, which takes a second

    return Recording(name, ending)


class _MatTrials(EegFile):
    """Trials in a MATLAB array."""

    def __init__(self, path: str) -> None:
        self._file = open_mat(path)
        try:
            self._name = _trial_array(self._file)
            shape = self._file.names[self._name]
            self._axes = _axes(shape, f"{path}: {self._name!r}")
        except SignalError:
            self._file.close()
            raise
        super().__init__(path, EAV_CHANNELS, EAV_SFREQ, shape[self._axes[2]])

    def _read(self, trial: int | None) -> np.ndarray:
        time_axis, channel_axis, trial_axis = self._axes
        slab = self._file.slab(self._name, int(trial or 0), trial_axis)
        is_by_channel = channel_axis < time_axis
        with np.errstate(invalid="ignore"):  # `read` tells what is not finite
            return np.ascontiguousarray(slab if is_by_channel else slab.T, dtype=np.float64)

    def close(self) -> None:
        self._file.close()


def _trial_array(file: MatFile) -> str:
    """Name of the array that holds the trials."""
    named = [key for key in EAV_KEYS if key in file.names]
    found = named or [name for name, shape in file.names.items() if len(shape) == 3]
    if len(found) == 1:
        return found[0]
    shapes = ", ".join(f"{name} {shape}" for name, shape in file.names.items()) or "no numeric array"
    raise SignalError(
        f"{file.path}: {'more than one' if found else 'no'} array of trials (seg or seg1: time x 30 channels "
        f"x trial); it holds {shapes}"
    )


def _axes(shape: tuple[int, ...], where: str) -> tuple[int, int, int]:
    """Which axes are time, channel and trial: 30 channels, and time by far the longest.

    Where lengths fit several ways, one of the known orders decides; EAV's own shape is (10000, 30, 200).
    """
    fitting = [
        (time, channel, trial)
        for time, channel, trial in itertools.permutations(range(3))
        if len(shape) == 3
        and shape[channel] == len(EAV_CHANNELS)
        and shape[time] >= max(SHORTEST_TRIAL, 2 * shape[trial])
        and shape[trial] > 0
    ]
    if len(fitting) > 1:
        fitting = [axes for axes in fitting if axes in KNOWN_ORDERS]
    if len(fitting) != 1:
        raise SignalError(
            f"{where} is of shape {shape}, in which time (at least {SHORTEST_TRIAL}, and the longest), "
            f"{len(EAV_CHANNELS)} channels and trials cannot be told apart; (10000, 30, 200) is expected"
        )
    return fitting[0]


def listed(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(names)


def warn(path: str, text: str) -> None:
    """Tell what is odd about a recording that is used all the same."""
    warnings.warn(f"{path}: {text}", RecordingWarning, stacklevel=2)

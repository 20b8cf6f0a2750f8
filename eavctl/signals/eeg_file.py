"""An open EEG file of any format: its channels in microvolt, and the detection of bad channels."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from eavctl.errors import RecordingWarning, SignalError
from eavctl.signals.eeg_montages import STANDARD, Montage
from eavctl.signals.eeg_outliers import FEWEST_CHANNELS, SHORTEST_S, is_enough, outlying

FLAT_UV, EXTREME_UV = 0.1, 1000.0  # standard deviation: below amplifier noise, and above any scalp EEG
WINDOW_S = 1.0
ROUNDING_S = 1e-6  # of the ends of segments
FAULTS = ("not finite", "flat", "extreme")
MARKED, NAMED = "marked bad", "named in bads"
TOO_LITTLE = f"no bad channels are found: it takes {FEWEST_CHANNELS} channels and {SHORTEST_S:g} s"
LEAVE_OUT = "leave them out with --set 'bads=[...]' --set bad_channels=drop"


@dataclass(frozen=True)
class Event:
    """An event of a recording: onset and duration in seconds, and its name in the file.

    With ``is_cut`` the recording ends before the event, and ``duration`` counts only the recorded part.
    """

    onset: float
    duration: float
    name: str
    is_cut: bool = False


@dataclass(frozen=True)
class Mending:
    """Which channels are bad besides those that fail or are marked, and where electrodes lie.

    Parameters
    ----------
    bads : names of channels that are bad in every recording.
    finds : also find those that `eavctl.signals.eeg_outliers.outlying` finds.
    montage : the places of electrodes for the interpolation of bad channels: a name that MNE knows, or
        positions by name; None takes those that were measured with the recording, or else those of the
        10-05 system.
    """

    bads: Sequence[str] = ()
    finds: bool = False
    montage: str | Montage | None = None


class EegFile(ABC):
    """An open EEG file of trials or of one continuous recording, as `eavctl.signals.eeg.open_eeg` returns it.

    Parameters
    ----------
    path : path of the file.
    ch_names : names of the channels; those of the 10-20 system in their usual spelling.
    sfreq : sampling rate, Hz.
    n_trials : number of trials; None for one continuous recording.
    events : events marked in the file.
    bads : names of the channels marked bad in the file.
    gaps : start and end of each time in which samples are missing, in seconds; a continuous recording holds
        straight lines there.
    """

    n_before = 0  # samples at the start that precede the recording: no channel is found bad by them

    def __init__(
        self,
        path: str,
        ch_names: Sequence[str],
        sfreq: float,
        n_trials: int | None = None,
        events: Sequence[Event] = (),
        bads: Sequence[str] = (),
        gaps: Sequence[tuple[float, float]] = (),
    ) -> None:
        self.path = path
        self.ch_names, self.sfreq, self.n_trials = tuple(ch_names), sfreq, n_trials
        self.events, self.bads, self.gaps = tuple(events), tuple(bads), tuple(gaps)
        self._warned: set[tuple[str, str]] = set()  # names and faults of channels

    @property
    def duration(self) -> float | None:
        """Duration of a continuous recording in seconds; None for trials."""
        return None

    def electrodes(self) -> Montage | None:
        """The places of electrodes that were measured with the recording; None if there are none."""
        return None

    def places(self, channels: Iterable[str]) -> list[int]:
        """Indices of the given channels; the file may hold them in any order, and others.

        Raises
        ------
        SignalError : some channels are missing in the file.
        """
        index = {name: i for i, name in enumerate(self.ch_names)}
        missing = [name for name in channels if name not in index]
        if missing:
            names = listed(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise SignalError(f"{self.path}: requested channels are missing: {names}")
        return [index[name] for name in channels]

    def read(self, trial: int | None = None, channels: Sequence[str] | None = None) -> np.ndarray:
        """Read one trial, or the whole of a continuous recording.

        Channels that are flat, extreme (see `channel_faults`) or marked bad in the file are interpolated
        from the good ones (see `eavctl.signals.eeg_splines`); a `RecordingWarning` names each once per file.
        Bad channels that were not requested are ignored.

        Parameters
        ----------
        trial : index of the trial, from 0; None for a continuous recording.
        channels : names of the channels to read, in the order of the result; None reads all.

        Returns
        -------
        float64, shape (n_chans, n_times), microvolt.

        Raises
        ------
        SignalError : no such trial or channel, damaged, not finite, all channels flat, or bad channels that
            cannot be interpolated.
        """
        return self.read_mended(trial, self.ch_names if channels is None else channels, Mending())[0]

    def read_mended(
        self, trial: int | None, channels: Sequence[str], mending: Mending
    ) -> tuple[np.ndarray, frozenset[str]]:
        """Read channels as `read` does, and tell which of them were bad and are interpolated.

        Parameters
        ----------
        trial, channels : as in `read`.
        mending : which other channels are bad, and where electrodes lie.

        Returns
        -------
        float64, shape (n_chans, n_times), microvolt, and the names of the interpolated channels.

        Raises
        ------
        SignalError : as `read`.
        """
        self._check_trial(trial)
        wanted = tuple(channels)
        places = self.places(wanted)
        signal = self._read(trial)
        bad = self._mend(signal, wanted, mending, "" if trial is None else f"trial {trial + 1}: ")
        return signal if wanted == self.ch_names else signal[places], bad

    def read_raw(self, trial: int | None = None) -> np.ndarray:
        """Read all channels of one trial, or of a continuous recording, as recorded: bad ones too.

        Parameters
        ----------
        trial : index of the trial, from 0; None for a continuous recording.

        Returns
        -------
        float64, shape (n_chans, n_times), microvolt.

        Raises
        ------
        SignalError : no such trial, or damaged.
        """
        self._check_trial(trial)
        return self._read(trial)

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

    def _mend(
        self, signal: np.ndarray, wanted: Sequence[str], mending: Mending, where: str
    ) -> frozenset[str]:
        """Interpolate, in place, the bad channels among the wanted ones; warn once about each not named.

        Returns
        -------
        Names of the interpolated channels.
        """
        recorded = self._recorded(signal)
        found = channel_faults(recorded, self.sfreq)
        faults = {self.ch_names[i]: fault for i, fault in found.items()}
        if len(faults) == len(self.ch_names) and set(faults.values()) == {"flat"}:
            raise SignalError(
                f"{self.path}: {where}every channel is flat (below {FLAT_UV} microvolt); if the values are "
                "in volt, multiply them by 1e6, if in millivolt by 1000"
            )
        bad = dict.fromkeys(self.bads, MARKED) | faults | dict.fromkeys(mending.bads, NAMED)
        if mending.finds:
            bad |= self._outlying(recorded, bad)
        needed = [name for name in wanted if name in bad]
        broken = [name for name in needed if bad[name] == "not finite"]
        if broken:
            raise SignalError(f"{self.path}: {where}not finite: channels {listed(broken)}; {LEAVE_OUT}")
        if not needed:
            return frozenset()
        from eavctl.signals.eeg_splines import interpolate  # imports MNE, which takes a second

        montage, is_measured = self._montage(mending, needed)
        try:
            interpolate(signal, self.ch_names, frozenset(bad), needed, montage)
        except SignalError as error:
            described = listed(f"{name} ({bad[name]})" for name in needed)
            raise SignalError(
                f"{self.path}: {where}bad channels {described} cannot be interpolated: {error}; {LEAVE_OUT}"
            ) from None
        new = [name for name in needed if bad[name] != NAMED and (name, bad[name]) not in self._warned]
        if new:
            self._warned.update((name, bad[name]) for name in new)
            described = listed(f"{name} ({bad[name]})" for name in new)
            at = ", at the places measured with the recording" if is_measured else ""
            warn(self.path, f"{where}bad channels interpolated from the others{at}: {described}")
        return frozenset(needed)

    def _recorded(self, signal: np.ndarray) -> np.ndarray:
        """The signal without what precedes the recording, and without gaps."""
        edges = [round(at * self.sfreq) for gap in self.gaps for at in gap]
        parts = np.split(signal[:, self.n_before :], edges, axis=1)[::2]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _outlying(self, recorded: np.ndarray, bad: Collection[str]) -> dict[str, str]:
        """Faults of channels that are unlike the others; warns once where they cannot be compared."""
        known = [i for i, name in enumerate(self.ch_names) if name in bad]
        if is_enough(len(recorded) - len(known), recorded.shape[1] / self.sfreq):
            return {self.ch_names[i]: fault for i, fault in outlying(recorded, self.sfreq, known).items()}
        if ("", TOO_LITTLE) not in self._warned:
            self._warned.add(("", TOO_LITTLE))
            warn(self.path, TOO_LITTLE)
        return {}

    def _montage(self, mending: Mending, needed: Sequence[str]) -> tuple[str | Montage, bool]:
        """Where electrodes lie, and whether that was measured: places of all the bad channels are needed."""
        if mending.montage is not None:
            return mending.montage, False
        measured = self.electrodes()
        if measured and set(needed) <= measured.keys():
            return measured, True
        return STANDARD, False


def channel_faults(signal: np.ndarray, sfreq: float) -> dict[int, str]:
    """Find the channels that cannot be used, and the fault of each.

    The criterion is the standard deviation in windows of 1 s, of which the median counts: slow drift does
    not make a channel extreme, and a channel is flat if it is flat half of the time.

    Parameters
    ----------
    signal : shape (n_chans, n_times), in microvolt.
    sfreq : sampling rate, Hz.

    Returns
    -------
    Dictionary from the index of a faulty channel to ``not finite``, ``flat`` (below 0.1 microvolt) or
    ``extreme`` (above 1000 microvolt).
    """
    finite = np.array([np.isfinite(channel).all() for channel in signal], bool)
    deviations = _deviations(signal, _window(signal, sfreq))
    deviations[~finite] = 0.0
    typical = np.median(deviations, axis=1)
    faults = np.select([~finite, typical < FLAT_UV, typical > EXTREME_UV], FAULTS, "")
    return {index: str(fault) for index, fault in enumerate(faults) if fault}


@dataclass(frozen=True)
class Dropouts:
    """The times at which a recording cannot be used.

    They are windows in which channels are flat, found before filtering, for a filter would ring there, and
    gaps.

    Parameters
    ----------
    channels : names of the channels.
    flat : bool, shape (n_chans, n_windows).
    seconds : length of a window.
    gaps : see `EegFile`.
    """

    channels: Sequence[str]
    flat: np.ndarray
    seconds: float
    gaps: Sequence[tuple[float, float]] = ()

    @classmethod
    def of(
        cls,
        signal: np.ndarray,
        sfreq: float,
        channels: Sequence[str],
        gaps: Sequence[tuple[float, float]] = (),
    ) -> Self:
        """Find the dropouts of a signal (n_chans, n_times), in microvolt, in windows of 1 s."""
        window = _window(signal, sfreq)
        return cls(channels, _deviations(signal, window) < FLAT_UV, window / sfreq, gaps)

    def check(self, start: float, end: float) -> None:
        """Raise a SignalError if the time from ``start`` to ``end`` seconds cannot be used.

        There is a gap in it, or a channel is flat for half of it.
        """
        missing = [gap for gap in self.gaps if gap[0] < end - ROUNDING_S and gap[1] > start + ROUNDING_S]
        if missing:
            first, last = missing[0]
            raise SignalError(
                f"{last - first:.2f} s of samples are missing in this segment, at {first:.2f} s of the "
                "recording" + (f", and {len(missing) - 1} more gaps" if len(missing) > 1 else "")
            )
        first = min(int(max(start, 0.0) / self.seconds), self.flat.shape[1] - 1)
        flat = self.flat[:, first : max(math.ceil(end / self.seconds), first + 1)]
        bad = [name for name, each in zip(self.channels, flat, strict=True) if 2 * each.sum() >= each.size]
        if bad:
            raise SignalError(f"flat in this segment: channels {listed(bad)}; {LEAVE_OUT}")


def _window(signal: np.ndarray, sfreq: float) -> int:
    """Number of samples in 1 s, or in a shorter signal."""
    return max(min(round(WINDOW_S * sfreq), int(signal.shape[1])), 1)


def _deviations(signal: np.ndarray, window: int) -> np.ndarray:
    """Standard deviation in each whole window, (n_chans, n_windows), without a copy of the signal."""
    n_windows = signal.shape[1] // window
    variances = np.empty((len(signal), n_windows))
    with np.errstate(invalid="ignore", over="ignore"):  # some values may not be finite
        for channel, variance in zip(signal, variances, strict=True):
            windows = channel[: n_windows * window].reshape(n_windows, window)
            mean = np.einsum("ij->i", windows) / window
            variance[:] = np.einsum("ij,ij->i", windows, windows) / window - mean**2
        return np.sqrt(np.maximum(variances, 0.0))


def listed(names: Iterable[str]) -> str:
    """Names as one string, for a message."""
    return ", ".join(names)


def warn(path: str, text: str) -> None:
    """Issue a `RecordingWarning` about a recording that is used despite an oddity."""
    warnings.warn(f"{path}: {text}", RecordingWarning, stacklevel=2)


def numbered(path: str, labels: Sequence[str]) -> list[str]:
    """The names, with running numbers for names that several channels share."""
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if not repeated:
        return list(labels)
    warn(path, f"names of several channels, now numbered: {listed(repeated)}")
    return [
        f"{label}-{labels[:i].count(label)}" if label in repeated else label for i, label in enumerate(labels)
    ]

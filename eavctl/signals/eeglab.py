"""Continuous EEG recordings of EEGLAB.

They are read by `eavctl.signals.matlab5`, not by MNE or scipy: scipy's reader of MATLAB files crashes the
process on some damaged files.

Reference: Delorme, Makeig, EEGLAB: an open source toolbox for analysis of single-trial EEG dynamics, Journal
of Neuroscience Methods 134, 2004; the fields of the structure EEG are those of its tutorial.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path, PureWindowsPath

import numpy as np

from eavctl.errors import SignalError
from eavctl.signals import eeg_damage
from eavctl.signals.bids import described_channels, electrodes_of
from eavctl.signals.eeg_file import EegFile, Event, listed, numbered, warn
from eavctl.signals.eeg_montages import Montage
from eavctl.signals.eeg_names import NO_EEG, clean_names
from eavctl.signals.mat_file import Variable, is_hdf5
from eavctl.signals.matlab5 import CHAR, STRUCT, Matlab5File, Node, plain_array
from eavctl.signals.matlab5_elements import DamagedError, clear_errors

FIELDS = frozenset({"data", "nbchan", "pnts", "trials", "srate", "chanlocs", "event"})
MAX_NESTING = 2  # a structure EEG may hold another one
OTHER_TYPES = frozenset(
    {"eog", "ecg", "emg", "misc", "stim", "trig", "resp", "bio", "gsr", "temperature", "meg", "mag", "grad"}
    | {"ref_meg", "seeg", "ecog", "dbs", "eyegaze", "pupil"}
)
SECOND_CHOICE = frozenset({"misc", "bio", "seeg", "ecog"})  # used if no channel is of type EEG
BOUNDARY = "boundary"


class EeglabRecording(EegFile):
    """A continuous recording of a ``.set`` file, with its samples in it or in an ``.fdt`` file beside it."""

    def __init__(self, path: str) -> None:
        if is_hdf5(path):
            raise SignalError(
                f"{path}: EEGLAB sets of MATLAB 7.3 cannot be read; save it again as version 6 "
                "(pop_saveset with 'version', '6')"
            )
        with ExitStack() as opened:
            file = opened.enter_context(Matlab5File(path))
            with clear_errors(path):
                fields = _fields(file)
                sfreq, n_chans, n_times = _sizes(path, fields)
                self._data = _data(path, fields["data"], (n_chans, n_times), opened)
                labels, types = _channels(fields.get("chanlocs"), n_chans)
                events = _events(path, fields.get("event"), sfreq, n_times / sfreq)
            labels = numbered(path, labels)
            self._picks, marked = described_channels(path, labels, _eeg_channels(path, labels, types), ())
            eeg_damage.check_size(path, len(self._picks), n_times)
            self._opened = opened.pop_all()
        names = clean_names([labels[i] for i in self._picks])
        bads = [name for name, i in zip(names, self._picks, strict=True) if labels[i] in marked]
        super().__init__(path, names, sfreq, None, events, bads)

    @property
    def duration(self) -> float:
        """Duration in seconds."""
        return self._data.shape[1] / self.sfreq

    def electrodes(self) -> Montage | None:
        """Those of ``electrodes.tsv`` beside the recording."""
        return electrodes_of(self.path, self.ch_names)

    def _read(self, trial: int | None) -> np.ndarray:
        n_times = self._data.shape[1]
        signal = np.empty((len(self._picks), n_times))
        step = self._data.slabs_that_fit(1)
        with np.errstate(invalid="ignore"):  # `read` reports values that are not finite
            for start in range(0, n_times, step):
                stop = min(start + step, n_times)
                signal[:, start:stop] = self._data.block(1, start, stop)[self._picks]
        return signal

    def close(self) -> None:
        """Close the files."""
        self._opened.close()


def _fields(file: Matlab5File) -> dict[str, Node]:
    """The fields of the structure EEG, or the variables of the file if the fields were saved as such."""
    fields = dict(file.nodes)
    for _ in range(MAX_NESTING):
        if "EEG" in fields:
            if fields["EEG"].size != 1:
                raise DamagedError(f"EEG is of shape {fields['EEG'].dims}, but one structure is expected")
            (fields,) = fields["EEG"].structs(FIELDS | {"EEG"})
    if "ALLEEG" in fields:
        raise SignalError(f"{file.path}: holds several sets (ALLEEG); save each in a file of its own")
    if "data" not in fields:
        raise SignalError(f"{file.path}: not an EEGLAB set: it has no EEG.data")
    return fields


def _sizes(path: str, fields: Mapping[str, Node]) -> tuple[float, int, int]:
    """Sampling rate in Hz, number of channels, and number of samples."""
    sfreq, *sizes = (
        fields[name].number() if name in fields else math.nan for name in ("srate", "nbchan", "pnts")
    )
    if not 0 < sfreq < math.inf:
        raise DamagedError(f"its sampling rate is {sfreq:g} Hz")
    if not all(size.is_integer() and size > 0 for size in sizes) or sizes[0] > eeg_damage.MOST_SIGNALS:
        raise DamagedError(f"it has {sizes[0]:g} channels of {sizes[1]:g} samples")
    n_trials = fields["trials"].number() if "trials" in fields else 1.0
    if n_trials > 1:
        raise SignalError(
            f"{path}: cut into {n_trials:g} epochs, but a continuous recording is needed; save the set "
            "before it is epoched"
        )
    return sfreq, int(sizes[0]), int(sizes[1])


def _data(path: str, node: Node, shape: tuple[int, int], opened: ExitStack) -> Variable:
    """The samples, (n_chans, n_times), from the set or from its data file."""
    if node.mat_class != CHAR:
        found = node.array()
        if found.shape != shape:
            raise DamagedError(f"its data are of shape {found.shape}, but its header gives {shape}")
        return found
    beside = _data_file(path, node.text())
    eeg_damage.check_fdt(path, str(beside), *shape)
    return plain_array(str(beside), opened.enter_context(open(beside, "rb")), shape, np.dtype("<f4"))


def _data_file(path: str, name: str) -> Path:
    """The data file: the one that the set names, else the one named like the set."""
    name = PureWindowsPath(name).name  # splits at both kinds of slashes
    if not name.lower().endswith(".fdt"):
        raise SignalError(f"{path}: its samples are in {name!r}, not in an .fdt file; save the set again")
    named, usual = Path(path).with_name(name), Path(path).with_suffix(".fdt")
    if named.is_file():
        return named
    if not usual.is_file():
        raise SignalError(f"{path}: a file that belongs to it is missing ({name})")
    warn(path, f"its data file {name} is missing; its samples are taken from {usual.name}")
    return usual


def _channels(node: Node | None, n_chans: int) -> tuple[list[str], list[str]]:
    """Name and type of each channel: numbered if it has no name, empty if it has no type."""
    found = list(_structs(node, {"labels", "type"}))
    if found and len(found) != n_chans:
        raise DamagedError(f"{len(found)} of {n_chans} channels are described")
    found = found or [{}] * n_chans
    labels = [_word(each, "labels") or f"EEG {i:03d}" for i, each in enumerate(found)]
    return labels, [_word(each, "type").lower() for each in found]


def _structs(node: Node | None, wanted: set[str]) -> Iterator[dict[str, Node]]:
    """The structures of an array; EEGLAB saves an empty one as an empty array of numbers."""
    if node is not None and (node.mat_class == STRUCT or node.size):
        yield from node.in_memory().structs(wanted)


def _word(fields: Mapping[str, Node], name: str) -> str:
    return fields[name].word() if name in fields else ""


def _eeg_channels(path: str, labels: Sequence[str], types: Sequence[str]) -> list[int]:
    """Indices of the EEG channels by types and names, or of other data channels if none is EEG."""
    is_eeg = [kind not in OTHER_TYPES for kind in types]
    if not any(is_eeg):
        is_eeg = [kind in SECOND_CHOICE for kind in types]
    found = [i for i, label in enumerate(labels) if is_eeg[i] and not NO_EEG.match(label)]
    if not found:
        raise SignalError(f"{path}: no EEG channels")
    unknown = sorted({kind for kind in types if kind not in OTHER_TYPES | {"", "eeg"}})
    if unknown:
        warn(path, f"channels of unknown type are taken as EEG: {listed(unknown)}")
    return found


def _events(path: str, node: Node | None, sfreq: float, length: float) -> list[Event]:
    """The events within a recording of ``length`` seconds, sorted by time."""
    found, n_lost = [], 0
    for each in _structs(node, {"type", "latency", "duration"}):
        onset = (_number(each, "latency") - 1) / sfreq  # MATLAB counts from 1
        duration = _number(each, "duration") / sfreq
        duration = duration if duration > 0 else 0.0  # NaN if there is none
        if math.isnan(onset):
            n_lost += 1
        elif onset <= length and onset + duration >= 0:
            start = max(onset, 0.0)
            within, left = duration - (start - onset), length - start
            found.append(Event(start, min(within, left), _word(each, "type"), is_cut=within > left))
    if n_lost:
        warn(path, f"{n_lost} events have no latency and are ignored")
    if any(event.name == BOUNDARY for event in found):
        warn(path, "it has 'boundary' events, at which the recording is not continuous")
    return sorted(found, key=lambda event: (event.onset, event.duration, event.name))


def _number(fields: Mapping[str, Node], name: str) -> float:
    return fields[name].number() if name in fields else math.nan

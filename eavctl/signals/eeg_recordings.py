"""Continuous EEG recordings of the usual formats, read by MNE, with checks for damage that MNE misses."""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import mne
import numpy as np

from eavctl.errors import SignalError
from eavctl.signals import eeg_damage
from eavctl.signals.bids import described_channels, electrodes_of
from eavctl.signals.eeg_file import EegFile, Event, warn
from eavctl.signals.eeg_montages import Montage
from eavctl.signals.eeg_names import NO_EEG, clean_names
from eavctl.signals.endings import BRAINVISION_ENDING, EDF_ENDINGS, FIF_ENDINGS

MICROVOLTS = 1e6  # MNE's unit is volt

CUT_EVENTS = re.compile(r"Limited \d+ annotation")
# MNE's warnings about electrode positions, which are not used, and about sizes that `eeg_damage` checks.
IGNORED_WARNINGS = re.compile(
    r"coordinate|montage|position|location|data range|Number of records|Invalid tag", re.IGNORECASE
)


class MneRecording(EegFile):
    """A continuous recording, read by MNE."""

    def __init__(self, path: str, ending: str) -> None:
        with _as_signal_errors(path) as caught:
            note, is_cut = _check_before(path, ending)
            self._raw = _READERS[ending](path, verbose="WARNING")
            picks = _eeg_channels(self._raw)
            eeg_damage.check_size(path, len(picks), self._raw.n_times)
            if is_cut:
                note = f"the end of the recording is missing; using its first {_seconds(self._raw):.2f} s"
            note = note or _check_data_file(path, ending, self._raw)
            events = _events(self._raw, any(CUT_EVENTS.search(str(each.message)) for each in caught))
        if note:
            warn(path, note)
        picks, marked = described_channels(path, self._raw.ch_names, picks, self._raw.info["bads"])
        self._names = [self._raw.ch_names[i] for i in picks]
        names = clean_names(self._names)
        bads = [clean for clean, name in zip(names, self._names, strict=True) if name in marked]
        super().__init__(path, names, float(self._raw.info["sfreq"]), None, events, bads)

    @property
    def duration(self) -> float:
        """Duration in seconds."""
        return _seconds(self._raw)

    def electrodes(self) -> Montage | None:
        """Those of ``electrodes.tsv`` beside the recording."""
        return electrodes_of(self.path, self.ch_names)

    def _read(self, trial: int | None) -> np.ndarray:
        with _as_signal_errors(self.path):
            signal: np.ndarray = self._raw.get_data(picks=self._names, verbose="WARNING")
        signal *= MICROVOLTS
        return signal

    def close(self) -> None:
        """Close the file."""
        self._raw.close()


def _check_before(path: str, ending: str) -> tuple[str | None, bool]:
    """Check a file before MNE opens it: a warning or None, and whether the end of a FIF file is missing."""
    if ending in EDF_ENDINGS:
        return eeg_damage.check_edf(path), False
    if ending in FIF_ENDINGS:
        return None, eeg_damage.check_fif(path)
    return None, False


def _seconds(raw: Any) -> float:
    return float(raw.n_times / raw.info["sfreq"])


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep MNE from also writing its warnings to stdout."""
    logger = logging.getLogger("mne")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


@contextmanager
def _as_signal_errors(path: str) -> Iterator[list[warnings.WarningMessage]]:
    """Convert any exception of MNE to a SignalError, and its warnings to `RecordingWarning`.

    Yields
    ------
    The list to which warnings of MNE are appended.
    """
    with warnings.catch_warnings(record=True) as caught, _unlogged():
        warnings.simplefilter("always")
        try:
            yield caught
        except SignalError:
            raise
        except FileNotFoundError as error:
            reason = error.filename or str(error)
            raise SignalError(f"{path}: a file that belongs to it is missing ({reason})") from None
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise SignalError(f"{path}: damaged, or not the format of its ending ({reason})") from None
    for text in dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught):
        if not IGNORED_WARNINGS.search(text):
            warn(path, text)


_EDF, _BDF = EDF_ENDINGS
_READERS = {
    _EDF: partial(mne.io.read_raw_edf, infer_types=True),
    _BDF: partial(mne.io.read_raw_bdf, infer_types=True),
    BRAINVISION_ENDING: mne.io.read_raw_brainvision,
    **dict.fromkeys(FIF_ENDINGS, mne.io.read_raw_fif),
}


def _eeg_channels(raw: Any) -> list[int]:
    """Indices of the EEG channels by types and names, or of other data channels if none is of type EEG."""
    picks = mne.pick_types(raw.info, eeg=True, exclude=())
    picks = picks if len(picks) else mne.pick_types(raw.info, misc=True, bio=True, seeg=True, ecog=True)
    found = [int(i) for i in picks if not NO_EEG.match(raw.ch_names[i])]
    if not found:
        raise ValueError("no EEG channels")
    return found


def _check_data_file(path: str, ending: str, raw: Any) -> str | None:
    """Compare the data file with its header, for formats that have two files; a warning or None."""
    data = raw.filenames[0]
    if ending == BRAINVISION_ENDING:
        sfreq = float(raw.info["sfreq"])
        return eeg_damage.check_brainvision(path, str(data), len(raw.ch_names), raw.n_times, sfreq)
    return None


def _events(raw: Any, may_be_cut: bool) -> list[Event]:
    """The annotations, or, if there are none, the events of the trigger channel.

    With ``may_be_cut``, MNE has shortened annotations that reach beyond the end of the recording; it does not
    report which.
    """
    # If there is a date, onsets count from the start of acquisition, which may precede the first sample.
    before = 0.0 if raw.annotations.orig_time is None else raw.first_time
    last = (raw.n_times - 2) / float(raw.info["sfreq"]) if may_be_cut else math.inf  # 2 samples of tolerance
    found = []
    for annotation in raw.annotations:
        onset, duration = float(annotation["onset"]) - before, float(annotation["duration"])
        is_cut = duration > 0 and onset + duration >= last
        found.append(Event(onset, duration, str(annotation["description"]).strip(), is_cut))
    if found or not len(mne.pick_types(raw.info, meg=False, stim=True)):
        return found
    codes = mne.find_events(raw, shortest_event=1, verbose="ERROR")
    sfreq = float(raw.info["sfreq"])
    return [Event((int(at) - raw.first_samp) / sfreq, 0.0, str(code)) for at, _, code in codes]

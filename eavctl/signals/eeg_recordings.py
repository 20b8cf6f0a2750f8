"""Continuous EEG recordings of the usual formats, read by MNE, and held against what it does not notice."""

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
from eavctl.signals.eeg_file import EegFile, Event, warn
from eavctl.signals.eeg_names import NO_EEG, clean_names

MICROVOLTS = 1e6  # MNE counts in volt

CUT_EVENTS = re.compile(r"Limited \d+ annotation")
ABOUT_PLACES = re.compile(
    r"coordinate|montage|position|location|data range|Number of records|Invalid tag", re.IGNORECASE
)


class MneRecording(EegFile):
    """A continuous recording, read by MNE."""

    def __init__(self, path: str, ending: str) -> None:
        with _as_signal_errors(path) as told:
            note, is_cut = _check_before(path, ending)
            self._raw = _READERS[ending](path, verbose="WARNING")
            picks = _eeg_channels(self._raw)
            self._names = [self._raw.ch_names[i] for i in picks]
            eeg_damage.check_size(path, len(picks), self._raw.n_times)
            if is_cut:
                note = f"the end of the recording is missing; its first {_seconds(self._raw):.2f} s are used"
            note = note or _check_data_file(path, ending, self._raw)
            events = _events(self._raw, any(CUT_EVENTS.search(str(each.message)) for each in told))
        if note:
            warn(path, note)
        names = clean_names(self._names)
        marked = set(self._raw.info["bads"])
        bads = [clean for clean, name in zip(names, self._names, strict=True) if name in marked]
        super().__init__(path, names, float(self._raw.info["sfreq"]), None, events, bads)

    @property
    def duration(self) -> float:
        """Seconds."""
        return _seconds(self._raw)

    def _read(self, trial: int | None) -> np.ndarray:
        with _as_signal_errors(self.path):
            signal: np.ndarray = self._raw.get_data(picks=self._names, verbose="WARNING")
        signal *= MICROVOLTS
        return signal

    def close(self) -> None:
        """Close the file."""
        self._raw.close()


def _check_before(path: str, ending: str) -> tuple[str | None, bool]:
    """What can be told without MNE: something odd, and whether the end of a FIF file is missing."""
    if ending in (".edf", ".bdf"):
        return eeg_damage.check_edf(path), False
    if ending in (".fif", ".fif.gz"):
        return None, eeg_damage.check_fif(path)
    return None, False


def _seconds(raw: Any) -> float:
    return float(raw.n_times / raw.info["sfreq"])


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep MNE from writing its warnings to stdout as well."""
    logger = logging.getLogger("mne")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


@contextmanager
def _as_signal_errors(path: str) -> Iterator[list[warnings.WarningMessage]]:
    """Turn whatever MNE raises on damaged files into one kind of error, and its warnings into ours.

    Yields
    ------
    The warnings of MNE so far.
    """
    with warnings.catch_warnings(record=True) as told, _unlogged():
        warnings.simplefilter("always")
        try:
            yield told
        except SignalError:
            raise
        except FileNotFoundError as error:
            reason = error.filename or str(error)
            raise SignalError(f"{path}: a file that belongs to it is missing ({reason})") from None
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise SignalError(
                f"{path}: damaged, or of another kind than its ending says ({reason})"
            ) from None
    for text in dict.fromkeys(" ".join(str(warning.message).split()) for warning in told):
        if not ABOUT_PLACES.search(text):
            warn(path, text)


_READERS = {
    ".edf": partial(mne.io.read_raw_edf, infer_types=True),
    ".bdf": partial(mne.io.read_raw_bdf, infer_types=True),
    ".vhdr": mne.io.read_raw_brainvision,
    ".fif": mne.io.read_raw_fif,
    ".fif.gz": mne.io.read_raw_fif,
}


def _eeg_channels(raw: Any) -> list[int]:
    """Indices of the EEG channels by the file's types and names, or of all data where it tells no types."""
    picks = mne.pick_types(raw.info, eeg=True, exclude=())
    picks = picks if len(picks) else mne.pick_types(raw.info, misc=True, bio=True, seeg=True, ecog=True)
    found = [int(i) for i in picks if not NO_EEG.match(raw.ch_names[i])]
    if not found:
        raise ValueError("no EEG channels")
    return found


def _check_data_file(path: str, ending: str, raw: Any) -> str | None:
    """Hold the data file beside a header against it."""
    data = raw.filenames[0]
    if ending == ".vhdr":
        sfreq = float(raw.info["sfreq"])
        return eeg_damage.check_brainvision(path, str(data), len(raw.ch_names), raw.n_times, sfreq)
    return None


def _events(raw: Any, may_be_cut: bool) -> list[Event]:
    """Annotations, or where there are none, what is on the trigger channel.

    ``may_be_cut`` where MNE shortened those that last beyond the end of the recording; it does not say which.
    """
    # Where there is a date, onsets count from the start of acquisition, perhaps before the first sample.
    before = 0.0 if raw.annotations.orig_time is None else raw.first_time
    last = (raw.n_times - 2) / float(raw.info["sfreq"]) if may_be_cut else math.inf  # to a sample or two
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

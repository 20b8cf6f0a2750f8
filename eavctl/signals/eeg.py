"""Open an EEG file of any supported format."""

from __future__ import annotations

import os
from pathlib import Path

from eavctl.errors import SignalError
from eavctl.signals.data_files import make_whole
from eavctl.signals.eeg_file import EegFile
from eavctl.signals.endings import (
    EEG_ENDINGS,
    EEGLAB_ENDING,
    MATLAB_ENDING,
    TEXT_ENDINGS,
    XDF_ENDINGS,
    split_ending,
)


def open_eeg(path: str | os.PathLike[str]) -> EegFile:
    """Open an EEG file by its ending; only the header is read.

    A MATLAB array (``seg`` or ``seg1``, else the only one with three axes) holds trials of 30 channels at
    500 Hz, as in the EAV data set. EDF, BDF, BrainVision, EEGLAB, FIF and XDF files, and tables of text with
    time stamps, are continuous recordings, of which only the EEG channels are used. A `RecordingWarning`
    reports oddities of a file that can be used.

    Raises
    ------
    SignalError : missing, damaged, not an EEG file, or too large.
    DataError : it is remote, and cannot be fetched.
    ModuleNotFoundError : an XDF file, and pyxdf is not installed.
    """
    make_whole(Path(path))
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
    if ending == MATLAB_ENDING:
        from eavctl.signals.eeg_trials import MatTrials

        return MatTrials(name)
    if ending == EEGLAB_ENDING:
        from eavctl.signals.eeglab import EeglabRecording

        return EeglabRecording(name)
    if ending in TEXT_ENDINGS:
        from eavctl.signals.eeg_csv import CsvRecording

        return CsvRecording(name)
    if ending in XDF_ENDINGS:
        from eavctl.signals.eeg_xdf import XdfRecording

        return XdfRecording(name)
    from eavctl.signals.eeg_recordings import MneRecording  # imports MNE, which takes a second

    return MneRecording(name, ending)

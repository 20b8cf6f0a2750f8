"""Open an EEG file, whatever format it has."""

from __future__ import annotations

import os

from eavctl.errors import SignalError
from eavctl.signals.eeg_file import EegFile
from eavctl.signals.endings import EEG_ENDINGS, split_ending


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
        from eavctl.signals.eeg_trials import MatTrials

        return MatTrials(name)
    if ending == ".set":
        from eavctl.signals.eeglab import EeglabRecording

        return EeglabRecording(name)
    from eavctl.signals.eeg_recordings import MneRecording  # imports MNE, which takes a second

    return MneRecording(name, ending)

"""The endings of recordings' file names, and the modalities that each stands for."""

from __future__ import annotations

import os.path

AUDIO_ENDINGS = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aiff", ".aif"})
VIDEO_ENDINGS = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"})
EDF_ENDINGS = (".edf", ".bdf")
BRAINVISION_ENDING, EEGLAB_ENDING, MATLAB_ENDING = ".vhdr", ".set", ".mat"
FIF_ENDINGS = (".fif", ".fif.gz")
EEG_ENDINGS = (*EDF_ENDINGS, BRAINVISION_ENDING, EEGLAB_ENDING, *FIF_ENDINGS, MATLAB_ENDING)
MEDIA_ENDINGS = AUDIO_ENDINGS | VIDEO_ENDINGS | frozenset(EEG_ENDINGS)
DOUBLE_ENDINGS = tuple(ending for ending in MEDIA_ENDINGS if ending.count(".") > 1)


def split_ending(path: str) -> tuple[str, str]:
    """Split a path into its stem and its ending, the latter in lower case; ``.fif.gz`` is one ending."""
    whole, ending = os.path.splitext(path)
    for double in DOUBLE_ENDINGS:
        if path.lower().endswith(double):
            return path[: -len(double)], double
    return whole, ending.lower()


def modalities_of(path: str) -> tuple[str, ...]:
    """The modalities in a file, by its ending: audio and video for a video, none for an unknown ending."""
    _, ending = split_ending(path)
    if ending in VIDEO_ENDINGS:
        return "audio", "video"
    return ("audio",) * (ending in AUDIO_ENDINGS) + ("eeg",) * (ending in EEG_ENDINGS)


def columns_of(path: str) -> tuple[str, ...]:
    """The path columns of a manifest that a file fills, by its ending."""
    return tuple(f"{modality}_path" for modality in modalities_of(path))

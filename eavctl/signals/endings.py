"""Endings of recordings' file names, and what each promises."""

from __future__ import annotations

import os.path

AUDIO_ENDINGS = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aiff", ".aif"})
VIDEO_ENDINGS = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"})
EEG_ENDINGS = (".edf", ".bdf", ".vhdr", ".set", ".fif", ".fif.gz", ".mat")
MEDIA_ENDINGS = AUDIO_ENDINGS | VIDEO_ENDINGS | frozenset(EEG_ENDINGS)
DOUBLE_ENDINGS = tuple(ending for ending in MEDIA_ENDINGS if ending.count(".") > 1)


def split_ending(path: str) -> tuple[str, str]:
    """A path without its ending, and the ending in lower case; ``.fif.gz`` is one ending."""
    whole, ending = os.path.splitext(path)
    for double in DOUBLE_ENDINGS:
        if path.lower().endswith(double):
            return path[: -len(double)], double
    return whole, ending.lower()


def modalities_of(path: str) -> tuple[str, ...]:
    """What a file holds by its ending: a video holds sound too; nothing if the ending is unknown."""
    _, ending = split_ending(path)
    if ending in VIDEO_ENDINGS:
        return "audio", "video"
    return ("audio",) * (ending in AUDIO_ENDINGS) + ("eeg",) * (ending in EEG_ENDINGS)


def columns_of(path: str) -> tuple[str, ...]:
    """The manifest's columns that a file fills by its ending."""
    return tuple(f"{modality}_path" for modality in modalities_of(path))

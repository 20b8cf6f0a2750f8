"""The endings of recordings' file names, and the modalities that each stands for.

A picture is a video of one frame; a file of the format idx holds many.
"""

from __future__ import annotations

import os.path
import re

AUDIO_ENDINGS = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aiff", ".aif"})
VIDEO_ENDINGS = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"})
PICTURE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})
IDX = re.compile(r".*[-.]idx3-ubyte(\.gz)?", re.IGNORECASE)
EDF_ENDINGS = (".edf", ".bdf")
BRAINVISION_ENDING, EEGLAB_ENDING, MATLAB_ENDING = ".vhdr", ".set", ".mat"
FIF_ENDINGS = (".fif", ".fif.gz")
XDF_ENDINGS = (".xdf", ".xdfz", ".xdf.gz")
TEXT_ENDINGS = (".csv", ".tsv", ".txt")  # of other tables too: their header tells
EEG_ENDINGS = (
    *EDF_ENDINGS,
    BRAINVISION_ENDING,
    EEGLAB_ENDING,
    *FIF_ENDINGS,
    MATLAB_ENDING,
    *XDF_ENDINGS,
    *TEXT_ENDINGS,
)
# Of files beside recordings that are read while recordings are looked for.
READ_BESIDE = (*TEXT_ENDINGS, ".tab", ".json", BRAINVISION_ENDING, ".vmrk")
# Without pictures, because data sets of recordings have figures beside them.
MEDIA_ENDINGS = AUDIO_ENDINGS | VIDEO_ENDINGS | frozenset(EEG_ENDINGS)
DOUBLE_ENDINGS = tuple(ending for ending in MEDIA_ENDINGS if ending.count(".") > 1)


def split_ending(path: str) -> tuple[str, str]:
    """Split a path into its stem and its ending, the latter in lower case; ``.fif.gz`` is one ending."""
    whole, ending = os.path.splitext(path)
    for double in DOUBLE_ENDINGS:
        if path.lower().endswith(double):
            return path[: -len(double)], double
    return whole, ending.lower()


def is_idx(path: str) -> bool:
    """Whether a file holds pictures in the format idx, by its ending: ``train-images-idx3-ubyte.gz``."""
    return IDX.fullmatch(os.path.basename(path)) is not None


def is_picture(path: str) -> bool:
    """Whether a file is a single picture, by its ending."""
    return split_ending(path)[1] in PICTURE_ENDINGS


def modalities_of(path: str) -> tuple[str, ...]:
    """The modalities in a file, by its ending: audio and video for a video, none for an unknown ending."""
    _, ending = split_ending(path)
    if ending in VIDEO_ENDINGS:
        return "audio", "video"
    if ending in PICTURE_ENDINGS or is_idx(path):
        return ("video",)
    return ("audio",) * (ending in AUDIO_ENDINGS) + ("eeg",) * (ending in EEG_ENDINGS)


def columns_of(path: str) -> tuple[str, ...]:
    """The path columns of a manifest that a file fills, by its ending."""
    return tuple(f"{modality}_path" for modality in modalities_of(path))

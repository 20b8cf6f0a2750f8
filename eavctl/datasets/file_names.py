"""What the layouts share that read speaker, emotion or split from the names of files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from eavctl.datasets.manifest import Manifest, build, media_files

SPLITS = {  # by the words that stand for them
    "train": "train",
    "t10k": "test",
    "test": "test",
    "val": "val",
    "valid": "val",
    "validation": "val",
}
N_INSPECTED = 50  # recordings, to recognise the data set


def recogniser(name: re.Pattern[str]) -> Callable[[Path], bool]:
    """A function that tells whether a folder is of the data set whose names match ``name``.

    Parameters
    ----------
    name : pattern of a whole file name without its ending.
    """

    def recognise(root: Path) -> bool:
        first = list(islice(media_files(root), N_INSPECTED)) if root.is_dir() else []
        return bool(first) and all(name.fullmatch(path.stem) for path in first)

    return recognise


def matching(root: Path, name: re.Pattern[str]) -> Iterator[tuple[Path, re.Match[str]]]:
    """Yield the recordings below ``root`` whose names match, in any folder, with the match."""
    for path in media_files(root):
        if match := name.fullmatch(path.stem):
            yield path, match


def acted_speech(root: Path, layout: str, name: re.Pattern[str], emotions: dict[str, str]) -> Manifest:
    """The manifest of audio files whose names hold the speaker and the emotion.

    Parameters
    ----------
    layout : name of the layout and of the data set.
    name : pattern with the groups ``speaker`` and ``emotion``.
    emotions : label by what the group ``emotion`` matches, in the order of the classes.

    Raises
    ------
    DataError : no such recordings.
    """
    records = (
        {
            "clip_id": path.stem,
            "dataset": layout,
            "subject": match["speaker"],
            "label": emotions[match["emotion"]],
            "audio_path": path.relative_to(root).as_posix(),
        }
        for path, match in matching(root, name)
    )
    return build(records, root, layout, classes=tuple(emotions.values()))

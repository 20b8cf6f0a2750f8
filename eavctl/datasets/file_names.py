"""What the layouts share that read speaker, emotion or split from the names of files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from eavctl.datasets.manifest import Manifest, build, first_files, media_files
from eavctl.signals.endings import columns_of

SPLITS = {  # by the words that stand for them
    "train": "train",
    "t10k": "test",
    "test": "test",
    "val": "val",
    "valid": "val",
    "validation": "val",
}


def recogniser(name: re.Pattern[str]) -> Callable[[Path], bool]:
    """A function that tells whether a folder is of the data set whose names match ``name``.

    Parameters
    ----------
    name : see `matching`.
    """

    def recognise(root: Path) -> bool:
        first = first_files(root)
        return bool(first) and all(_match(path, name) for path in first)

    return recognise


def matching(root: Path, name: re.Pattern[str]) -> Iterator[tuple[Path, re.Match[str]]]:
    """Yield the recordings below ``root`` whose names match, in any folder, with the match.

    Parameters
    ----------
    name : pattern of a whole file name without its ending, or of its folder and it, as ``DC/a01``.
    """
    for path in media_files(root):
        if match := _match(path, name):
            yield path, match


def _match(path: Path, name: re.Pattern[str]) -> re.Match[str] | None:
    if match := name.fullmatch(path.stem):
        return match
    return name.fullmatch(f"{os.path.basename(os.path.abspath(path.parent))}/{path.stem}")


def acted_speech(
    root: Path,
    layout: str,
    name: re.Pattern[str],
    emotions: Mapping[str, str],
    *,
    speakers: Mapping[str, str] = MappingProxyType({}),
) -> Manifest:
    """The manifest of recordings whose names hold the emotion, and the speaker or not.

    Files of one name are one recording: a film gives the video, and the audio where no audio file does; of
    several audio files, one without loss is preferred.

    Parameters
    ----------
    layout : name of the layout and of the data set.
    name : pattern of `matching`, with the groups ``emotion`` and ``speaker``; other groups are columns of the
        manifest.
    emotions : label by what the group ``emotion`` matches, in the order of the classes.
    speakers : speaker by what the group ``speaker`` matches, where that is not the speaker itself.

    Raises
    ------
    DataError : no such recordings.
    """
    clips: dict[str, dict[str, str]] = {}
    repeated = []
    for path, match in sorted(matching(root, name), key=lambda each: not _is_lossless(each[0])):
        found = {key: text for key, text in match.groupdict().items() if text is not None}
        label = emotions[found.pop("emotion")]
        facts = {"clip_id": match[0].replace("/", "_"), "dataset": layout, "label": label}
        if speaker := found.pop("speaker", None):
            facts["subject"] = speakers.get(speaker, speaker)
        record = clips.setdefault(facts["clip_id"], facts | found)
        paths = dict.fromkeys(columns_of(path.name), path.relative_to(root).as_posix())
        new = {key: each for key, each in paths.items() if key not in record}
        if not new and any(Path(record[key]).suffix == path.suffix for key in paths):
            repeated.append(facts | paths)
        record |= new
    return build([*clips.values(), *repeated], root, layout, classes=tuple(emotions.values()))


def _is_lossless(path: Path) -> bool:
    return path.suffix.lower() in (".wav", ".flac", ".aif", ".aiff")

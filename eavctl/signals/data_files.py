"""The files that are read with a recording of EEG: those of its samples and markers, and its tables."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from eavctl.signals.endings import BRAINVISION_ENDING, EEG_ENDINGS, EEGLAB_ENDING, split_ending
from eavctl.storage import remote_tree

DATA_FILE = re.compile(rb"^DataFile\s*=\s*(.+?)\s*$", re.MULTILINE)
MARKER_FILE = re.compile(rb"^MarkerFile\s*=\s*(.+?)\s*$", re.MULTILINE)
HEADER_BYTES = 1 << 16


def data_files(path: Path) -> Iterator[Path]:
    """The file of samples of a header, which itself may be equal for every recording."""
    ending = path.suffix.lower()
    if ending == BRAINVISION_ENDING:
        data = _named(path, DATA_FILE)
    elif ending == EEGLAB_ENDING:
        data = path.with_suffix(".fdt")
    else:
        return
    if data != path and data.is_file():
        yield data


def _named(path: Path, pattern: re.Pattern[bytes]) -> Path:
    """The file beside a header that the header names; the header itself, where it names none."""
    with open(path, "rb") as file:
        named = pattern.search(file.read(HEADER_BYTES))
    return path.with_name(Path(named[1].decode(errors="replace")).name) if named else path


def read_with(path: Path) -> list[Path]:
    """The files of samples, and the tables of channels and electrodes, that are read with a file, if any."""
    from eavctl.signals.bids import path_of  # imports more than describing audio needs

    tables = (path_of(path, suffix) for suffix in ("channels", "electrodes"))
    return [*data_files(path), *filter(None, tables)]


def fetched_with(path: Path) -> list[Path]:
    """The files to fetch with a recording of EEG: those of `read_with`, and its markers."""
    if split_ending(path.name)[1] not in EEG_ENDINGS or not path.is_file():
        return []
    is_header = path.suffix.lower() == BRAINVISION_ENDING
    markers = [each for each in [_named(path, MARKER_FILE)] if each.is_file()] if is_header else []
    return [each for each in (*read_with(path), *markers) if each != path]


def beside(root: str | os.PathLike[str], path: str) -> list[str]:
    """The paths, below a folder, of the files to fetch with a recording there."""
    return [os.path.relpath(each, root) for each in fetched_with(Path(root, path))]


def needs_folder(name: str) -> bool:
    """Whether a recording of this name may be read with files beside it, or above it as in BIDS."""
    return split_ending(name)[1] in (BRAINVISION_ENDING, EEGLAB_ENDING) or name.startswith("sub-")


def make_whole(path: Path) -> None:
    """Fetch a recording that a layout reads, and its file of samples, if they are remote.

    Raises
    ------
    DataError : they cannot be fetched.
    """
    if remote_tree.is_remote(path) and path.is_file():
        remote_tree.whole(path)
        for each in data_files(path):
            remote_tree.whole(each)

"""Layout ``idx``: the MNIST family, many pictures in one file.

Reference: LeCun, Cortes, Burges: The MNIST database of handwritten digits, 1998.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eavctl.datasets.file_names import SPLITS
from eavctl.datasets.manifest import Manifest, build
from eavctl.errors import SignalError
from eavctl.registry import register
from eavctl.signals.endings import is_idx
from eavctl.signals.idx import IdxFile, digest_of, read_labels

PICTURES = re.compile(r"(?P<name>.+?)[-.]images[-.]idx3-ubyte(?P<packed>\.gz)?", re.IGNORECASE)
LABELS = "{name}[-.]labels[-.]idx1-ubyte(\\.gz)?"


def recognise(root: Path) -> bool:
    """Whether ``root`` is a file of pictures in the format idx, or a folder with one in it."""
    if root.is_file():
        return is_idx(root.name)
    return root.is_dir() and any(PICTURES.fullmatch(path.name) for path in root.iterdir())


@register("layouts", "idx", recognise=recognise, priority=1, features="images")
def scan(root: Path) -> Manifest:
    """Read ``<name>-images-idx3-ubyte`` with ``<name>-labels-idx1-ubyte``, if any, packed by gzip or not.

    Pictures are trials of their file, numbered from 1; ``train`` in its name stands for the split train,
    ``t10k`` or ``test`` for test. Labels are the numbers of the classes. Pictures of the training split with
    the same pixels as one of the test split are rejected. So are those of a damaged file. Of a file that is
    there packed and unpacked, the unpacked one is read.

    Raises
    ------
    DataError : no such files, or none that can be read.
    """
    folder = root.parent if root.is_file() else root
    paths = [root] if root.is_file() else _unpacked(folder.iterdir() if folder.is_dir() else ())
    files, rejected = list[_File](), list[dict[str, str]]()
    for path in sorted(paths, key=_name_of):
        try:
            files.append(_File.read(path))
        except SignalError as error:
            reason = str(error).removeprefix(f"{path}: ")
            rejected.append(
                {"clip_id": _name_of(path), "path": path.name, "reason": reason, "modality": "video"}
            )
    left_out = [_in_test_split(file, files) for file in files]
    rejected += [bad for file, others in zip(files, left_out, strict=True) for bad in file.rejections(others)]
    dataset = folder.resolve().name
    records = (
        {**record, "dataset": dataset}
        for file, others in zip(files, left_out, strict=True)
        for record in file.records(others)
    )
    numbers = sorted({label for file in files for label in np.unique(file.labels).tolist()})
    return build(records, folder, "idx", classes=tuple(map(str, numbers)), rejected=rejected)


@dataclass(frozen=True)
class _File:
    """A file of pictures.

    Parameters
    ----------
    path : of the pictures.
    digests : of each picture, shape (n_pictures,).
    labels : shape (n_pictures,), or empty where there is no file of labels.
    """

    path: Path
    digests: np.ndarray
    labels: np.ndarray

    @classmethod
    def read(cls, path: Path) -> _File:
        """Read the labels, and all pictures once for their digests; raises a SignalError if either fails."""
        with IdxFile(path) as file:
            digests = [digest_of(picture) for block in file.blocks() for picture in block]
        found = np.array([int(each, 16) for each in digests], np.uint64)
        labels = np.array([], np.uint8)
        if beside := _labels_of(path):
            labels = read_labels(beside)
            if len(labels) != len(found):
                raise SignalError(f"{len(found)} pictures, but {len(labels)} labels in {beside.name}")
        return cls(path, found, labels)

    @property
    def split(self) -> str | None:
        """The split that the file's name stands for."""
        words = re.split(r"[-_.]", _name_of(self.path).lower())
        return next((SPLITS[word] for word in reversed(words) if word in SPLITS), None)

    def records(self, left_out: np.ndarray) -> Iterator[dict[str, Any]]:
        """The manifest's records of the pictures that are not left out (bool, shape (n_pictures,))."""
        facts = {"split": self.split, "video_path": self.path.name}
        for index in np.flatnonzero(~left_out).tolist():
            label = str(self.labels[index]) if len(self.labels) else None
            yield {"clip_id": self._clip(index), "trial": self._number(index), "label": label, **facts}

    def rejections(self, left_out: np.ndarray) -> Iterator[dict[str, str]]:
        """The manifest's rejections of the pictures that are left out."""
        for index in np.flatnonzero(left_out).tolist():
            yield {
                "clip_id": self._clip(index),
                "path": self.path.name,
                "reason": f"picture {index + 1} is also in the test split: training on it would be a leak",
                "modality": "video",
                "split": str(self.split),
            }

    def _clip(self, index: int) -> str:
        return f"{_name_of(self.path)}/{self._number(index)}"

    def _number(self, index: int) -> str:
        """The number of a picture, from 1, padded so that names are sorted as numbers are."""
        return f"{index + 1:0{len(str(len(self.digests)))}d}"


def _in_test_split(file: _File, files: Sequence[_File]) -> np.ndarray:
    """Mask of the pictures of a training or validation split that stand in a test split too."""
    tested = [other.digests for other in files if other.split == "test"]
    if file.split in (None, "test") or not tested:
        return np.zeros(len(file.digests), bool)
    return np.isin(file.digests, np.concatenate(tested))


def _unpacked(paths: Iterable[Path]) -> list[Path]:
    """The files of pictures; of one that is there packed and unpacked, the latter."""
    found: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: path.suffix.lower() == ".gz"):
        if PICTURES.fullmatch(path.name) and not path.name.startswith("."):
            found.setdefault(_name_of(path), path)
    return list(found.values())


def _name_of(path: Path) -> str:
    match = PICTURES.fullmatch(path.name)
    return match["name"] if match else path.name


def _labels_of(path: Path) -> Path | None:
    """The file of labels beside a file of pictures, unpacked if there are both; None where there is none."""
    pattern = re.compile(LABELS.format(name=re.escape(_name_of(path))), re.IGNORECASE)
    found = [other for other in path.parent.iterdir() if pattern.fullmatch(other.name)]
    return min(found, key=lambda other: other.suffix.lower() == ".gz", default=None)

"""The phrase that chooses whose face is followed in films of several people."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from eavctl.grounding.model import GroundModel
from eavctl.signals.faces import Chooser
from eavctl.signals.mtcnn import Faces, overlaps
from eavctl.storage.provenance import hash_file

HEAD = 1.35  # side of a head with hair over the longer side of the face's box
AROUND = 1.2  # sides of the largest face that are kept around the hull of all faces
NEAR_MISS = 0.15  # fit of a face with which the answer's box does not overlap, but which it is next to


@dataclass(frozen=True)
class Whose:
    """A phrase, and the model that reads it; see `eavctl.extraction.interfaces.Whose`.

    Parameters
    ----------
    phrase : such as ``the woman on the left``.
    model : file of ``eavctl train-ground``.
    content : hash of the file.
    """

    phrase: str
    model: Path
    content: str

    @classmethod
    def of(cls, phrase: str, model: str | os.PathLike[str]) -> Whose:
        """Read the model of a file, and check that it knows the phrase.

        Raises
        ------
        DataError : no such model, or it knows no word of the phrase.
        """
        path = Path(model).absolute()
        GroundModel.load(path).check_phrase(phrase)
        return cls(phrase, path, hash_file(path))

    @property
    def identity(self) -> dict[str, Any]:
        """The phrase, and the hash of the model."""
        return {"phrase": self.phrase, "model": self.content}

    def load(self) -> Chooser:
        """A function from a picture and its faces to how well each fits the phrase, 0 to 1."""
        model, phrase = _loaded(self.model, self.content), self.phrase

        def choose(picture: np.ndarray, faces: Faces) -> np.ndarray:
            left, top, right, bottom = region(faces.boxes, picture.shape[:2])
            (found,) = model.find([picture[top:bottom, left:right]], phrase)
            return found.score * fits(found.box + np.array([left, top, left, top]), faces.boxes)

        return choose


@lru_cache(maxsize=2)
def _loaded(path: Path, content: str) -> GroundModel:
    """The model of a file, read again where its content is another."""
    return GroundModel.load(path)


def region(boxes: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """What the phrase is about: the hull of all faces with some room, so that small faces become large.

    Parameters
    ----------
    boxes : left, top, right and bottom of faces, shape (n_faces, 4).
    size : height and width of the picture.

    Returns
    -------
    Left, top, right and bottom in whole pixels, inside the picture.
    """
    room = AROUND * float((boxes[:, 2:] - boxes[:, :2]).max())
    left, top = np.floor(boxes[:, :2].min(axis=0) - room).astype(int)
    right, bottom = np.ceil(boxes[:, 2:].max(axis=0) + room).astype(int)
    height, width = size
    return max(int(left), 0), max(int(top), 0), min(int(right), width), min(int(bottom), height)


def fits(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """How well faces are the head that a box shows: their overlap with it, or, beside it, their nearness.

    Parameters
    ----------
    box : left, top, right and bottom of the answer, shape (4,).
    boxes : of the faces, shape (n_faces, 4).

    Returns
    -------
    0 to 1, shape (n_faces,).
    """
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = HEAD * (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    heads = np.concatenate([centres - half, centres + half], axis=1)
    away = np.linalg.norm(centres - (box[:2] + box[2:]) / 2, axis=1) / (2 * half[:, 0])
    return np.asarray(np.maximum(overlaps(box, heads), NEAR_MISS * np.exp(-away)))

"""Faces in pictures: finding them, following one person, and cutting the face out.

Faces are found by MTCNN (see `eavctl.signals.mtcnn`), because its weights are all that has to be installed
(``mtcnn``, 2 MB, MIT licence, and lz4): on real clips it found the face in every frame that shows one and
none in those without. A search takes 13 to 20 ms; in the frames after, looking where the face last was takes
2. BlazeFace took 3 to 14 ms, but saw faces in 4 to 25 % of the frames of a clip without any, takes a runtime
of 60 MB, and its weights come only with tensorflow. With ``face_model``, a YuNet model finds them instead.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from eavctl.errors import SignalError, UsageError
from eavctl.signals import mtcnn
from eavctl.signals.mtcnn import Found, overlaps
from eavctl.signals.pictures import cut_out

SPREAD = 1.25  # side of a crop over the longer side of the face's box: an eighth is margin on each side
YUNET_LEAST, YUNET_SAME, YUNET_MOST = (
    0.7,
    0.3,
    5000,
)  # score, overlap in which two boxes are one, boxes at most

TRIAL = (320, 320)  # pixels, of the picture on which a YuNet model is tried

Detector = Callable[[np.ndarray, np.ndarray | None], Found]


@dataclass(frozen=True)
class Track:
    """One person's face through a clip; where none was found, what was found before, at first the first.

    Parameters
    ----------
    crops : uint8, shape (n_frames, side, side, 3), RGB.
    boxes : float, shape (n_frames, 4): left, top, right, bottom of the face, in pixels.
    points : float, shape (n_frames, 5, 2): x and y of its eyes, nose and mouth, as in `Found`.
    is_found : bool, shape (n_frames,).
    """

    crops: np.ndarray
    boxes: np.ndarray
    points: np.ndarray
    is_found: np.ndarray

    @property
    def share(self) -> float:
        """Of the frames, those in which a face was found."""
        return float(self.is_found.mean())


def detector(face_model: str | None = None) -> Detector:
    """What finds faces in a picture, uint8 RGB (height, width, 3): MTCNN, or a YuNet model, by its path.

    It is also told the box of the face in the frame before, or None, near which it may look first.

    Raises
    ------
    UsageError : a package is missing, or the model cannot be read.
    """
    return mtcnn.detect if face_model is None else _yunet(face_model)


def follow(frames: Iterable[np.ndarray], find: Detector, side: int, *, spread: float = SPREAD) -> Track:
    """Find one person's face in each frame and cut a square around it.

    Of several faces the largest is taken at first, and then the one nearest to where the last was.

    Parameters
    ----------
    frames : uint8 RGB pictures, shape (height, width, 3).
    find : see `detector`.
    side : of the crops, in pixels.
    spread : side of the square over the longer side of the face's box.

    Raises
    ------
    SignalError : no face in any frame.
    """
    crops: list[np.ndarray] = []
    boxes: list[np.ndarray] = []
    points: list[np.ndarray] = []
    source: list[int] = []  # for each frame, which crop it has; -1 before the first
    is_found: list[bool] = []
    before: np.ndarray | None = None
    for frame in frames:
        if frame is not before:  # else it is shown on, and needs no second look
            before, found = frame, find(frame, boxes[-1] if is_found and is_found[-1] else None)
            if len(found):
                place = _same_person(found, boxes[-1]) if boxes else _largest(found)
                boxes.append(found.boxes[place])
                points.append(found.points[place])
                crops.append(cut_out(frame, _square(boxes[-1], spread), (side, side)))
        is_found.append(len(found) > 0)
        source.append(len(crops) - 1)
    if not crops:
        raise SignalError(f"no face found in any of {len(source)} frames")
    order = np.maximum(source, 0)
    return Track(np.array(crops)[order], np.array(boxes)[order], np.array(points)[order], np.array(is_found))


def _largest(found: Found) -> int:
    return int(np.argmax((found.boxes[:, 2:] - found.boxes[:, :2]).prod(axis=1)))


def _same_person(found: Found, box: np.ndarray) -> int:
    """The face that overlaps most with where it was; where none does, the nearest."""
    overlap = overlaps(box, found.boxes)
    if overlap.any():
        return int(np.argmax(overlap))
    apart = (found.boxes[:, :2] + found.boxes[:, 2:]) - (box[:2] + box[2:])
    return int(np.argmin((apart**2).sum(axis=1)))


def _square(box: np.ndarray, spread: float) -> np.ndarray:
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).max() * spread / 2
    return np.concatenate([centre - half, centre + half])


@functools.lru_cache(maxsize=1)
def _yunet(path: str) -> Detector:
    """YuNet (Wu, Peng, Yu: YuNet: a tiny millisecond-level face detector, 2023), run by OpenCV."""
    try:
        cv2 = importlib.import_module("cv2")  # an option, and without types
    except ImportError:
        raise UsageError("a YuNet model is run by OpenCV: pip install opencv-python-headless") from None
    if not os.path.isfile(path):
        raise UsageError(f"{path}: no such file; --face-model names a YuNet model, an .onnx file")
    try:
        net = cv2.FaceDetectorYN.create(path, "", TRIAL, YUNET_LEAST, YUNET_SAME, YUNET_MOST)
        net.detect(np.zeros((*TRIAL, 3), np.uint8))  # another network fails here at the latest
    except (cv2.error, AttributeError):
        raise UsageError(f"{path}: not a YuNet model that the installed OpenCV can run") from None

    def find(picture: np.ndarray, near: np.ndarray | None = None) -> Found:
        height, width = picture.shape[:2]
        net.setInputSize((width, height))
        _, rows = net.detect(np.ascontiguousarray(picture[..., ::-1]))
        rows = np.empty((0, 15)) if rows is None else rows.astype(float)
        # left, top, width, height; the points in the order of Found; score
        boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
        return Found(boxes, rows[:, 14], rows[:, 4:14].reshape(-1, 5, 2))

    return find

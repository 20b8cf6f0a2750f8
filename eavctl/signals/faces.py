"""Faces in pictures: detecting them, tracking one person, and cropping the face.

The detector is MTCNN (see `eavctl.signals.mtcnn`), because it needs only its weights (``mtcnn``, 2 MB, MIT
licence, and lz4). On real clips it found the face in every frame that shows one, and none in the others. A
full search takes 13 to 20 ms per frame; a search near the last face takes 2 ms. BlazeFace took 3 to 14 ms,
but had false positives in 4 to 25 % of the frames of a clip without faces, needs a runtime of 60 MB, and its
weights come only with tensorflow. With ``face_model``, a YuNet model is the detector.
"""

from __future__ import annotations

import functools
import importlib
import os
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from eavctl.errors import SignalError, UsageError
from eavctl.signals import mtcnn
from eavctl.signals.mtcnn import Faces, overlaps
from eavctl.signals.pictures import cut_out

SPREAD = 1.25  # side of a crop over the longer side of the face's box: a margin of an eighth on each side
YUNET_MIN_SCORE, YUNET_MAX_OVERLAP, YUNET_MAX_BOXES = 0.7, 0.3, 5000

TRIAL_SIZE = (320, 320)  # pixels, of the picture on which a YuNet model is tested

Detector = Callable[[np.ndarray, np.ndarray | None], Faces]


@dataclass(frozen=True)
class Track:
    """One person's face throughout a clip.

    A frame without a face has the values of the last frame with one, or of the first such frame if none
    precedes it.

    Parameters
    ----------
    crops : uint8, shape (n_frames, side, side, 3), RGB.
    boxes : float, shape (n_frames, 4): left, top, right, bottom of the face, in pixels.
    points : float, shape (n_frames, 5, 2): x and y of its eyes, nose and mouth, as in `Faces`.
    is_found : bool, shape (n_frames,): whether the frame itself shows a face.
    """

    crops: np.ndarray
    boxes: np.ndarray
    points: np.ndarray
    is_found: np.ndarray

    @property
    def share(self) -> float:
        """The share of frames in which a face was found."""
        return float(self.is_found.mean())


@functools.lru_cache(maxsize=2)
def detector(face_model: str | None = None) -> Detector:
    """Get the face detector: MTCNN, or the YuNet model at a path.

    A detector takes a picture, uint8 RGB (height, width, 3), and the box of the face in the previous frame or
    None; it may search near that box first. A read-only picture that stays in memory is searched once for
    each box: a live window then waits for its last frames only (see `eavctl.live.session`).

    Raises
    ------
    UsageError : a package is missing, or the model cannot be read.
    """
    return _searching_once(mtcnn.detect if face_model is None else _yunet(face_model))


def _searching_once(find: Detector) -> Detector:
    """The detector, with what it found in read-only pictures that are still in memory; it keeps none."""
    known: dict[int, tuple[weakref.ref[np.ndarray], dict[bytes | None, Faces]]] = {}

    def found_in(picture: np.ndarray, near: np.ndarray | None = None) -> Faces:
        if picture.flags.writeable:
            return find(picture, near)
        number = id(picture)
        if number not in known:
            known[number] = weakref.ref(picture, lambda _: known.pop(number, None)), {}
        found, box = known[number][1], None if near is None else near.tobytes()
        if box not in found:
            found[box] = find(picture, near)
        return found[box]

    return found_in


def follow(frames: Iterable[np.ndarray], find: Detector, side: int, *, spread: float = SPREAD) -> Track:
    """Find one person's face in each frame and crop a square around it.

    If there are several faces, the first is the largest, and each later one is the nearest to the last.

    Parameters
    ----------
    frames : uint8 RGB pictures, shape (height, width, 3).
    find : face detector, see `detector`.
    side : side of the crops, in pixels.
    spread : side of the square over the longer side of the face's box.

    Raises
    ------
    SignalError : no face in any frame.
    """
    crops: list[np.ndarray] = []
    boxes: list[np.ndarray] = []
    points: list[np.ndarray] = []
    source: list[int] = []  # index of each frame's crop; -1 before the first
    is_found: list[bool] = []
    before: np.ndarray | None = None
    for frame in frames:
        if frame is not before:  # a repeated frame needs no second search
            before, found = frame, find(frame, boxes[-1] if is_found and is_found[-1] else None)
            if len(found):
                chosen = _same_person(found, boxes[-1]) if boxes else _largest(found)
                boxes.append(found.boxes[chosen])
                points.append(found.points[chosen])
                crops.append(cut_out(frame, _square(boxes[-1], spread), (side, side)))
        is_found.append(len(found) > 0)
        source.append(len(crops) - 1)
    if not crops:
        raise SignalError(f"no face found in any of {len(source)} frames")
    order = np.maximum(source, 0)
    return Track(np.array(crops)[order], np.array(boxes)[order], np.array(points)[order], np.array(is_found))


def _largest(found: Faces) -> int:
    return int(np.argmax((found.boxes[:, 2:] - found.boxes[:, :2]).prod(axis=1)))


def _same_person(found: Faces, box: np.ndarray) -> int:
    """Index of the face that overlaps most with the previous box, or, if none does, of the nearest."""
    overlap = overlaps(box, found.boxes)
    if overlap.any():
        return int(np.argmax(overlap))
    offsets = (found.boxes[:, :2] + found.boxes[:, 2:]) - (box[:2] + box[2:])
    return int(np.argmin((offsets**2).sum(axis=1)))


def _square(box: np.ndarray, spread: float) -> np.ndarray:
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).max() * spread / 2
    return np.concatenate([centre - half, centre + half])


@functools.lru_cache(maxsize=1)
def _yunet(path: str) -> Detector:
    """YuNet (Wu, Peng, Yu: YuNet: a tiny millisecond-level face detector, 2023), run by OpenCV."""
    try:
        cv2 = importlib.import_module("cv2")  # optional, and without types
    except ImportError:
        raise UsageError("a YuNet model needs OpenCV: pip install opencv-python-headless") from None
    if not os.path.isfile(path):
        raise UsageError(f"{path}: no such file; --face-model names a YuNet model, an .onnx file")
    try:
        net = cv2.FaceDetectorYN.create(
            path, "", TRIAL_SIZE, YUNET_MIN_SCORE, YUNET_MAX_OVERLAP, YUNET_MAX_BOXES
        )
        net.detect(np.zeros((*TRIAL_SIZE, 3), np.uint8))  # any other network fails here at the latest
    except (cv2.error, AttributeError):
        raise UsageError(f"{path}: not a YuNet model that the installed OpenCV can run") from None

    def find(picture: np.ndarray, near: np.ndarray | None = None) -> Faces:
        height, width = picture.shape[:2]
        net.setInputSize((width, height))
        _, rows = net.detect(np.ascontiguousarray(picture[..., ::-1]))
        rows = np.empty((0, 15)) if rows is None else rows.astype(float)
        # left, top, width, height; the points in the order of Faces; score
        boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
        return Faces(boxes, rows[:, 14], rows[:, 4:14].reshape(-1, 5, 2))

    return find

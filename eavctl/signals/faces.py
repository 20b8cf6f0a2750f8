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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from eavctl.errors import SignalError, UsageError
from eavctl.signals import mtcnn
from eavctl.signals.mtcnn import Faces, overlaps
from eavctl.signals.pictures import cut_out
from eavctl.signals.trails import Trail, link

Result = TypeVar("Result")

SPREAD = 1.25  # side of a crop over the longer side of the face's box: a margin of an eighth on each side
YUNET_MIN_SCORE, YUNET_MAX_OVERLAP, YUNET_MAX_BOXES = 0.7, 0.3, 5000

TRIAL_SIZE = (320, 320)  # pixels, of the picture on which a YuNet model is tested

Detector = Callable[[np.ndarray, np.ndarray | None], Faces]

Chooser = Callable[[np.ndarray, Faces], np.ndarray]
"""Of a picture and its faces: how well each is the one that is wanted, 0 to 1, shape (n_faces,)."""

LEAST_SHARE = 0.25  # of the pictures of the longest trail, that the trail of a chosen face has


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
    is_found : bool, shape (n_frames,): whether the frame itself shows the face.
    n_people : faces that a frame shows together, at least 1: the median over frames that were searched whole
        and show one.
    fit : how well the face is the one that was wanted, the mean over its pictures; None where none was.
    """

    crops: np.ndarray
    boxes: np.ndarray
    points: np.ndarray
    is_found: np.ndarray
    n_people: int = 1
    fit: float | None = None

    @property
    def share(self) -> float:
        """The share of frames in which the face was found."""
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
    return _once_a_picture(find, lambda near: None if near is None else near.tobytes())


def choosing_once(choose: Chooser) -> Chooser:
    """The chooser, with the fits of read-only pictures that are still in memory: see `detector`."""
    return _once_a_picture(choose, lambda found: found.boxes.tobytes())


def _once_a_picture(
    work: Callable[[np.ndarray, Any], Result], key: Callable[[Any], bytes | None]
) -> Callable[[np.ndarray, Any], Result]:
    """Work on a read-only picture once for each key of what is given with it, while it is in memory."""
    known: dict[int, tuple[weakref.ref[np.ndarray], dict[bytes | None, Result]]] = {}

    def result_of(picture: np.ndarray, given: Any = None) -> Result:
        if picture.flags.writeable:
            return work(picture, given)
        number = id(picture)
        if number not in known:
            known[number] = weakref.ref(picture, lambda _: known.pop(number, None)), {}
        results, wanted = known[number][1], key(given)
        if wanted not in results:
            results[wanted] = work(picture, given)
        return results[wanted]

    return result_of


def follow(
    frames: Iterable[np.ndarray],
    find: Detector,
    side: int,
    *,
    spread: float = SPREAD,
    choose: Chooser | None = None,
) -> Track:
    """Find one person's face in each frame and crop a square around it.

    If there are several faces, the first is the largest, and each later one is the nearest to the last. With
    a chooser, every frame is searched whole, faces are linked over the frames, and the one with the highest
    mean fit is taken, of those that are found at least a quarter as often as the one found most often.

    Parameters
    ----------
    frames : uint8 RGB pictures, shape (height, width, 3).
    find : face detector, see `detector`.
    side : side of the crops, in pixels.
    spread : side of the square over the longer side of the face's box.
    choose : how well faces fit what is wanted; None for the largest.

    Raises
    ------
    SignalError : no face in any frame; or fits that are not finite.
    """
    trails: list[Trail] = []
    counts: list[int] = []  # of faces, where a picture was searched whole
    shown: list[int] = []  # number of the picture that each frame shows
    before: np.ndarray | None = None
    for frame in frames:
        if frame is not before:  # a repeated frame needs no second search
            before, number = frame, shown[-1] + 1 if shown else 0
            near = _last_box(trails, number) if choose is None else None
            found = find(frame, near)
            if near is None and len(found):
                counts.append(len(found))
            fits = np.zeros(len(found)) if choose is None else _fits(choose, frame, found)
            for trail, face in _one(trails, found) if choose is None else link(trails, found, number):
                crop = cut_out(frame, square(found.boxes[face], spread), (side, side))
                trail.add(number, found, face, crop, float(fits[face]))
        shown.append(number)
    if not trails:
        raise SignalError(f"no face found in any of {len(shown)} frames")
    trail = _best(trails)
    order = np.maximum(np.searchsorted(trail.pictures, shown, side="right") - 1, 0)
    return Track(
        np.array(trail.crops)[order],
        np.array(trail.boxes)[order],
        np.array(trail.points)[order],
        np.isin(shown, trail.pictures),
        int(np.median(counts) + 0.5),
        None if choose is None else trail.fit,
    )


def _last_box(trails: Sequence[Trail], number: int) -> np.ndarray | None:
    """Where the one face that is followed was in the previous picture, if it was found there."""
    return trails[0].boxes[-1] if trails and trails[0].pictures[-1] == number - 1 else None


def _one(trails: list[Trail], found: Faces) -> list[tuple[Trail, int]]:
    """The only trail, which is begun at the largest face, and the index of the face that continues it."""
    if not len(found):
        return []
    if not trails:
        trails.append(Trail())
        return [(trails[0], _largest(found))]
    return [(trails[0], _same_person(found, trails[0].boxes[-1]))]


def _fits(choose: Chooser, picture: np.ndarray, found: Faces) -> np.ndarray:
    """How well each face fits, (n_faces,)."""
    if not len(found):
        return np.empty(0)
    fits = np.asarray(choose(picture, found), float)
    if fits.shape != (len(found),) or not np.isfinite(fits).all():
        raise SignalError("the faces' fits to the phrase are not finite numbers, one a face")
    return fits


def _best(trails: Sequence[Trail]) -> Trail:
    """The trail with the highest mean fit, of those that are long enough."""
    least = LEAST_SHARE * max(len(trail.pictures) for trail in trails)
    return max((trail for trail in trails if len(trail.pictures) >= least), key=lambda trail: trail.fit)


def _largest(found: Faces) -> int:
    return int(np.argmax((found.boxes[:, 2:] - found.boxes[:, :2]).prod(axis=1)))


def _same_person(found: Faces, box: np.ndarray) -> int:
    """Index of the face that overlaps most with the previous box, or, if none does, of the nearest."""
    overlap = overlaps(box, found.boxes)
    if overlap.any():
        return int(np.argmax(overlap))
    offsets = (found.boxes[:, :2] + found.boxes[:, 2:]) - (box[:2] + box[2:])
    return int(np.argmin((offsets**2).sum(axis=1)))


def square(box: np.ndarray, spread: float) -> np.ndarray:
    """The square around a box (left, top, right, bottom), ``spread`` times as wide as its longer side."""
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

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
import statistics
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from eavctl.errors import SignalError, UsageError
from eavctl.signals import mtcnn
from eavctl.signals.mtcnn import Faces, overlaps
from eavctl.signals.pictures import cut_out

SPREAD = 1.25  # side of a crop over the longer side of the face's box: a margin of an eighth on each side
YUNET_MIN_SCORE, YUNET_MAX_OVERLAP, YUNET_MAX_BOXES = 0.7, 0.3, 5000

NEAR = 1.5  # sides of a face that it may move between two frames in which it is found
STEADY = 0.25  # least share of the longest track's frames that a track must have to be chosen

TRIAL_SIZE = (320, 320)  # pixels, of the picture on which a YuNet model is tested

Detector = Callable[[np.ndarray, np.ndarray | None], Faces]
Chooser = Callable[[np.ndarray, Faces], np.ndarray]
"""Of a picture and its faces: how well each is the one that is wanted, 0 to 1, shape (n_faces,)."""


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
    n_people : faces found together: the median over the frames with faces that were searched whole.
    fit : how well the face is the one that was wanted, mean over its frames; None where none was.
    """

    crops: np.ndarray
    boxes: np.ndarray
    points: np.ndarray
    is_found: np.ndarray
    n_people: int = 1
    fit: float | None = None

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
    ``choose``, all faces are followed, and the one that fits best over its frames is taken.

    Parameters
    ----------
    frames : uint8 RGB pictures, shape (height, width, 3).
    find : face detector, see `detector`.
    side : side of the crops, in pixels.
    spread : side of the square over the longer side of the face's box.
    choose : says how well each face fits.

    Raises
    ------
    SignalError : no face in any frame.
    """
    people: list[_Person] = []
    counts: list[int] = []
    n_frames = 0
    before: np.ndarray | None = None
    for number, frame in enumerate(frames):
        n_frames = number + 1
        if frame is before:  # a repeated frame needs no second search
            for person in people:
                person.repeat(number)
            continue
        before = frame
        last = people[0].box_at(number - 1) if people and choose is None else None
        found = find(frame, last)
        if not len(found):
            continue
        if last is None:
            counts.append(len(found))
        fits = None if choose is None else choose(frame, found)
        for person, face in _matched(people, found) if choose else _one(people, found):
            crop = cut_out(frame, _square(found.boxes[face], spread), (side, side))
            person.add(
                number, crop, found.boxes[face], found.points[face], None if fits is None else fits[face]
            )
            if person not in people:
                people.append(person)
    if not people:
        raise SignalError(f"no face found in any of {n_frames} frames")
    return _best(people).track(n_frames, int(statistics.median_low(counts)))


@dataclass(eq=False)
class _Person:
    """What was seen of a person, in the frames that show the face."""

    frames: list[int] = field(default_factory=list)
    crops: list[np.ndarray] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)
    points: list[np.ndarray] = field(default_factory=list)
    fits: list[float] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)  # for each frame, the number of what it shows

    def add(
        self, frame: int, crop: np.ndarray, box: np.ndarray, points: np.ndarray, fit: float | None
    ) -> None:
        self.crops.append(crop)
        self.boxes.append(box)
        self.points.append(points)
        self.fits += [] if fit is None else [float(fit)]
        self._show(frame)

    def repeat(self, frame: int) -> None:
        """The frame before, in which the person may have been, is shown again."""
        if self.frames[-1] == frame - 1:
            self._show(frame)

    def _show(self, frame: int) -> None:
        self.frames.append(frame)
        self.seen.append(len(self.boxes) - 1)

    def box_at(self, frame: int) -> np.ndarray | None:
        """The box in a frame, if it is the last that shows the face."""
        return self.boxes[-1] if self.frames[-1] == frame else None

    @property
    def fit(self) -> float | None:
        return float(np.mean(self.fits)) if self.fits else None

    def track(self, n_frames: int, n_people: int) -> Track:
        is_found = np.zeros(n_frames, bool)
        is_found[self.frames] = True
        source = np.full(n_frames, -1)
        source[self.frames] = self.seen
        order = np.maximum(np.maximum.accumulate(source), 0)
        crops, boxes, points = (np.array(each)[order] for each in (self.crops, self.boxes, self.points))
        return Track(crops, boxes, points, is_found, n_people, self.fit)


def _one(people: list[_Person], found: Faces) -> list[tuple[_Person, int]]:
    """The one person who is followed, and the number of the face."""
    if not people:
        return [(_Person(), _largest(found))]
    return [(people[0], _same_person(found, people[0].boxes[-1]))]


def _matched(people: list[_Person], found: Faces) -> list[tuple[_Person, int]]:
    """The person of each face: the pairs that overlap most, or are near, first; who is left over is new."""
    ranked = [
        (float(near), number, face)
        for number, person in enumerate(people)
        for face, near in enumerate(_nearness(person.boxes[-1], found.boxes))
        if near > 0
    ]
    taken: dict[int, int] = {}  # the person's number of each face
    for _, number, face in sorted(ranked, reverse=True):
        if face not in taken and number not in taken.values():
            taken[face] = number
    return [(people[taken[face]] if face in taken else _Person(), face) for face in range(len(found))]


def _nearness(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """1 + overlap where boxes overlap; else falling from 1 to 0 at `NEAR` sides' distance; below 0 beyond."""
    overlap = overlaps(box, boxes)
    side = max(float((box[2:] - box[:2]).max()), 1.0)
    away = np.linalg.norm(boxes[:, :2] + boxes[:, 2:] - box[:2] - box[2:], axis=1) / 2
    return np.where(overlap > 0, 1 + overlap, 1 - away / (NEAR * side))


def _best(people: list[_Person]) -> _Person:
    """Who fits best, of those who are seen often enough; without a choice there is one."""
    longest = max(len(person.frames) for person in people)
    steady = [person for person in people if len(person.frames) >= STEADY * longest]
    return max(steady, key=lambda person: person.fit or 0.0)


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

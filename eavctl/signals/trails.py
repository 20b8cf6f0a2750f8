"""Trails: the faces of each person, linked over the pictures of a clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from eavctl.signals.mtcnn import Faces, overlaps

REACH = 3.0  # sides of its box by which a face may move from one picture to the next


@dataclass(eq=False)
class Trail:
    """One person's face in the pictures in which it was found, in their order.

    Parameters
    ----------
    pictures : numbers of the pictures.
    boxes, points : of the face in each, as in `eavctl.signals.mtcnn.Faces`.
    crops : uint8 RGB, shape (side, side, 3), of each.
    fits : how well the face in each fits what is wanted; 0 where that is not asked.
    """

    pictures: list[int] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)
    points: list[np.ndarray] = field(default_factory=list)
    crops: list[np.ndarray] = field(default_factory=list)
    fits: list[float] = field(default_factory=list)

    def add(self, picture: int, found: Faces, face: int, crop: np.ndarray, fit: float) -> None:
        """Add a face of the next picture."""
        self.pictures.append(picture)
        self.boxes.append(found.boxes[face])
        self.points.append(found.points[face])
        self.crops.append(crop)
        self.fits.append(fit)

    @property
    def fit(self) -> float:
        """The mean fit."""
        return float(np.mean(self.fits))


def link(trails: list[Trail], found: Faces, picture: int) -> list[tuple[Trail, int]]:
    """Find the trail that each face of a picture continues; a face that continues none begins one.

    A trail takes at most one face: that which overlaps most with its last box, or, if none does, the nearest
    within `REACH`, which grows with the pictures since. Trails of the previous picture take theirs first, so
    that a person who walks past the place where another one was is not taken for that other one.

    Parameters
    ----------
    trails : of earlier pictures; new ones are appended.
    picture : number of the picture.

    Returns
    -------
    Each trail that goes on, and the index of its face.
    """
    last = picture - 1
    linked: list[tuple[Trail, int]] = []
    free = list(range(len(found)))
    for known in (
        [trail for trail in trails if trail.pictures[-1] == last],
        [trail for trail in trails if trail.pictures[-1] < last],
    ):
        pairs = [(trail, free[i]) for trail, i in _nearest_first(known, found.boxes[free], picture)]
        linked += pairs
        free = [face for face in free if face not in {face for _, face in pairs}]
    begun = [Trail() for _ in free]
    trails += begun
    return [*linked, *zip(begun, free, strict=True)]


def _nearest_first(known: Sequence[Trail], boxes: np.ndarray, picture: int) -> Iterator[tuple[Trail, int]]:
    """Pairs of a trail and the index of a box, each at most once, the nearest pair first."""
    if not known or not len(boxes):
        return
    nearness = np.array([_nearness(trail, boxes, picture) for trail in known])
    while np.isfinite(nearness.max()):
        i, j = divmod(int(nearness.argmax()), len(boxes))
        yield known[i], j
        nearness[i], nearness[:, j] = -np.inf, -np.inf


def _nearness(trail: Trail, boxes: np.ndarray, picture: int) -> np.ndarray:
    """Nearness of a trail to boxes, (n,): overlap with the last one, above 0; else distance, negative.

    It is -inf of boxes that are out of reach.
    """
    box, passed = trail.boxes[-1], picture - trail.pictures[-1]
    overlap = overlaps(box, boxes)
    centres, centre = (boxes[:, :2] + boxes[:, 2:]) / 2, (box[:2] + box[2:]) / 2
    sides = np.maximum((boxes[:, 2:] - boxes[:, :2]).max(axis=1), (box[2:] - box[:2]).max())
    distance = np.linalg.norm(centres - centre, axis=1) / (REACH * passed * sides)
    return np.where(overlap > 0, overlap, np.where(distance <= 1, -distance, -np.inf))

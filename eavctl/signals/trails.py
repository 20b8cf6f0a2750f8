"""Trails: the faces of each person, linked over the pictures of a clip."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from eavctl.signals.mtcnn import Faces

REACH = 3.0  # sides of its box by which a face may move from one picture to the next
AWAY = 0.25  # sides that each picture without the face counts as


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

    A trail takes at most one face, and the pair that is least apart is linked first: see `_apart`.

    Parameters
    ----------
    trails : of earlier pictures; new ones are appended.
    picture : number of the picture.

    Returns
    -------
    Each trail that goes on, and the index of its face.
    """
    n_faces = len(found)
    apart = np.array([_apart(trail, found.boxes, picture) for trail in trails]).reshape(len(trails), n_faces)
    linked: list[tuple[Trail, int]] = []
    while np.isfinite(apart).any():
        i, face = divmod(int(apart.argmin()), n_faces)
        linked.append((trails[i], face))
        apart[i], apart[:, face] = np.inf, np.inf
    new = sorted(set(range(n_faces)) - {face for _, face in linked})
    begun = [Trail() for _ in new]
    trails += begun
    return [*linked, *zip(begun, new, strict=True)]


def _apart(trail: Trail, boxes: np.ndarray, picture: int) -> np.ndarray:
    """How far boxes are from continuing a trail, (n,); inf where they are out of reach.

    It is the distance in sides, from the last place or from where the face would be had it gone on as before,
    whichever is less, for people walk and stop. Other sizes, and pictures without the face, add to it: one
    who walks past the place where another one was is not taken for that other one.
    """
    centres, sides = _centres(boxes), _sides(boxes)
    last, side = _centres(trail.boxes[-1]), _sides(trail.boxes[-1])
    passed = picture - trail.pictures[-1]
    places = [last]
    if len(trail.boxes) > 1:
        step = (last - _centres(trail.boxes[-2])) / (trail.pictures[-1] - trail.pictures[-2])
        places.append(last + passed * step)
    distances = [np.linalg.norm(centres - place, axis=1) for place in places]
    distance = np.min(distances, axis=0) / np.maximum(sides, side)
    apart = distance + np.abs(np.log(sides / side)) + AWAY * (passed - 1)
    return np.where(distance <= REACH * passed, apart, np.inf)


def _centres(boxes: np.ndarray) -> np.ndarray:
    return np.asarray((boxes[..., :2] + boxes[..., 2:]) / 2)


def _sides(boxes: np.ndarray) -> np.ndarray:
    """The longer side of each box."""
    return np.asarray((boxes[..., 2:] - boxes[..., :2]).max(axis=-1))

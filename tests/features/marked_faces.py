"""Pictures with marks in place of a face, as a video, and what a detector finds in them."""

import numpy as np

from eavctl.signals.mtcnn import Faces
from eavctl.signals.video import VideoSpan


class FakeFile:
    """A video of still or moving pictures, in the form of `VideoFile`."""

    def __init__(self, pictures):
        self.pictures = pictures

    def frames(self, start, end, n):
        return (self.pictures[int(start + i * (end - start) / n)] for i in range(n))


def span(pictures):
    return VideoSpan(FakeFile(pictures), 0, len(pictures))


def marked(left=100, top=60, side=80, angle=0.0, mouth=10, size=(240, 320)):
    """A picture with five bright points as of a face, and the answer of a detector that finds them."""
    x, y = left + side / 2, top + side / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.array([(-20, -15), (20, -15), (0, 5), (-mouth, 25), (mouth, 25)]) * side / 80 @ turn.T + (
        x,
        y,
    )
    rows, columns = np.mgrid[: size[0], : size[1]]
    near = [np.exp(-((columns + 0.5 - px) ** 2 + (rows + 0.5 - py) ** 2) / 60) for px, py in points]
    picture = np.repeat((30 + 200 * np.minimum(sum(near), 1))[..., None], 3, axis=2).astype(np.uint8)
    box = np.array([[left, top, left + side, top + side]], float)
    return picture, Faces(box, np.ones(1), points[None])

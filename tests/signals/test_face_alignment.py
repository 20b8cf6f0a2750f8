import numpy as np
import pytest

from eavctl.signals.face_alignment import EYES_DOWN, SIDE, aligned, wide_track
from eavctl.signals.mtcnn import Faces

SIZE = 96
FACE = np.array([(-20, -15), (20, -15), (0, 8), (-14, 29), (14, 29)], float)  # eyes, nose, mouth


def drawn(x, y, scale=1.0, angle=0.0, turned_aside=1.0):
    """A picture with a light spot of its own colour at each point of a face, and what a detector finds."""
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = FACE * (turned_aside, 1) @ turn.T + (x, y)
    rows, columns = np.mgrid[:300, :400] + 0.5
    picture = np.full((300, 400, 3), 30.0)
    for (px, py), colour in zip(points, np.eye(3)[[0, 1, 2, 0, 1]], strict=True):
        spot = np.exp(-((columns - px) ** 2 + (rows - py) ** 2) / (2 * (4 * scale) ** 2))
        picture += 200 * spot[..., None] * colour
    half = 55 * scale
    box = np.array([[x - half, y - half, x + half, y + half]])
    return np.minimum(picture, 255).astype(np.uint8), Faces(box, np.ones(1), points[None])


def pictures_of(*faces):
    answers = {id(picture): found for picture, found in faces}
    track = wide_track([picture for picture, _ in faces], lambda picture, near: answers[id(picture)], SIZE)
    return aligned(track, SIZE)


def brightest(picture, colour, rows):
    """x and y of the centre of the light of a colour in some rows, in shares of the side."""
    light = np.maximum(picture[..., colour].astype(float) - 60, 0)
    light[: round(rows[0] * SIZE)] = light[round(rows[1] * SIZE) :] = 0
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    return (light * x).sum() / light.sum() / SIZE, (light * y).sum() / light.sum() / SIZE


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.5])
@pytest.mark.parametrize("angle", [-0.7, 0.0, 0.3])
def test_eyes_are_level_and_always_at_the_same_place(scale, angle):
    (picture,) = pictures_of(drawn(200, 150, scale, angle))
    assert picture.shape == (SIZE, SIZE, 3)
    assert picture.dtype == np.uint8
    for colour, x in ((0, 0.5 - 0.5 / SIDE), (1, 0.5 + 0.5 / SIDE)):
        assert brightest(picture, colour, (0.25, 0.55)) == pytest.approx((x, EYES_DOWN), abs=0.01)
    mouth = EYES_DOWN + 44 / 40 / SIDE
    assert brightest(picture, 0, (0.6, 1)) == pytest.approx((0.5 - 14 / 40 / SIDE, mouth), abs=0.01)


def test_a_face_that_moves_turns_and_comes_nearer_gives_the_same_picture():
    still, *others = pictures_of(
        drawn(200, 150), drawn(150, 160, 1.2, 0.25), drawn(230, 140, 0.9, -0.4)
    ).astype(int)
    for other in others:
        assert np.abs(other - still).mean() < 2
        assert np.abs(other - still).max() < 40  # of 200: sampling


def test_a_face_turned_aside_keeps_its_height():
    (picture,) = pictures_of(drawn(200, 150, turned_aside=0.4))
    down = brightest(picture, 0, (0.6, 1))[1] - brightest(picture, 0, (0.25, 0.55))[1]
    assert down == pytest.approx(44 / 40 / SIDE, abs=0.01)


def test_a_face_at_the_edge_is_completed():
    picture, found = drawn(20, 150)
    (face,) = pictures_of((picture, found))
    assert face.shape == (SIZE, SIZE, 3)
    assert brightest(face, 1, (0.25, 0.55)) == pytest.approx((0.5 + 0.5 / SIDE, EYES_DOWN), abs=0.01)

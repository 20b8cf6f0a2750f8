"""A picture in a square: proportions, the way back, and masks that agree with boxes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eavctl.signals.pictures import GREY, Letterbox

sides = st.integers(1, 300)


@settings(max_examples=80, deadline=None)
@given(sides, sides, st.sampled_from([32, 64, 448]), st.data())
def test_boxes_come_back(height, width, side, data):
    fit = Letterbox(height, width, side)
    edges = [data.draw(st.floats(0, limit)) for limit in (width, height, width, height)]
    box = np.array([min(edges[::2]), min(edges[1::2]), max(edges[::2]), max(edges[1::2])])
    inside = fit.box(box)
    assert ((inside >= 0) & (inside <= 1)).all()
    np.testing.assert_allclose(fit.box_outside(inside), box, atol=1e-6 * max(height, width))


@settings(max_examples=60, deadline=None)
@given(sides, sides)
def test_the_picture_lies_in_the_middle_of_grey_with_its_proportions(height, width):
    fit = Letterbox(height, width, 64)
    square = fit.picture(np.full((height, width, 3), 7, np.uint8))
    rows, columns = fit.inside
    assert (square[rows, columns] == 7).all()
    assert (square == GREY).sum() == 3 * (64 * 64 - np.prod(fit.size))
    assert max(fit.size) == 64
    assert abs(fit.size[0] / fit.size[1] - height / width) <= max(height / width, 1) * 1.01 / min(fit.size)
    top, left = fit.corner
    assert abs(64 - 2 * top - fit.size[0]) <= 1
    assert abs(64 - 2 * left - fit.size[1]) <= 1


@pytest.mark.parametrize(("height", "width"), [(128, 256), (256, 128), (64, 64), (37, 91)])
def test_masks_lie_where_their_boxes_are_and_come_back(height, width):
    fit = Letterbox(height, width, 64)
    mask = np.zeros((height, width), bool)
    top, bottom, left, right = height // 4, height * 3 // 4, width // 5, width * 3 // 5
    mask[top:bottom, left:right] = True
    square = fit.mask(mask)
    x, y, wide, tall = fit.box([left, top, right, bottom]) * 64
    rows, columns = np.flatnonzero(square.any(1)), np.flatnonzero(square.any(0))
    assert abs(rows[0] - (y - tall / 2)) <= 1
    assert abs(rows[-1] + 1 - (y + tall / 2)) <= 1
    assert abs(columns[0] - (x - wide / 2)) <= 1
    assert abs(columns[-1] + 1 - (x + wide / 2)) <= 1
    back = fit.mask_outside(square)
    assert back.shape == mask.shape
    assert (back & mask).sum() / (back | mask).sum() > 0.85


def test_boxes_outside_of_the_picture_are_cut_at_its_edges():
    assert Letterbox(50, 100, 64).box_outside([0.5, 0.5, 1, 1]).tolist() == [0, 0, 100, 50]

"""Masks: analytic areas, a loop over pixels, a packer written apart, real strings of COCO, and attacks."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eavctl.errors import SignalError
from eavctl.signals import masks


def packed(runs):
    """Six bits a character; written from the format's description, apart from the reader."""
    text = ""
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        while True:
            five, value = value & 31, value >> 5
            is_last = value == (-1 if five & 16 else 0)
            text += chr(48 + five + (0 if is_last else 32))
            if is_last:
                break
    return text


def holds(outline, x, y):
    """Whether a point lies in a polygon: the crossings of a ray to its left; None exactly on an edge."""
    inside = False
    for (x0, y0), (x1, y1) in zip(outline, [*outline[1:], outline[0]], strict=True):
        if (y0 <= y) != (y1 <= y):
            crossing = x0 + Fraction(y - y0) / (y1 - y0) * (x1 - x0)
            if crossing == x:
                return None
            inside ^= crossing < x
    return inside


def test_a_rectangle_covers_the_pixels_whose_centres_it_holds():
    found = masks.decode([[1, 2, 4, 2, 4, 5, 1, 5]], 8, 6)
    expected = np.zeros((8, 6), bool)
    expected[2:5, 1:4] = True
    assert np.array_equal(found, expected)
    assert masks.decode([[0.6, 0, 1.4, 0, 1.4, 1, 0.6, 1]], 1, 3) is None  # between two centres


def test_a_circle_has_its_area_and_two_polygons_are_joined():
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    circle = np.stack([50 + 30 * np.cos(angles), 50 + 30 * np.sin(angles)], 1).ravel().tolist()
    found = masks.decode([circle], 100, 100)
    assert found.sum() == pytest.approx(np.pi * 900, rel=0.01)
    both = masks.decode([circle, [0, 0, 100, 0, 100, 50, 0, 50]], 100, 100)
    assert both.sum() == pytest.approx(5000 + np.pi * 450, rel=0.01)


corners = st.lists(st.tuples(*[st.integers(-8, 24)] * 2), min_size=3, max_size=7)


@settings(max_examples=60, deadline=None)
@given(corners)
def test_any_polygon_agrees_with_a_loop_over_pixels(outline):
    quarter, half = Fraction(1, 4), Fraction(1, 2)
    shifted = [(x + quarter, y + quarter) for x, y in outline]  # no corner in line with a pixel's centre
    found = masks.filled(np.array(shifted, float), 12, 16)
    for y in range(12):
        for x in range(16):
            expected = holds(shifted, x + half, y + half)
            assert expected is None or found[y, x] == expected


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 1000))
def test_run_lengths_come_back_packed_or_not(height, width, share, seed):
    mask = np.random.default_rng(seed).random((height, width)) < share
    runs = masks.run_lengths(mask)
    for counts in (runs["counts"], packed(runs["counts"])):
        found = masks.decode({**runs, "counts": counts}, height, width)
        assert found is None if not mask.any() else np.array_equal(found, mask)


def test_run_lengths_go_down_the_columns():
    found = masks.decode({"size": [2, 3], "counts": [1, 2, 3]}, 2, 3)
    assert np.array_equal(found, [[False, True, False], [True, False, False]])


def test_long_runs_need_several_characters():
    runs = [100000, 70000, 30000, 12345, 44800, 12855]
    text = packed(runs)
    assert len(text) > 3 * len(runs) - 4
    found = masks.decode({"size": [500, 540], "counts": text}, 500, 540)
    assert found.sum() == runs[1] + runs[3] + runs[5]


@pytest.mark.parametrize("nothing", [None, [], {}])
def test_no_segmentation_is_no_mask(nothing):
    assert masks.decode(nothing, 4, 4) is None


@pytest.mark.parametrize(
    "hostile",
    [
        "polygon",
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5, 6, 7]],
        [["a"] * 6],
        [[float("nan")] * 6],
        [[1e308, 0, 5, 5, -1e308, 3]],
        [[10**400, 0, 5, 5, 1, 3]],
        [[[1, 2], [3, 4], [5, 6]]],
        [[0, 0, 4, 0, 4, 4] * 20_000],
        [[1, 2, 3, 4, 5, 6], None],
        {"counts": [16]},
        {"size": [4, 4]},
        {"size": [10**9, 10**9], "counts": [10**18]},
        {"size": [4, 4], "counts": [17]},
        {"size": [4, 4], "counts": [20, -4]},
        {"size": [4, 4], "counts": [8.0, 8.0]},
        {"size": [4, 4], "counts": [True] * 16},
        {"size": [4, 4], "counts": 16},
        {"size": [4, 4], "counts": "\x00\x01"},
        {"size": [4, 4], "counts": "P" * 1_000_000},
        {"size": [4, 4], "counts": "0" * 1_000_000},
        {"size": [4, 4], "counts": "é"},
        {"size": "44", "counts": "16"},
    ],
)
def test_hostile_masks_are_errors(hostile):
    with pytest.raises(SignalError):
        masks.decode(hostile, 4, 4)


def test_a_picture_that_would_fill_the_memory_is_refused_before():
    with pytest.raises(SignalError):
        masks.decode([[0, 0, 1, 0, 1, 1]], 10**6, 10**6)

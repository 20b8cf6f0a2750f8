"""The picture of a film: faces where they were found, times, and when the face was not there."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.patches import Rectangle

from eavctl.report.film_picture import Search, Shot, film_figure
from eavctl.report.sheet import drawing, png

PICTURE = np.full((120, 160, 3), 200, np.uint8)
NONE = np.empty((0, 4))


def shots(n, followed=(10.0, 20.0, 50.0, 60.0), others=NONE):
    box = None if followed is None else np.array(followed)
    return [Shot(0.5 * i, PICTURE, box, others) for i in range(n)]


def boxes(axis):
    patches = [each for each in axis.patches if isinstance(each, Rectangle)]
    return [(*each.get_xy(), each.get_width(), each.get_height()) for each in patches]


def test_faces_are_boxed_where_they_were_found():
    other = np.array([[100.0, 5.0, 130.0, 45.0]])
    search = Search(np.arange(3) * 0.5, np.ones(3, bool), "the largest face", 2)
    figure = film_figure(shots(3, others=other), (0.0, 1.5), search)
    for axis in figure.axes[:3]:
        assert sorted(boxes(axis)) == [(10.0, 20.0, 40.0, 40.0), (100.0, 5.0, 30.0, 40.0)]
        assert axis.get_xlim() == (0, 160)
        assert axis.get_ylim() == (120, 0)
    assert [axis.get_xlabel() for axis in figure.axes[:3]] == ["0.00 s", "0.50 s", "1.00 s"]
    (title,) = (text.get_text() for text in figure.texts)
    assert "3 of 3" in title
    assert "2 people" in title


def test_the_strip_says_when_the_face_was_found():
    is_found = np.array([True, False, True, False])
    search = Search(np.array([0.0, 1.0, 2.5, 3.0]), is_found, "the largest face", 1)
    strip = film_figure(shots(4), (0.0, 4.0), search).axes[-1]
    bars = {
        each.get_label(): [path.get_extents().intervalx.tolist() for path in each.get_paths()]
        for each in strip.collections
        if isinstance(each, PolyCollection)
    }
    assert bars == {"found": [[0.0, 1.0], [2.5, 3.0]], "not found": [[1.0, 2.5], [3.0, 4.0]]}
    assert strip.get_xlim() == (0.0, 4.0)


def test_a_frame_without_the_face_says_so():
    search = Search(np.array([0.0, 0.5]), np.zeros(2, bool), "the largest face", 0)
    figure = film_figure(shots(2, followed=None), (0.0, 1.0), search)
    assert all("not found" in axis.get_xlabel() for axis in figure.axes[:2])
    assert not any(boxes(axis) for axis in figure.axes[:2])


@pytest.mark.parametrize("size", [(900, 300), (60, 1200), (1, 1)])
@pytest.mark.parametrize("n", [1, 5])
def test_pictures_of_any_shape_fit_and_frames_do_not_overlap(size, n):
    picture = np.zeros((*size, 3), np.uint8)
    with drawing():
        figure = film_figure([each._replace(picture=picture) for each in shots(n)], (0.0, 3.0), None)
        figure.draw_without_rendering()
        assert png([figure], ["a film"]).startswith(b"\x89PNG")
    places = [axis.get_position() for axis in figure.axes]
    for i, one in enumerate(places):
        assert 0 <= one.x0 < one.x1 <= 1
        assert 0 <= one.y0 < one.y1 <= 1
        for other in places[:i]:
            assert one.x1 <= other.x0 or other.x1 <= one.x0 or one.y1 <= other.y0 or other.y1 <= one.y0

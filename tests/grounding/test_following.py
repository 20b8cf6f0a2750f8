"""The track of one object through the frames of a film."""

import numpy as np

from eavctl.grounding.following import CONFIRMED, kept_track

HERE, THERE = [10.0, 10, 50, 50], [200.0, 10, 240, 50]


def kept(boxes, scores=None):
    return kept_track(np.array(boxes), np.ones(len(boxes)) if scores is None else np.array(scores)).tolist()


def test_a_slowly_moving_box_is_one_track():
    assert all(kept([[10 + 4 * i, 10, 50 + 4 * i, 50] for i in range(30)]))


def test_a_single_answer_elsewhere_is_left_out_and_the_track_goes_on():
    assert kept([HERE, HERE, THERE, HERE, HERE]) == [True, True, False, True, True]


def test_the_track_moves_where_the_next_frames_agree():
    assert kept([HERE, HERE, *[THERE] * CONFIRMED]) == [True] * (2 + CONFIRMED)
    assert kept([HERE, HERE, *[THERE] * (CONFIRMED - 1), HERE])[2:] == [False] * (CONFIRMED - 1) + [True]


def test_frames_in_which_nothing_fits_have_no_box_and_end_nothing():
    assert kept([HERE, THERE, HERE], [0.9, 0.2, 0.9]) == [True, False, True]
    assert kept([HERE] * 3, [0.1] * 3) == [False] * 3

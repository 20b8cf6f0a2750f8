"""Scores of phrases: counted by hand, of parts with few pictures, and in words."""

import numpy as np
import pandas as pd
import pytest

from eavctl.grounding.scores import Scored, words


def scored(pictures, there, right, boxes, kinds=None, tasks=None):
    n = len(pictures)
    keys = pd.DataFrame({"clip_id": pictures, "task": tasks or [None] * n})
    for name in ("subject", "recording", "content_hash"):
        keys[name] = None
    boxes = np.array(boxes, float)
    kinds = np.array(kinds or ["place"] * n, object)
    return Scored(keys, kinds, np.array(there), np.array(right), boxes, boxes)


def test_of_one_picture_there_are_scores_without_an_interval_and_the_line_says_why():
    nan = np.nan
    found = scored(["a"] * 4, [True, True, False, False], [True, True, True, False], [0.9, 0.4, nan, nan])
    (part,) = found.summary()["parts"].values()
    assert (part["n_phrases"], part["n_pictures"]) == (4, 1)
    assert part["P@0.5"] == {"value": 0.5, "low": None, "high": None}
    assert part["mIoU"] == {"value": pytest.approx(0.65), "low": None, "high": None}
    assert part["there"] == {"value": 0.75, "low": None, "high": None}
    line = words(found.summary())[0]
    assert "P@0.5 0.500, mIoU 0.650, there 0.750" in line
    assert "too few for an interval" in line


def test_pictures_with_an_object_alone_count_for_the_boxes():
    pictures = [*"abcde"]
    boxes = [0.9, 0.8, np.nan, np.nan, np.nan]
    found = scored(pictures, [True, True, False, False, False], [True] * 5, boxes)
    part = found.summary()["parts"]["all"]
    assert part["P@0.5"]["low"] is None  # two pictures
    assert part["there"]["low"] < part["there"]["value"] == 1


def test_a_kind_without_objects_has_no_score_and_parts_are_named_where_they_differ():
    found = scored(
        [*"abcdefgh"],
        [True] * 4 + [False] * 4,
        [True] * 8,
        [0.9, 0.2, 0.6, 0.5] + [np.nan] * 4,
        kinds=["place"] * 4 + ["none"] * 4,
        tasks=["seen", "unseen"] * 4,
    )
    summary = found.summary()
    assert summary["parts"].keys() == {"all", "seen", "unseen"}
    assert summary["kinds"]["none"] == {"n_phrases": 4, "n_pictures": 4}
    assert summary["parts"]["all"]["P@0.5"]["value"] == 0.75
    lines = words(summary)
    assert [line for line in lines if line.startswith("none") and "4 phrases" in line]
    assert "too few" not in lines[0]
    assert all(line.count("[") == 2 for line in lines if line.startswith("place"))

"""Draws of labelled rows: how many, of whom, whole units, and the same for the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from eavctl.classifiers.rows import Rows
from eavctl.errors import UsageError
from eavctl.storage.tables import key_frame
from eavctl.training.cross_validation import Evaluation, grouped, plan_folds
from eavctl.training.probing.draws import Share, draw

CLASSES = ("calm", "happy", "sad")


def rows_of(n_people=8, n_clips=6, n_segments=1, n_copies=0):
    """Clips of people, one class a clip, cut into segments, each with copies."""
    frame = pd.DataFrame(
        [
            {
                "sample_id": f"{person} {clip} {segment} {copy}",
                "clip_id": f"{person} {clip}",
                "dataset": "one",
                "subject": str(person),
                "label": CLASSES[clip % 3],
                "recording": f"r{person} {clip}",
                "start": float(segment),
                "end": float(segment + 1),
                "augment": f"{copy}-noise" if copy else None,
            }
            for person in range(n_people)
            for clip in range(n_clips)
            for segment in range(n_segments)
            for copy in range(1 + n_copies)
        ]
    )
    keys = key_frame(frame).assign(**({"augment": frame["augment"]} if n_copies else {}))
    y = np.array([CLASSES.index(label) for label in frame["label"]])
    x = np.arange(10.0 * len(frame), dtype=np.float32).reshape(-1, 10)
    copies = frame["augment"].notna().to_numpy() if n_copies else None
    rows = Rows(x, y, CLASSES, keys=keys, copies=copies)
    plan = plan_folds(rows, Evaluation("group-kfold", 2))
    return grouped(rows, plan), plan.folds[0].train


def counts(rows, found):
    own = found if rows.copies is None else found[~rows.copies[found]]
    return np.bincount(rows.y[own], minlength=3)


@pytest.mark.parametrize(
    ("text", "expected"), [("1", 1), ("3", 3), ("7", 7), ("25%", 2), ("50%", 4), ("100%", 8), ("99", 8)]
)
def test_each_class_has_as_many_labels_as_asked_for(text, expected):
    rows, train = rows_of()
    found = draw(rows, train, Share(text), (1, 2))
    np.testing.assert_array_equal(counts(rows, found), [expected] * 3)
    assert set(found) <= set(train)
    assert (np.diff(found) > 0).all()


def test_all_is_every_training_row():
    rows, train = rows_of(n_copies=1)
    np.testing.assert_array_equal(draw(rows, train, Share("all"), (1,)), train)


def test_units_are_whole_and_their_copies_are_labelled_too():
    rows, train = rows_of(n_segments=3, n_copies=1)
    found = draw(rows, train, Share("4"), (0,))
    np.testing.assert_array_equal(counts(rows, found), [6, 6, 6])  # two clips of three segments
    units = rows.units[found]
    np.testing.assert_array_equal(found, train[np.isin(rows.units[train], units)])
    assert rows.copies[found].sum() == len(found) / 2


def test_labels_spread_over_people_and_each_class_over_the_same():
    rows, train = rows_of()
    people = rows.key_frame["subject"].to_numpy()
    for seed in range(5):
        found = draw(rows, train, Share("3"), (seed,))
        of_class = [set(people[found[rows.y[found] == number]]) for number in range(3)]
        assert [len(each) for each in of_class] == [3, 3, 3]
        assert of_class[0] == of_class[1] == of_class[2]
        six = draw(rows, train, Share("6"), (seed,))  # two of some, one of the others
        assert np.unique(people[six[rows.y[six] == 0]], return_counts=True)[1].max() == 2


def test_a_larger_share_keeps_the_rows_of_a_smaller_one():
    rows, train = rows_of()
    shares = [set(draw(rows, train, Share(text), (3,))) for text in ("2", "4", "6", "all")]
    assert shares[0] < shares[1] < shares[2] < shares[3]


def test_seeds_differ_and_repeat_whatever_the_order_of_the_rows():
    rows, train = rows_of()
    first = draw(rows, train, Share("2"), (1,))
    np.testing.assert_array_equal(first, draw(rows, train, Share("2"), (1,)))
    assert any(set(first) != set(draw(rows, train, Share("2"), (seed,))) for seed in range(2, 6))
    order = np.random.default_rng(0).permutation(len(rows))
    moved = draw(rows.taking(order), np.flatnonzero(np.isin(order, train)), Share("2"), (1,))
    ids = rows.key_frame["sample_id"].to_numpy()
    assert set(ids[order][moved]) == set(ids[first])


def test_rows_without_people_are_drawn_too():
    rows, train = rows_of()
    nobody = replace(rows, keys=rows.key_frame.assign(subject=None))
    np.testing.assert_array_equal(counts(nobody, draw(nobody, train, Share("3"), (0,))), [3, 3, 3])


@pytest.mark.parametrize("text", ["", "0", "-5", "0%", "101%", "five", "5 %", "%", "2.5", "1e3"])
def test_other_texts_are_no_share(text):
    with pytest.raises(UsageError, match="--labels takes"):
        Share(text)

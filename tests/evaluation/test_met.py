"""Whom of the test rows a pretrained encoder has met, and what a protocol or a user may share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from eavctl.errors import LeakError
from eavctl.evaluation.met import Pretrained, check, met, met_rows
from eavctl.evaluation.plan import Plan, Split
from eavctl.evaluation.trained_on import ANY, TrainedOn
from eavctl.storage.tables import key_frame


def keys(*rows: tuple[str, str | None, str, str | None]) -> pd.DataFrame:
    """Rows of (data set, subject, clip, recording)."""
    frame = pd.DataFrame(rows, columns=["dataset", "subject", "clip_id", "recording"])
    return key_frame(frame.assign(sample_id=frame["clip_id"]))


def encoder(*rows: tuple[str, str | None, str, str | None]) -> list[Pretrained]:
    return [Pretrained("enc.pt", TrainedOn.of_keys(keys(*rows)))]


def plan(test: list[int], n_rows: int, *, shares: bool = False) -> Plan:
    tested = np.array(test)
    return Plan("given", "subject", (Split(1, np.setdiff1d(np.arange(n_rows), tested), tested),), (), shares)


ROWS = keys(
    ("one", "ann", "a1", "f1"),
    ("one", "bob", "b1", "f2"),
    ("one", None, "c1", "f3"),
    ("two", "ann", "a1", "f4"),
)


@pytest.mark.parametrize(
    ("pretrained_on", "subjects", "clips"),
    [
        (("one", "ann", "x", "fx"), {("one", "ann")}, set()),
        (("two", "ann", "x", "fx"), {("two", "ann")}, set()),
        (("one", "dan", "c1", "fx"), set(), {("one", "c1")}),
        (("three", "ann", "a1", "fx"), set(), set()),
    ],
)
def test_names_are_those_of_their_data_set(pretrained_on, subjects, clips):
    found = met(encoder(pretrained_on)[0].trained_on, ROWS)
    assert (found.subjects, found.clips, found.recordings) == (subjects, clips, frozenset())


def test_a_recording_is_met_under_any_name():
    found = met(encoder(("other", "eve", "e1", "f3"))[0].trained_on, ROWS)
    assert (found.subjects, found.recordings) == (frozenset(), {"f3"})


def test_models_without_data_sets_may_have_met_any_of_that_name():
    found = met(TrainedOn(subjects=frozenset({(ANY, "ann")})), ROWS)
    assert found.subjects == {("one", "ann"), ("two", "ann")}


@pytest.mark.parametrize(
    ("shared", "left"),
    [
        ((), {("one", "ann"), ("one", "bob"), ("two", "ann")}),
        (("bob",), {("one", "ann"), ("two", "ann")}),
        (("one",), {("two", "ann")}),
        (("one", "ann"), set()),
        (("b1",), {("one", "ann"), ("two", "ann")}),
        (("all",), set()),
        (("nobody",), {("one", "ann"), ("one", "bob"), ("two", "ann")}),
    ],
)
def test_what_is_shared_is_named_by_data_set_subject_or_clip(shared, left):
    assert met(TrainedOn.of_keys(ROWS), ROWS, shared).subjects == left


def test_test_rows_that_were_met_are_refused_unless_all_of_them_are_shared():
    found = encoder(("one", "ann", "x", "fx"), ("one", "bob", "y", "fy"))
    with pytest.raises(LeakError, match=r"enc\.pt.*2 subjects.*ann, bob"):
        check(found, ROWS, plan([0, 1], 4))
    with pytest.raises(LeakError, match="1 subject .ann"):
        check(found, ROWS, plan([0, 1], 4), ("bob",))
    warnings = check(found, ROWS, plan([0, 1], 4), ("ann", "bob"))
    assert len(warnings) == 1
    assert "enc.pt" in warnings[0]
    assert "2 subjects" in warnings[0]


def test_training_rows_may_have_been_met():
    assert check(encoder(("one", "ann", "a1", "f1")), ROWS, plan([1, 2], 4)) == ()
    assert check([], ROWS, plan([1, 2], 4)) == ()


def test_a_protocol_that_shares_subjects_shares_them_with_the_encoder_too_and_no_clip():
    subject_only = encoder(("one", "ann", "x", "fx"))
    assert check(subject_only, ROWS, plan([0], 4, shares=True)) == ()
    with pytest.raises(LeakError, match="1 clip"):
        check(encoder(("one", "ann", "a1", "fx")), ROWS, plan([0], 4, shares=True))
    with pytest.raises(LeakError, match="1 recording"):
        check(encoder(("one", "ann", "x", "f1")), ROWS, plan([0], 4, shares=True))


def test_clips_decide_where_a_protocol_divides_a_recording():
    """Epochs of one run on both sides of a split."""
    rows = keys(("one", "ann", "run@1", "f1"), ("one", "ann", "run@5", "f1"))
    split = plan([1], 2, shares=True)
    assert check(encoder(("one", "ann", "run@1", "f1")), rows, split) == ()
    with pytest.raises(LeakError, match="1 clip"):
        check(encoder(("one", "ann", "run@5", "f1")), rows, split)
    with pytest.raises(LeakError, match="1 recording"):
        check(encoder(("one", "ann", "run@0", "f1")), rows, split)  # epochs of other names: not known


def test_rows_are_met_by_their_subject_clip_or_recording():
    known = TrainedOn(
        frozenset({("a", "anna"), ("*", "old")}), frozenset({("a", "c1")}), frozenset({"r1", "r2"})
    )
    rows = pd.DataFrame(
        [
            ("a", "anna", "c9", None),
            ("b", "anna", "c9", None),  # another anna
            ("b", "old", "c9", None),  # of a version that did not store data sets
            ("a", None, "c1", "r9"),
            ("b", None, "c1", "r9"),
            (None, None, "c9", "r8+r2"),  # one of two modalities
            (None, None, None, None),
        ],
        columns=["dataset", "subject", "clip_id", "recording"],
    )
    assert met_rows(known, rows).tolist() == [True, False, True, True, False, True, False]
    assert not met_rows(TrainedOn(), rows).any()
    assert met_rows(known, rows[["dataset", "subject"]]).tolist() == [True, False, True] + [False] * 4

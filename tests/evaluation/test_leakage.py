from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from eavctl.errors import DataError, LeakError
from eavctl.evaluation import leakage
from eavctl.storage.tables import key_frame

TRAIN, TEST = np.array([0, 1]), np.array([2, 3])


def four(**columns: list[object]) -> pd.DataFrame:
    """Four rows, all of them apart, but for the columns given."""
    apart: dict[str, list[object]] = {
        "sample_id": ["a#0", "b#0", "c#0", "d#0"],
        "clip_id": ["a", "b", "c", "d"],
        "subject": ["s1", "s2", "s3", "s4"],
        "label": ["x", "y", "x", "y"],
    }
    return key_frame(pd.DataFrame(apart | columns))


def check(
    keys: pd.DataFrame,
    train: np.ndarray,
    test: np.ndarray,
    allow: tuple[str, ...] = (),
    group: str = "subject",
) -> None:
    leakage.LeakCheck(keys, allow=allow, group=group).check(train, test)


def content_check(x: np.ndarray) -> None:
    leakage.ContentCheck(x, four()).check(TRAIN, TEST)


def test_rows_apart_pass() -> None:
    check(four(), TRAIN, TEST)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"sample_id": ["a", "b", "b", "c"]}, "1 sample is on both sides of the split: b"),
        ({"clip_id": ["a", "b", "a", "b"]}, "2 clips are on both sides of the split: a, b"),
        ({"subject": ["s1", "s2", "s1", "s4"]}, "1 subject is on both sides of the split: s1"),
        ({"subject": ["p"] * 4, "trial": ["1", "2", "2", "3"]}, "1 trial is"),
    ],
)
def test_whatever_is_shared_is_named(columns: dict[str, list[object]], message: str) -> None:
    with pytest.raises(LeakError, match=message):
        check(four(**columns), TRAIN, TEST)


def test_many_offenders_are_counted_and_few_named() -> None:
    keys = pd.concat([four(clip_id=[f"{i}{c}" for c in "abcd"]) for i in range(9)], ignore_index=True)
    keys["sample_id"] = [str(i) for i in range(len(keys))]
    rows = np.arange(len(keys))
    with pytest.raises(LeakError, match=r"4 subjects are .*: s1, s2, s3, \.\.\.\.") as raised:
        check(keys, rows[:18], rows[18:])
    assert len(str(raised.value).splitlines()) <= 2


def test_a_subject_is_shared_only_by_name() -> None:
    shared = four(subject=["s1", "s1", "s1", "s1"])
    check(shared, TRAIN, TEST, allow=("subject",))
    with pytest.raises(LeakError, match="--protocol"):
        check(shared, TRAIN, TEST)


def test_allowing_subjects_still_forbids_their_clips_and_trials() -> None:
    with pytest.raises(LeakError, match="clip"):
        check(four(clip_id=["a", "b", "b", "c"]), TRAIN, TEST, allow=("subject",))
    trials = four(subject=["s"] * 4, trial=["1", "2", "1", "3"])
    with pytest.raises(LeakError, match="trial"):
        check(trials, TRAIN, TEST, allow=("subject",))


def test_another_group_is_checked_when_named() -> None:
    keys = four(task=["t1", "t2", "t2", "t3"])
    check(keys, TRAIN, TEST)
    with pytest.raises(LeakError, match=r"group \(task\)|groups \(task\)"):
        check(keys, TRAIN, TEST, group="task")


def test_names_count_within_what_holds_them() -> None:
    check(four(trial=["1", "1", "1", "1"]), TRAIN, TEST)  # trial 1 of four people
    check(four(subject=["1"] * 4, dataset=["d", "d", "e", "e"]), TRAIN, TEST)  # two data sets
    sessions = four(subject=["1"] * 4, session=["1", "1", "2", "2"], trial=["1", "2", "1", "2"])
    check(sessions, TRAIN, TEST, allow=("subject",))
    check(four(subject=[None] * 4, trial=["1"] * 4), TRAIN, TEST)  # nobody's trial tells nothing


@pytest.mark.parametrize(
    ("start", "end", "leaks"),
    [
        ([0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0], False),
        ([0.0, 1.0, 1.5, 3.0], [1.0, 2.0, 3.0, 4.0], True),
        ([0.0, 1.0, 5.0, 6.0], [9.0, 2.0, 6.0, 7.0], True),  # a long one spans all
        ([None, None, None, None], [None, None, None, None], True),  # no times: the whole clip, twice
    ],
)
def test_segments_of_one_clip_must_not_overlap(start: list[object], end: list[object], leaks: bool) -> None:
    keys = four(clip_id=["a"] * 4, subject=["s"] * 4, start=start, end=end)
    if leaks:
        with pytest.raises(LeakError, match="overlap in time"):
            check(keys, TRAIN, TEST, allow=("subject", "clip_id"))
    else:
        check(keys, TRAIN, TEST, allow=("subject", "clip_id"))


@pytest.mark.parametrize("shape", [(33,), (64, 30)])
def test_one_recording_under_two_names_is_found(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
    content_check(x)
    x[3] = x[0]
    with pytest.raises(LeakError, match="a#0 and d#0 have identical features"):
        content_check(x)
    x[3, -1] += 1e-3
    content_check(x)


def test_rows_alike_but_for_one_value_are_not_the_same() -> None:
    x = np.zeros((4, 64, 300), np.float32)
    x[np.arange(4), np.arange(4), 7] = 1.0
    content_check(x)


def test_twins_on_one_side_and_rows_of_few_values_pass() -> None:
    x = np.random.default_rng(0).normal(size=(4, 33)).astype(np.float32)
    x[1] = x[0]
    content_check(x)
    content_check(np.zeros((4, 2), np.float32))


def test_rows_that_are_not_compared_have_no_twins() -> None:
    x = np.zeros((4, 33), np.float32)
    x[1:] = np.random.default_rng(0).normal(size=(3, 33))
    x[3] = 0  # the rows without this modality
    leakage.ContentCheck(x, four(), np.array([1, 2])).check(TRAIN, TEST)
    with pytest.raises(LeakError):
        content_check(x)


def leaks(keys: pd.DataFrame, train: np.ndarray, test: np.ndarray, allow: tuple[str, ...]) -> bool:
    """Whether a pair of a training and a test row may not be apart, by comparing all pairs."""
    rows = keys.astype(object).where(keys.notna(), None).to_dict("records")

    def linked(a: dict[str, object], b: dict[str, object]) -> bool:
        if a["sample_id"] == b["sample_id"]:
            return True
        same_person = a["subject"] is not None and a["subject"] == b["subject"]
        if (same_person and "subject" not in allow) or a["clip_id"] == b["clip_id"]:
            return True
        if same_person and a["trial"] is not None and a["trial"] == b["trial"]:
            return True
        starts, ends = (float(r["start"]) for r in (a, b)), (float(r["end"]) for r in (a, b))  # type: ignore[arg-type]
        return a["recording"] == b["recording"] and max(starts) < min(ends) - 1e-6

    return any(linked(rows[i], rows[j]) for i in train for j in test)


@pytest.mark.parametrize("allow", [(), ("subject",)])
def test_of_many_splits_of_one_table_those_leak_that_pairs_of_rows_show(allow: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(60):
        n = 12
        start = rng.integers(0, 30, n).astype(float)
        keys = key_frame(
            pd.DataFrame({
                "sample_id": [f"s{i}" for i in range(n)],
                "clip_id": [f"c{i}" for i in rng.integers(0, 60, n)],
                "subject": rng.choice([*"abcdefgh", None], n),  # type: ignore[list-item]
                "trial": rng.choice(["1", "2", None], n),  # type: ignore[list-item]
                "recording": [f"r{i}" for i in rng.integers(0, 6, n)],
                "start": start,
                "end": start + rng.integers(1, 6, n),
            })
        )  # fmt: skip
        checks = leakage.LeakCheck(keys, allow=allow)
        for _ in range(6):
            order = rng.permutation(n)[: rng.choice([4, 8, n])]
            train, test = order[: len(order) // 2], order[len(order) // 2 :]
            expected = leaks(keys, train, test, allow)
            found.append(expected)
            try:
                checks.check(train, test)
                assert not expected
            except LeakError:
                assert expected
    assert 0.1 < np.mean(found) < 0.95


def test_only_out_of_fold_rows_are_learned_from() -> None:
    keys = four().assign(fold=pd.array([1, 1, 2, 2], "Int64"))
    leakage.assert_out_of_fold(keys, {"out_of_fold": True}, "svm")
    with pytest.raises(DataError, match="svm: not out-of-fold"):
        leakage.assert_out_of_fold(keys, {"out_of_fold": False}, "svm")
    with pytest.raises(DataError, match="no test fold"):
        leakage.assert_out_of_fold(four(), {"out_of_fold": True}, "svm")

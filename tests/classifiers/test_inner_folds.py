"""Inner cuts keep people and clips whole, or say why not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from eavctl.classifiers.fitting import Keeping, fit_members, training_meta
from eavctl.classifiers.inner_folds import Fold, InnerRows
from eavctl.classifiers.network import build_network
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import DataError, TrainingWarning

SEEDS = range(5)


@pytest.fixture(autouse=True)
def strict() -> Iterator[None]:
    """A warning that a test does not expect is a fault."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        yield


def corpus(n_people: int = 6, clips: int = 4, segments: int = 3) -> dict[str, np.ndarray]:
    """Clips of three classes in turn, cut into segments; by row."""
    people = [f"corpus\x1fs{p}" for p in range(n_people)]
    rows = [
        (p, f"{p}/{c}", (c + int(p[-1])) % 3) for p in people for c in range(clips) for _ in range(segments)
    ]
    groups, units, y = (np.array(column) for column in zip(*rows, strict=True))
    return {"y": y, "groups": groups, "units": units}


def rows_of(y: np.ndarray, groups: np.ndarray | None = None, units: np.ndarray | None = None) -> InnerRows:
    return InnerRows(y, ("angry", "calm", "sad"), groups, units)


def shared(folds: list[Fold], names: np.ndarray) -> set[str]:
    """What stands on both sides of a fold."""
    return {str(name) for train, test in folds for name in set(names[train]) & set(names[test])}


def out_of(folds: list[Fold]) -> np.ndarray:
    return np.concatenate([test for _, test in folds])


def lonely() -> dict[str, np.ndarray]:
    """A corpus in which all that is sad is of one person."""
    found = corpus()
    found["y"] = np.where(found["groups"] == "corpus\x1fs3", 2, found["y"] % 2)
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_people_are_kept_whole_without_a_word_where_they_can_be(seed: int) -> None:
    found = corpus()
    for folds in (rows_of(**found).folds(seed), rows_of(**found).validation(0.25, seed)):
        assert len(folds) == 4
        assert shared(folds, found["groups"]) == set()
        assert sorted(out_of(folds)) == list(range(len(found["y"])))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_class_of_one_person_is_named_and_clips_are_kept_whole(seed: int) -> None:
    found = lonely()
    with pytest.warns(TrainingWarning, match=r"people.*class 'sad' occurs in one group only \(s3\)") as said:
        folds = rows_of(**found).folds(seed)
    assert len(said) == 1
    assert shared(folds, found["units"]) == set()
    assert shared(folds, found["groups"])
    assert set(found["y"][out_of(folds)]) == {0, 1, 2}


@pytest.mark.parametrize("seed", range(40))
def test_classes_of_two_people_are_enough_to_keep_people_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = np.array([f"s{i}" for i in rng.integers(0, 8, 60)])
    y = rng.choice(3, 60, p=[0.6, 0.33, 0.07])
    y[:2], groups[:2] = 2, ["s8", "s9"]
    folds = rows_of(y, groups).folds(seed)
    assert shared(folds, groups) == set()
    assert all(set(y[train]) == {0, 1, 2} for train, _ in folds)
    assert sorted(out_of(folds)) == list(range(60))


def test_one_person_alone_is_cut_by_clips_and_it_is_said() -> None:
    found = corpus(n_people=1, clips=12)
    for cut in (rows_of(**found).folds, lambda seed: rows_of(**found).validation(0.25, seed)):
        with pytest.warns(TrainingWarning, match=r"there is only one group \(s0\)"):
            folds = cut(0)
        assert len(folds) == 4
        assert shared(folds, found["units"]) == set()


def test_clips_are_divided_last_of_all_and_each_step_is_said() -> None:
    found = lonely()
    found["units"] = np.where(found["y"] == 2, "the only sad clip", found["units"])
    with pytest.warns(TrainingWarning) as said:
        folds = rows_of(**found).folds(0)
    people, clips = (str(each.message) for each in said)
    assert "class 'sad' occurs in one group only (s3)" in people
    assert "class 'sad' occurs in one clip only (the only sad clip)" in clips
    assert set(found["y"][out_of(folds)]) == {0, 1, 2}


def test_what_divides_no_further_is_no_step() -> None:
    """Where the protocol keeps clips apart and each is one row, rows share nothing: nothing is to be said."""
    y = np.repeat([0, 1, 2], [9, 9, 2])
    clips = np.array([f"clip {i}" for i in range(20)])
    assert sorted(out_of(rows_of(y, clips, clips).folds(0))) == list(range(20))
    assert sorted(out_of(rows_of(y).folds(0))) == list(range(20))
    found = lonely()
    with pytest.warns(TrainingWarning) as said:  # people are the clips here: one step, not two
        rows_of(found["y"], found["groups"], found["groups"]).folds(0)
    assert len(said) == 1


def test_a_class_of_one_row_cannot_be_cut() -> None:
    y = np.array([0, 0, 1, 1, 2])
    with pytest.raises(DataError, match="single row"):
        rows_of(y).folds(0)


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_training_without_validation_is_said(share: float) -> None:
    y = np.array([0, 1, 2]) if share else np.arange(30) % 3
    with pytest.warns(TrainingWarning, match="not calibrated"):
        ((train, validation),) = rows_of(y).validation(share, 0)
    assert train.tolist() == list(range(len(y)))
    assert len(validation) == 0


def test_a_fold_of_given_people_is_given_only_if_no_class_is_lost() -> None:
    found = corpus()
    inner = rows_of(**found)
    fold = inner.holding(["corpus\x1fs1", "corpus\x1fs4", "of another corpus"])
    assert fold is not None
    assert inner.groups_tested(fold) == ["corpus\x1fs1", "corpus\x1fs4"]
    assert inner.holding(["of another corpus"]) is None
    assert inner.holding(set(found["groups"])) is None
    assert rows_of(**lonely()).holding(["corpus\x1fs3"]) is None
    assert rows_of(found["y"]).holding(["corpus\x1fs1"]) is None


def test_people_who_also_trained_are_not_told_as_validated_on() -> None:
    found = lonely()
    with pytest.warns(TrainingWarning):
        folds = rows_of(**found).folds(0)
    for train, test in folds:
        named = rows_of(**found).groups_tested((train, test))
        assert set(named).isdisjoint(found["groups"][train])


def test_the_account_names_the_people_that_each_member_was_validated_on() -> None:
    found = corpus()
    x = np.random.default_rng(0).normal(size=(len(found["y"]), 5)).astype(np.float32)
    meta = {"encoder": "mlp", "encoder_settings": {"units": 4}, "shape": [5], "dropout": 0.0}
    settings = TrainSettings(epochs=1, members=2, validation=0.5, device="cpu")
    rows = Rows(x, found["y"], ("angry", "calm", "sad"), found["groups"], found["units"])
    results = fit_members(
        lambda member: build_network({**meta, "classes": rows.classes}), rows, settings, {}, Keeping()
    )
    one, other = (result["validation_groups"] for result in results)
    assert sorted(one + other) == sorted(set(found["groups"]))
    assert training_meta(rows, results)["groups"] == sorted(set(found["groups"]))

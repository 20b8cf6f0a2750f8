"""Classes that are trained on and never answered: in no score, and on no side where they would leak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eavctl.classifiers.rows import Rows
from eavctl.errors import UsageError
from eavctl.stages.train_linear import train_linear
from eavctl.storage import artifacts, tables
from eavctl.training.cross_validation import Evaluation, Fit, cross_validate
from eavctl.training.linear_fitter import LinearFitter
from eavctl.training.rows import read_training_set
from tests.training.test_stacking import write

CLASSES = {"one": ("happy", "sad"), "two": ("happy", "sad", "fear"), "three": ("happy", "sad", "calm")}
ANSWERS = ("happy", "sad")


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return [write(tmp_path / f"{name}.parquet", name, labels, 36) for name, labels in CLASSES.items()]


class Recorder(LinearFitter):
    """Keeps the training rows of each fold beside the keys of its test rows."""

    def fit(self, rows: Rows, fit: Fit) -> Any:
        folds.append((rows.key_frame, fit.test_keys))
        return super().fit(rows, fit)


folds: list[Any] = []


def test_only_answered_classes_are_scored_and_answered(paths: list[Path], tmp_path: Path) -> None:
    out, predictions = tmp_path / "m.joblib", tmp_path / "p.parquet"
    train_linear(paths, out, predictions=predictions, answers=ANSWERS)
    model, table = artifacts.load(out), tables.read_predictions(predictions)
    assert tuple(model.classes_) == table.classes == ANSWERS
    assert set(table.keys["label"]) == set(ANSWERS)
    assert np.allclose(table.proba.sum(axis=1), 1)
    assert model.meta.json["class_counts"] == {"happy": 42, "sad": 42}
    assert model.meta.out_of_fold["n_rows"] == 84


@pytest.mark.parametrize(("protocol", "key"), [("lodo", "dataset"), ("group-kfold", "subject")])
def test_rows_of_other_classes_are_not_trained_on_where_their_group_is_tested(
    paths: list[Path], protocol: str, key: str
) -> None:
    folds.clear()
    rows = read_training_set(paths, answers=ANSWERS).rows
    cross_validate(rows, Recorder(), Evaluation(protocol, 3))
    others = 0
    for train, test in folds:
        people = {(row["dataset"], row[key]) for _, row in test.iterrows()}
        assert people.isdisjoint({(row["dataset"], row[key]) for _, row in train.iterrows()})
        others += int(train["label"].isin(["fear", "calm"]).sum())
    assert others == 2 * 24  # each of the 24 in all folds but its own


def test_other_classes_change_the_model_and_no_other_training(paths: list[Path], tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("all.joblib", "left_out.joblib")]
    train_linear(paths, names[0], answers=ANSWERS)
    train_linear(paths, names[1], labels={"fear": None, "calm": None})
    with_others, without = (artifacts.load(name) for name in names)
    assert with_others.meta.training_hash != without.meta.training_hash
    assert not np.allclose(with_others.predictor.coef, without.predictor.coef)
    np.testing.assert_allclose(with_others.predictor.mean, without.predictor.mean, rtol=1e-5)


def test_an_unknown_answer_is_wrong_usage(paths: list[Path]) -> None:
    with pytest.raises(UsageError, match="happy"):
        read_training_set(paths, answers=["hapy", "sad"])
    with pytest.raises(UsageError, match="two"):
        read_training_set(paths, answers=["sad"])

"""Cross-validation: every test row counts, and no probability may be not a number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eavctl.classifiers.rows import Rows
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import DataError
from eavctl.storage import tables
from eavctl.training.cross_validation import Evaluation, Fit, FoldResult, cross_validate
from eavctl.training.dnn_fitter import DnnFitter
from eavctl.training.linear_fitter import LinearFitter
from eavctl.training.rows import TableFacts, TrainingSet, labelled
from eavctl.training.svm_fitter import SvmFitter
from eavctl.training.train import Targets, train

N = 40


class Diverged:
    """A predictor whose network is lost on a share of the rows."""

    classes_ = np.array(["a", "b"])

    def __init__(self, value: float, share: float) -> None:
        self.value, self.share = value, share

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        proba = np.full((len(x), 2), 0.5)
        proba[: round(self.share * len(x))] = self.value
        return proba

    def decide(self, proba: np.ndarray) -> np.ndarray:
        return proba.argmax(axis=1)


class DivergingFitter(SvmFitter):
    """Diverges in one fold."""

    value, share, number = np.nan, 1.0, 2

    def fit(self, rows: Rows, fit: Fit) -> Any:
        is_lost = fit.name == f"fold {self.number}"
        return Diverged(self.value, self.share) if is_lost else super().fit(rows, fit)


def data(**columns: Any) -> TrainingSet:
    ids = [f"c{i:02d}" for i in range(N)]
    labels = ["a" if i % 2 else "b" for i in range(N)]
    named = {"sample_id": ids, "clip_id": ids, "subject": [f"s{i % 4}" for i in range(N)], "label": labels}
    keys = tables.key_frame(pd.DataFrame(named | columns))
    x = np.random.default_rng(0).normal(size=(N, 8)).astype(np.float32)
    features = {"columns": list("abcdefgh"), "modality": "audio", "shape": [8]}
    return labelled(keys, x, ("a", "b"), TableFacts("noise", ("audio",), features, "hash"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("share", [1.0, 0.1])
def test_a_fold_whose_probabilities_are_not_finite_is_an_error_that_names_it(
    tmp_path: Path, value: float, share: float
) -> None:
    """Such rows left the score: 40 in, 20 scored, and no word."""
    fitter = DivergingFitter()
    fitter.__dict__.update(value=value, share=share)
    with pytest.raises(DataError, match=r"fold 2: .* are not finite"):
        train(data(), Targets(tmp_path / "m.joblib"), fitter, Evaluation("group-kfold", 2))
    assert not (tmp_path / "m.joblib").exists()


def test_only_rows_that_a_fold_tests_are_scored(tmp_path: Path) -> None:
    given = data(fold=[-1 if i < 10 else i % 2 for i in range(N)], subject=None)
    done = train(given, Targets(None, tmp_path / "p.parquet"), SvmFitter(), Evaluation("given"))
    assert done.predictions is not None
    assert done.predictions.keys["sample_id"].tolist() == [f"c{i:02d}" for i in range(10, N)]
    assert set(done.predictions.keys["fold"]) == {0, 1}


def test_cross_validation_writes_no_file_and_gives_what_a_training_writes(tmp_path: Path) -> None:
    given = data()
    targets = Targets(tmp_path / "m.joblib", tmp_path / "p.parquet")
    train(given, targets, SvmFitter(), Evaluation("group-kfold", 2))
    before = sorted(tmp_path.iterdir())
    folds: list[FoldResult] = []
    found = cross_validate(given.rows, SvmFitter(), Evaluation("group-kfold", 2), callbacks=[folds.append])
    assert sorted(tmp_path.iterdir()) == before
    written = tables.read_predictions(tmp_path / "p.parquet")
    assert found.predictions.keys["sample_id"].tolist() == written.keys["sample_id"].tolist()
    np.testing.assert_array_equal(found.predictions.proba, written.proba)
    assert [fold.fit.name for fold in folds] == ["fold 1", "fold 2"]
    for fold in folds:
        assert set(fold.train.key_frame["subject"]).isdisjoint(fold.test.key_frame["subject"])
        np.testing.assert_array_equal(fold.predictor.predict_proba(fold.test.array), fold.proba)


def test_rows_without_keys_cannot_be_split() -> None:
    rows = replace(data().rows, keys=None)
    with pytest.raises(DataError, match="keys"):
        cross_validate(rows, SvmFitter(), Evaluation())


def test_rows_taken_keep_features_classes_groups_and_keys_together() -> None:
    rows = replace(data().rows, groups=np.array([f"g{i}" for i in range(N)]))
    picked = np.array([7, 3, 30])
    taken = rows.taking(picked)
    assert taken.key_frame["sample_id"].tolist() == ["c07", "c03", "c30"]
    assert taken.labels.tolist() == taken.key_frame["label"].tolist()
    assert taken.groups is not None
    assert taken.groups.tolist() == ["g7", "g3", "g30"]
    np.testing.assert_array_equal(taken.array, rows.array[picked])
    assert rows.taking(np.arange(N)).x is rows.x


def fitters() -> list[Any]:
    settings = TrainSettings(epochs=3, members=2)
    return [SvmFitter(), LinearFitter(), DnnFitter("mlp", {"units": 8}, settings)]


@pytest.mark.parametrize("fitter", fitters(), ids=lambda fitter: fitter.kind)
def test_nothing_of_a_folds_test_rows_reaches_its_model(fitter: Any) -> None:
    """Scaling, choice of settings, stopping, calibration, priors: the same whatever the test rows hold."""
    given = data(fold=[i // 2 % 4 for i in range(N)], subject=None).rows
    tested = np.arange(N) // 2 % 4 == 0
    keys, x, y = given.key_frame.copy(), given.array.copy(), given.y.copy()
    keys.loc[tested, "label"], y[tested] = "a", 0
    x[tested] = 1e6
    found = []
    for rows in (given, replace(given, keys=keys, x=x, y=y)):
        folds: list[FoldResult] = []
        cross_validate(rows, fitter, Evaluation("given"), callbacks=[folds.append])
        found.append(folds[0].predictor.predict_proba(given.x))
    np.testing.assert_array_equal(*found)

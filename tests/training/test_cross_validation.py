"""Training by folds: every row that a fold tests counts, and none that is not a number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import DataError
from eavctl.storage import tables
from eavctl.training.cross_validation import Evaluation, Targets, Witness, train_rows
from eavctl.training.dnn_fitter import DnnFitter
from eavctl.training.rows import TrainingTable
from eavctl.training.svm_fitter import SvmFitter

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

    def fit(self, task: Any, kept: Path, note: Any) -> Any:
        is_lost = kept.name.endswith(f"fold-{self.number}")
        return Diverged(self.value, self.share) if is_lost else super().fit(task, kept, note)


def table(**columns: Any) -> TrainingTable:
    ids = [f"c{i:02d}" for i in range(N)]
    labels = ["a" if i % 2 else "b" for i in range(N)]
    facts = {"sample_id": ids, "clip_id": ids, "subject": [f"s{i % 4}" for i in range(N)], "label": labels}
    keys = tables.key_frame(pd.DataFrame(facts | columns))
    x = np.random.default_rng(0).normal(size=(N, 8)).astype(np.float32)
    return TrainingTable(
        keys, x, "noise", ("audio",), {"columns": list("abcdefgh"), "modality": "audio"}, ("a", "b"), "hash"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("share", [1.0, 0.1])
def test_a_fold_whose_probabilities_are_no_numbers_is_an_error_that_names_it(
    tmp_path: Path, value: float, share: float
) -> None:
    """Such rows left the score: 40 in, 20 scored, and no word."""
    fitter = DivergingFitter()
    fitter.__dict__.update(value=value, share=share)
    with pytest.raises(DataError, match=r"fold 2: .* are not finite"):
        train_rows(table(), Targets(tmp_path / "m.joblib"), fitter, Evaluation("group-kfold", 2))
    assert not (tmp_path / "m.joblib").exists()


def test_only_rows_that_a_fold_tests_are_scored(tmp_path: Path) -> None:
    rows = table(fold=[-1 if i < 10 else i % 2 for i in range(N)], subject=None)
    done = train_rows(rows, Targets(None, tmp_path / "p.parquet"), SvmFitter(), Evaluation("given"))
    assert done.predictions is not None
    assert done.predictions.keys["sample_id"].tolist() == [f"c{i:02d}" for i in range(10, N)]
    assert set(done.predictions.keys["fold"]) == {0, 1}


class Keeper(Witness):
    """Keeps the predictor of each fold."""

    def __init__(self) -> None:
        self.of_fold: dict[int, Any] = {}

    def judged(self, split: Any, predictor: Any, task: Any, x: Any) -> None:
        self.of_fold[split.fold] = predictor


def fitters() -> list[Any]:
    settings = TrainSettings(epochs=3, members=2)
    return [SvmFitter(), DnnFitter("mlp", {"units": 8}, settings)]


@pytest.mark.parametrize("fitter", fitters(), ids=lambda fitter: fitter.kind)
def test_nothing_of_a_folds_test_rows_reaches_its_model(tmp_path: Path, fitter: Any) -> None:
    """Scaling, choice of settings, stopping, calibration, priors: the same whatever the test rows hold."""
    rows = table(fold=[i // 2 % 4 for i in range(N)], subject=None)
    tested = np.arange(N) // 2 % 4 == 0
    keys, x = rows.keys.copy(), rows.x.copy()
    keys.loc[tested, "label"] = "a"
    x[tested] = 1e6
    found = []
    for number, each in enumerate((rows, replace(rows, keys=keys, x=x))):
        keeper = Keeper()
        targets = Targets(None, tmp_path / f"{number}.parquet")
        train_rows(each, targets, fitter, Evaluation("given"), witness=keeper)
        found.append(keeper.of_fold[0].predict_proba(rows.x))
    np.testing.assert_array_equal(*found)

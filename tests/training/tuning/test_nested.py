"""No study sees an outer test row, its person, its data set, or a copy of it, with the real classifiers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("optuna")

from eavctl.classifiers.training_loop import TrainSettings
from eavctl.storage.keys import AUGMENT
from eavctl.storage.tables import key_frame
from eavctl.training.cross_validation import Evaluation, cross_validate, plan_folds
from eavctl.training.dnn_fitter import DnnFitter
from eavctl.training.linear_fitter import LinearFitter
from eavctl.training.rows import TableFacts, labelled
from eavctl.training.svm_fitter import SvmFitter
from eavctl.training.train import Targets, train, validated
from eavctl.training.tuning.findings import TuningFindings
from eavctl.training.tuning.fitter import TuningFitter
from eavctl.training.tuning.method import linear_method, svm_method
from eavctl.training.tuning.networks import dnn_method

CLASSES = ("calm", "sad")


def data(*, n_people=6, n_clips=4, datasets=("one",), n_copies=0, is_noise=False):
    """Clips of people in data sets, each followed by its copies; the label shows in the first column."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        [
            {
                "sample_id": f"{dataset} {person} {clip}" + (f" copy {copy}" if copy else ""),
                "clip_id": f"{dataset} {person} {clip}",
                "dataset": dataset,
                "subject": f"{dataset} {person}",
                "label": CLASSES[clip % 2],
                AUGMENT: f"{copy}-noise" if copy else None,
            }
            for dataset in datasets
            for person in range(n_people)
            for clip in range(n_clips)
            for copy in range(1 + n_copies)
        ]
    )
    if is_noise:
        frame["label"] = rng.permutation(frame["label"].to_numpy())
    x = rng.normal(size=(len(frame), 3)).astype(np.float32)
    x[:, 0] += (frame["label"] == "sad").to_numpy()
    features = {
        "modality": "audio",
        "features": "numbers",
        "features_version": 1,
        "settings": {},
        "features_hash": "aa",
        "shape": [3],
        "columns": ["a", "b", "c"],
    }
    keys = key_frame(frame).assign(**({AUGMENT: frame[AUGMENT]} if n_copies else {}))
    return labelled(keys, x, CLASSES, TableFacts("numbers", ("audio",), features, "hash"))


def methods():
    network = dnn_method(DnnFitter("mlp", {"units": 4}, TrainSettings(epochs=2, batch=32)))
    return {"svm": svm_method(SvmFitter()), "linear": linear_method(LinearFitter()), "mlp": network}


def tuning(method, storage, trials):
    return TuningFitter(method, method.space, trials, 42, str(storage / "s.study"), "id")


@dataclass(frozen=True)
class Watched:
    """A fitter that keeps the keys of the rows that it was given."""

    fitter: Any
    given: list[tuple[str, pd.DataFrame, pd.DataFrame]] = field(default_factory=list)

    def __getattr__(self, name):
        return getattr(self.fitter, name)

    def fit(self, rows, fit):
        self.given.append((fit.name, rows.key_frame, fit.test_keys))
        return self.fitter.fit(rows, fit)


def watched(method):
    """The method with fitters that all keep their rows in one list."""
    default = Watched(method.default)
    return replace(
        method,
        default=default,
        with_values=lambda values: replace(default, fitter=method.with_values(values)),
    )


@pytest.mark.parametrize(
    ("name", "evaluation", "datasets", "kept"),
    [
        ("mlp", Evaluation("group-kfold", 2), ("one",), "subject"),
        ("svm", Evaluation("lodo"), ("one", "two", "three"), "dataset"),
    ],
)
def test_fits_see_no_outer_test_row_nor_its_group_nor_a_copy_of_it(
    tmp_path, name, evaluation, datasets, kept
):
    rows = data(n_people=6 // len(datasets), datasets=datasets, n_copies=1).rows
    method = watched(methods()[name])
    given = method.default.given
    folds = []

    def keep(fold):
        folds.append((fold.split, given[:]))
        given.clear()

    cross_validate(rows, tuning(method, tmp_path, 2), evaluation, callbacks=[keep])
    keys = rows.key_frame
    assert len(folds) == 2 if kept == "subject" else 3
    for split, fits in folds:
        test, train = keys.iloc[split.test], keys.iloc[split.train]
        assert fits[-1][0] == f"fold {split.fold}"
        inner = fits[:-1]
        assert len(inner) >= 2 * 2
        for _, trained, tested in fits:
            seen = pd.concat([trained, tested]) if tested is not fits[-1][2] else trained
            assert not set(seen["clip_id"]) & set(test["clip_id"])
            assert not set(seen[kept]) & set(test[kept])
            assert set(seen["sample_id"]) <= set(keys["sample_id"]) - set(test["sample_id"])
            assert not set(trained[kept]) & set(tested[kept])
            assert tested[AUGMENT].isna().all()
            assert trained[AUGMENT].notna().any()
        asked = pd.concat([tested for _, _, tested in inner])["sample_id"].value_counts()
        assert set(asked.index) == set(train.loc[train[AUGMENT].isna(), "sample_id"])
        assert set(asked) == {2}  # each once a trial


@pytest.mark.parametrize("name", ["svm", "linear", "mlp"])
def test_what_a_fold_finds_does_not_change_with_its_test_rows(tmp_path, name):
    found = data()
    plan = plan_folds(found.rows, Evaluation("group-kfold", 2))
    plan = replace(plan, folds=plan.folds[:1])
    test = plan.folds[0].test
    x, y = found.rows.array.copy(), found.rows.y.copy()
    x[test], y[test] = 1e3 * x[test] + 7, 1 - y[test]
    results = []
    for number, rows in enumerate((found.rows, replace(found.rows, x=x, y=y))):
        folder = tmp_path / str(number)
        folder.mkdir()
        fitter = tuning(methods()[name], folder, 2)
        predictors = []
        cross_validate(rows, fitter, plan, callbacks=[lambda fold, to=predictors: to.append(fold.predictor)])
        results.append((fitter.found["fold 1"], predictors[0].predict_proba(found.rows.array)))
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])


def test_with_noise_the_support_vector_machine_does_not_beat_chance_on_outer_rows(tmp_path):
    found = data(n_people=8, is_noise=True)
    method = svm_method(SvmFitter())
    fitter, evaluation = tuning(method, tmp_path, 5), Evaluation(folds=2)
    defaults = validated(found, method.default, plan_folds(found.rows, evaluation)).predictions
    targets = Targets(None, tmp_path / "p.parquet")
    observers = [TuningFindings(fitter, defaults)]
    tuned = train(found, targets, fitter, evaluation, observers=observers).meta["tuning"]
    assert tuned["outer"]["low"] < 0.5 < tuned["outer"]["high"]
    assert tuned["inner"] > max(0.5, tuned["outer"]["value"])
    assert not tuned["versus"]["better"]

"""Warnings of fits become sentences of the training, each once, and other warnings stay what they are."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import TrainingWarning
from eavctl.extraction.recipe import Recipe
from eavctl.stages.report import make_report
from eavctl.storage import artifacts, tables
from eavctl.training.cross_validation import Evaluation
from eavctl.training.dnn_fitter import DnnFitter
from eavctl.training.fit_warnings import FitWarnings
from eavctl.training.rows import read_training_set
from eavctl.training.svm_fitter import SvmFitter
from eavctl.training.train import Targets, train


def test_each_warning_is_said_once_with_the_fits_that_it_is_of() -> None:
    heard = FitWarnings()
    said = {"fold 1": ["shared"], "fold 2": ["shared", "shared", "odd"], "all rows": []}
    for fit, texts in said.items():
        with heard.of(fit):
            for text in texts:
                warnings.warn(text, TrainingWarning, stacklevel=1)
    shared, odd = heard.sentences()
    assert shared.startswith("in 2 of 3 fits (fold 1, fold 2)")
    assert shared.endswith(": shared")
    assert odd.startswith("in 1 of 3 fits (fold 2)")


def test_other_warnings_go_their_way() -> None:
    heard = FitWarnings()
    with pytest.warns(RuntimeWarning, match="overflow"), heard.of("fold 1"):
        warnings.warn("overflow", RuntimeWarning, stacklevel=1)
    assert heard.sentences() == ()


def lonely_class(path: Path) -> Path:
    """A table of eight people; only s3 was ever disgusted."""
    rng = np.random.default_rng(0)
    rows = [(f"s{p}", c, s) for p in range(8) for c in range(6) for s in range(2)]
    kinds = [2 if p == "s3" and c > 3 else c % 2 for p, c, _ in rows]
    clips = [f"{p}/{c}" for p, c, _ in rows]
    keys = {
        "sample_id": [f"{clip}@{s}" for clip, (_, _, s) in zip(clips, rows, strict=True)],
        "clip_id": clips,
        "subject": [p for p, _, _ in rows],
        "start": [float(s) for _, _, s in rows],
        "end": [float(s + 1) for _, _, s in rows],
        "label": np.array(["angry", "calm", "disgust"])[kinds],
    }
    recipe = Recipe("seed33")
    x = rng.normal(size=(len(rows), len(recipe.columns))) + np.array(kinds)[:, None]
    meta = {**recipe.meta(), "shape": [len(recipe.columns)], "classes": ["angry", "calm", "disgust"]}
    table = tables.FeatureTable(
        tables.key_frame(pd.DataFrame(keys)), x.astype(np.float32), recipe.columns, meta
    )
    tables.write_features(table, path)
    return path


@pytest.mark.parametrize("kind", ["svm", "dnn"])
def test_a_class_of_one_person_is_told_wherever_the_training_is(kind: str, tmp_path: Path) -> None:
    """The fold that tests s3 knows nothing of the class; the others know it of s3 alone."""
    table = lonely_class(tmp_path / "t.parquet")
    settings = TrainSettings(epochs=1, device="cpu", validation=0.5)
    fitter = SvmFitter() if kind == "svm" else DnnFitter("mlp", {"units": 4}, settings)
    model, oof = tmp_path / ("m.joblib" if kind == "svm" else "m.pt"), tmp_path / "p.parquet"
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)  # none of them is left to Python
        done = train(
            read_training_set(table), Targets(model, oof), fitter, Evaluation("group-kfold", folds=4)
        )
    (page,) = make_report([oof])["models"]
    told = [done.warnings, artifacts.read_meta(model).protocol.warnings, page["warnings"]]
    told.append(tables.read_predictions(oof).meta["protocol"]["warnings"])
    for sentences in told:
        lonely = [text for text in sentences if "'disgust' occurs in one group only (s3)" in text]
        assert len(lonely) == (kind == "svm")  # a network makes do with cuts that leave s3 in training
        assert all(text.startswith("in 4 of 5 fits (") for text in lonely)

"""Predictions that other models make of a fold's test rows, beside those of the fold's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from eavctl.storage.tables import PredictionTable
from eavctl.training.clips import concatenated
from eavctl.training.cross_validation import FittedClassifier, FoldResult


def fold_predictions(
    fold: FoldResult, rows: np.ndarray, proba: np.ndarray, predictor: FittedClassifier
) -> PredictionTable:
    """Some of a fold's test rows with their probabilities, answered by the predictor's decision rule.

    Parameters
    ----------
    rows : numbers of the test rows, shape (n_rows,).
    proba : of these, by the predictor, shape (n_rows, n_classes).
    """
    keys = fold.fit.test_keys.iloc[rows].assign(fold=fold.split.fold)
    answers = predictor.classes_.astype(object)[predictor.decide(proba)]
    return PredictionTable(keys, proba, tuple(predictor.classes_.tolist()), pred=answers)


def joined_folds(tables: Sequence[PredictionTable], like: PredictionTable) -> PredictionTable:
    """The rows of all folds in order, with the classes and the metadata of other predictions."""
    found = concatenated(tables, like.classes)
    order = np.argsort(found.keys["sample_id"].to_numpy(dtype=str))
    keys = found.keys.iloc[order].reset_index(drop=True)
    return replace(found, keys=keys, proba=found.proba[order], pred=found.pred[order], meta=like.meta)

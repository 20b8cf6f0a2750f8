"""Clips that are judged by the mean of their segments, as `predict` judges whole recordings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from eavctl.evaluation.groups import identify
from eavctl.storage.tables import PredictionTable


def clips_of(keys: pd.DataFrame, proba: np.ndarray, predictor: Any) -> PredictionTable:
    """Judge clips by the mean of their rows' probabilities, answered by the predictor that made these.

    Parameters
    ----------
    keys : of the rows.
    proba : shape (n_rows, n_classes), of the predictor's classes.

    Returns
    -------
    A row for each clip, from its first row's start to its last one's end.
    """
    clips = identify(keys, "clip_id").astype(str)
    spans = keys.groupby(clips)
    whole = spans.first(skipna=False).assign(start=spans["start"].min(), end=spans["end"].max())
    means = pd.DataFrame(proba).groupby(clips).mean().to_numpy()
    answers = predictor.classes_.astype(object)[predictor.decide(means)]
    return PredictionTable(whole.reset_index(drop=True), means, tuple(predictor.classes_), pred=answers)


def together(parts: Sequence[PredictionTable], classes: Sequence[str]) -> PredictionTable:
    """The clips of several folds as one table of these classes."""
    return PredictionTable(
        pd.concat([part.keys for part in parts], ignore_index=True),
        np.concatenate([in_order(part.proba, np.array(part.classes), classes) for part in parts]),
        tuple(classes),
        pred=np.concatenate([part.pred for part in parts]),
    )


def in_order(proba: np.ndarray, have: np.ndarray, want: Sequence[str]) -> np.ndarray:
    """Columns in the table's order; a class that a fold's training rows lack has probability 0."""
    result = np.zeros((len(proba), len(want)))
    for column, name in enumerate(have):
        result[:, want.index(str(name))] = proba[:, column]
    return result

"""Clips classified by the mean of their segments' probabilities, as `predict` classifies whole recordings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from eavctl.evaluation.groups import identify
from eavctl.evaluation.reliability import reliability
from eavctl.storage.tables import PredictionTable


def clips_of(keys: pd.DataFrame, proba: np.ndarray, predictor: Any) -> PredictionTable:
    """Classify clips by the mean of their rows' probabilities.

    Parameters
    ----------
    keys : of the rows.
    proba : shape (n_rows, n_classes), by the predictor, whose decision rule is applied to the means.

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


def reliability_of(rows: PredictionTable, clips: PredictionTable) -> dict[str, dict[str, Any]]:
    """How often answers of a confidence were right, of rows, and of clips where these are segments."""
    right = {"rows": reliability(rows)}
    if len(clips) < len(rows):  # rows are segments, of which predict takes the mean
        right["clips"] = reliability(clips)
    return right


def concatenated(tables: Sequence[PredictionTable], classes: Sequence[str]) -> PredictionTable:
    """Rows of several folds as one table with these classes."""
    return PredictionTable(
        pd.concat([table.keys for table in tables], ignore_index=True),
        np.concatenate([with_classes(table.proba, table.classes, classes) for table in tables]),
        tuple(classes),
        pred=np.concatenate([table.pred for table in tables]),
    )


def with_classes(proba: np.ndarray, have: Sequence[str] | np.ndarray, want: Sequence[str]) -> np.ndarray:
    """Probabilities with the columns of other classes: one that a fold's training rows lack gets 0.

    Parameters
    ----------
    proba : shape (n_rows, len(have)).
    have, want : names of the classes; ``want`` has all of ``have``.
    """
    result = np.zeros((len(proba), len(want)))
    for column, name in enumerate(have):
        result[:, want.index(str(name))] = proba[:, column]
    return result

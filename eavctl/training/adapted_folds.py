"""Score the folds of a leave-one-data-set-out training on adapted test rows, as `predict --adapt` judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from eavctl.classifiers.adaptation import DATASET, SPEAKER, ModelOfColumns, Origin, adapt
from eavctl.evaluation.groups import identify
from eavctl.evaluation.summary import summarize
from eavctl.features.normalize import LEAST_OF_DATASET
from eavctl.storage.tables import PredictionTable
from eavctl.training.clips import clips_of, concatenated, reliability_of
from eavctl.training.cross_validation import FoldResult

KEPT = (
    "uar",
    "calibration_error",
    "calibration_error_by_dataset",
    "level",
    "over",
    "n_clusters",
    "chance",
    "n_rows",
    "per_dataset",
    "over_datasets",
)
FEWEST_DATASETS = 2


class AdaptedFolds:
    """A fold callback that judges each held-out data set again, adapted by its own rows without labels.

    Parameters
    ----------
    classes : names, in the order of the probabilities.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        self._rows: dict[str, list[PredictionTable]] = {DATASET: [], SPEAKER: []}
        self._clips: dict[str, list[PredictionTable]] = {DATASET: [], SPEAKER: []}

    def __call__(self, fold: FoldResult) -> None:
        """Judge the test rows of a fold by data set, and by speaker those of speakers of enough clips."""
        predictor, keys = fold.predictor, fold.test.key_frame
        if not isinstance(fold.predictor, ModelOfColumns):
            return
        origin = _origin(keys)
        if len(np.unique(origin.recordings)) < LEAST_OF_DATASET:
            return
        for each, by in ((origin.without_speakers(), DATASET), (origin, SPEAKER)):
            mine = np.flatnonzero(each.by == by)
            if not len(mine):
                continue
            proba = adapt(fold.test.array, each, predictor).proba[mine]
            clips = keys.iloc[mine].reset_index(drop=True)
            pred = predictor.classes_.astype(object)[predictor.decide(proba)]
            self._rows[by].append(PredictionTable(clips, proba, tuple(predictor.classes_), pred=pred))
            self._clips[by].append(clips_of(clips, proba, predictor))

    def scores(self, meta: Mapping[str, Any]) -> dict[str, Any]:
        """Scores and reliability by what rows were standardised by, ``dataset`` and ``speaker``, JSON-able.

        Only over two data sets or more.

        Parameters
        ----------
        meta : of the out-of-fold predictions.
        """
        measured = {by: tables for by, tables in self._rows.items() if len(tables) >= FEWEST_DATASETS}
        return {by: self._scores(by, meta) for by in measured}

    def _scores(self, by: str, meta: Mapping[str, Any]) -> dict[str, Any]:
        rows, clips = (
            replace(concatenated(tables[by], self._classes), meta=dict(meta))
            for tables in (self._rows, self._clips)
        )
        found, levels = summarize(rows), reliability_of(rows, clips)
        for level in levels.values():
            level["measured_on"]["adapted_by"] = by
        return {**{key: found[key] for key in KEPT}, "reliability": levels}


def _origin(keys: pd.DataFrame) -> Origin:
    """Where rows are from, by their keys."""
    names = [identify(keys, key) for key in ("dataset", "subject", "clip_id")]
    datasets, speakers, clips = (np.array([name or "" for name in each], str) for each in names)
    return Origin(datasets, speakers, clips)

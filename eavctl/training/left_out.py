"""Data sets that the folds of a training left out: how sure answers are there, plain and adapted.

The probabilities of a fold's model were calibrated inside the fold, on models of one data set fewer still,
which are worse. So the scale of the decision values on a data set left out is taken from the other data sets
left out; and that of adapted rows, as `predict --adapt` judges them, from adapted ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from eavctl.classifiers.adaptation import (
    DATASET,
    SPEAKER,
    ModelOfColumns,
    Origin,
    is_of_columns,
    probabilities,
    standardized,
)
from eavctl.classifiers.calibration import Calibration, decide, fit_scale
from eavctl.classifiers.streams import Table, in_memory, stored
from eavctl.evaluation.groups import identify
from eavctl.evaluation.metrics import indices
from eavctl.evaluation.summary import summarize
from eavctl.features.normalize import LEAST_OF_DATASET, SHRINKAGE
from eavctl.features.standardized_rows import StandardizedRows
from eavctl.storage.tables import PredictionTable
from eavctl.training.clips import clips_of, concatenated, reliability_of
from eavctl.training.cross_validation import PREDICTED_ROWS, CrossValidation, FoldResult

PLAIN = "plain"
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


class _Part(NamedTuple):
    """Rows of a data set left out, as its fold's model judges them in one way.

    Parameters
    ----------
    rows : their numbers, shape (n_rows,).
    keys, origin : of the rows.
    labels : names of their classes, shape (n_rows,).
    weights : shape (n_rows,).
    decisions : decision values, shape (n_rows, n_classes).
    classes_, calibration, priors : of the model.
    """

    rows: np.ndarray
    keys: pd.DataFrame
    origin: Origin
    labels: np.ndarray
    weights: np.ndarray
    decisions: np.ndarray
    classes_: np.ndarray
    calibration: Calibration
    priors: np.ndarray

    def taking(self, rows: np.ndarray) -> _Part:
        """Some of the rows."""
        return self._replace(
            rows=self.rows[rows],
            keys=self.keys.iloc[rows].reset_index(drop=True),
            origin=Origin(*(names[rows] for names in self.origin)),
            labels=self.labels[rows],
            weights=self.weights[rows],
            decisions=self.decisions[rows],
        )

    def decide(self, proba: np.ndarray) -> np.ndarray:
        """Class numbers predicted from probabilities, as the model does."""
        return decide(proba, self.priors)


class LeftOutDatasets:
    """A fold callback of a leave-one-data-set-out training of a classifier of columns.

    Parameters
    ----------
    classes : names, in the order of the probabilities.
    adapts : whether to judge the rows of each data set again, adapted by themselves without labels.
    """

    def __init__(self, classes: Sequence[str], *, adapts: bool) -> None:
        self._classes, self._adapts = tuple(classes), adapts
        self._parts: dict[str, list[_Part]] = {PLAIN: [], DATASET: [], SPEAKER: []}

    def __call__(self, fold: FoldResult) -> None:
        """Judge the test rows of a fold: plain, by data set, and by speakers of enough clips."""
        model, test = fold.predictor, fold.test
        if not is_of_columns(model):
            return
        origin = _origin(test.key_frame)
        plain = _Part(
            fold.split.test,
            test.key_frame.reset_index(drop=True),
            origin,
            test.labels,
            np.ones(len(test)) if test.weights is None else test.weights,
            _decisions(model, test.kept),
            fold.predictor.classes_,
            model.calibration,
            model.priors,
        )
        self._parts[PLAIN].append(plain)
        if not self._adapts or len(np.unique(origin.recordings)) < LEAST_OF_DATASET:
            return
        for each, by in ((origin.without_speakers(), DATASET), (origin, SPEAKER)):
            mine = np.flatnonzero(each.by == by)
            if len(mine):
                decisions = _adapted_decisions(model, test.kept, each)
                self._parts[by].append(plain._replace(origin=each, decisions=decisions).taking(mine))

    def rescaled(self, found: CrossValidation) -> CrossValidation:
        """The predictions, with the scale of each data set from the others, where these are known."""
        parts = self._parts[PLAIN]
        if len(parts) < max(FEWEST_DATASETS, len(found.plan.folds)):
            return found
        rows, clips = self._predictions(PLAIN)
        order = np.argsort(np.concatenate([part.rows for part in parts]))
        predictions = replace(found.predictions, proba=rows.proba[order], pred=rows.pred[order])
        return replace(found, predictions=predictions, clips=clips)

    def adapted(self, meta: Mapping[str, Any]) -> dict[str, Any]:
        """What is known of adapted answers by what rows were standardised by, ``dataset`` and ``speaker``.

        Each has its scores and reliability, JSON-able, and ``scale``, of decision values in new recordings.
        Only over two data sets or more.

        Parameters
        ----------
        meta : of the out-of-fold predictions.
        """
        measured = [by for by in (DATASET, SPEAKER) if len(self._parts[by]) >= FEWEST_DATASETS]
        return {by: self._scores(by, meta) for by in measured}

    def _scores(self, by: str, meta: Mapping[str, Any]) -> dict[str, Any]:
        rows, clips = (replace(table, meta=dict(meta)) for table in self._predictions(by))
        found, levels = summarize(rows), reliability_of(rows, clips)
        for level in levels.values():
            level["measured_on"]["adapted_by"] = by
        kept = {key: found[key] for key in KEPT}
        return {**kept, "reliability": levels, "scale": _scale(self._parts[by])}

    def _predictions(self, way: str) -> tuple[PredictionTable, PredictionTable]:
        """Rows, and clips, of all data sets as they are judged in one way, in the order of the folds."""
        rows, clips = [], []
        for part in self._parts[way]:
            proba = self._probabilities(way, part)
            pred = part.classes_.astype(object)[part.decide(proba)]
            rows.append(PredictionTable(part.keys, proba, tuple(part.classes_), pred=pred))
            clips.append(clips_of(part.keys, proba, part))
        return concatenated(rows, self._classes), concatenated(clips, self._classes)

    def _probabilities(self, way: str, part: _Part) -> np.ndarray:
        """Class probabilities of a part, scaled by the others of its way, (n_rows, n_classes)."""
        others = [each for each in self._parts[way] if each is not part]
        scale = _scale([each for each in others if np.array_equal(each.classes_, part.classes_)])
        decisions = (part.calibration.scale if scale is None else scale) * part.decisions
        if way == PLAIN:
            return Calibration(1.0, part.calibration.bias)(decisions)
        return probabilities(decisions, part.origin, part.calibration.bias, part.priors)


def _decisions(model: ModelOfColumns, x: Table) -> np.ndarray:
    """Decision values of rows, a few of them at a time where they are on the disk."""
    if not stored(x):
        return model.decision_function(in_memory(x))
    parts = range(0, len(x), PREDICTED_ROWS)
    return np.concatenate([model.decision_function(x[start : start + PREDICTED_ROWS]) for start in parts])


def _adapted_decisions(model: ModelOfColumns, x: Table, origin: Origin) -> np.ndarray:
    """Decision values of rows brought to the training's mean and deviation; see `standardized`."""
    if not stored(x):
        return model.decision_function(standardized(in_memory(x), origin, model))
    rows = StandardizedRows.by_speaker(x, *origin, SHRINKAGE)
    return _decisions(model, rows.scaled(model.mean, model.scale))


def _scale(parts: Sequence[_Part]) -> float | None:
    """The scale of decision values on data sets left out; None for no rows of classes that were trained."""
    known = [part.taking(np.flatnonzero(np.isin(part.labels, part.classes_))) for part in parts]
    if not any(len(part.rows) for part in known):
        return None
    y = np.concatenate([indices(part.labels, part.classes_.tolist()) for part in known])
    decisions = np.concatenate([part.decisions for part in known])
    weights = np.concatenate([part.weights for part in known])
    biases = np.concatenate([np.broadcast_to(part.calibration.bias, part.decisions.shape) for part in known])
    return fit_scale(decisions, y, biases, weights)


def _origin(keys: pd.DataFrame) -> Origin:
    """Where rows are from, by their keys."""
    names = [identify(keys, key) for key in ("dataset", "subject", "clip_id")]
    datasets, speakers, clips = (np.array([name or "" for name in each], str) for each in names)
    return Origin(datasets, speakers, clips)

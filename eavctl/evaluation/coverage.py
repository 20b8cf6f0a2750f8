"""Coverage against accuracy: scores of the most confident predictions, if the others are not answered.

The confidence of a prediction is the probability of the predicted class.

References
----------
.. [1] Geifman, El-Yaniv: Selective classification for deep neural networks, NeurIPS 2017.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from eavctl.evaluation import metrics
from eavctl.evaluation.groups import labelled, rows_of
from eavctl.evaluation.intervals import Clusters, clusters_of, score_intervals
from eavctl.storage.tables import PredictionTable

COVERAGES = (0.25, 0.5, 0.75, 1.0)  # those with an interval
N_POINTS = 40  # of the curve


def coverage(table: PredictionTable) -> dict[str, Any]:
    """Scores of the labelled rows of a prediction table, answered by descending confidence.

    Returns
    -------
    JSON-able dictionary: ``curve``, a list of points with ``coverage`` (share of the rows that are answered),
    ``confidence`` (the lowest among them), ``accuracy`` and ``uar``; rows of equal confidence count as if
    each were answered in part. ``at`` has the scores at some coverages with their intervals, ``n_rows`` and
    ``confidence``. ``area`` is the mean of each score over all coverages [1]_. ``n_unsure`` is the number of
    rows with a reason in the column ``unsure``, and ``sure`` the scores of the other rows; both are None of
    tables without that column.

    Raises
    ------
    DataError : no row has a label.

    Notes
    -----
    UAR is the mean over the classes that occur among the rows answered, which can be fewer than all.
    """
    known = labelled(table.keys)
    keys, pred = rows_of(table.keys, known), table.pred[known]
    classes = metrics.all_classes(keys["label"], table.classes)
    truth, answers = metrics.indices(keys["label"].to_numpy(object), classes), metrics.indices(pred, classes)
    confidence = table.proba[known][np.arange(len(answers)), answers]
    order = np.argsort(-confidence, kind="stable")
    support, hits = _tied(truth, answers, confidence, order, len(classes))
    scores = {"accuracy": hits.sum(axis=1) / support.sum(axis=1), "uar": _mean_recall(hits, support)}

    def scored(rows: np.ndarray) -> dict[str, Any]:
        """Scores of these rows, with intervals."""
        mine = keys.iloc[rows].reset_index(drop=True)
        clusters: Clusters = clusters_of(mine, table.about.protocol.group)
        found = score_intervals(clusters, truth[rows], answers[rows], len(classes))
        return {"n_rows": len(rows), **{name: found[name].to_json() for name in scores}}

    counts = np.unique(np.ceil(np.linspace(0, 1, N_POINTS + 1)[1:] * len(order)).astype(int))
    doubted = np.array([bool(reason) for reason in table.unsure])[known] if table.unsure else None
    return {
        "curve": [_point(count, order, confidence, scores) for count in counts],
        "at": [
            {
                "coverage": share,
                "confidence": float(confidence[order[count - 1]]),
                **scored(np.sort(order[:count])),
            }
            for share in COVERAGES
            if (count := int(np.ceil(share * len(order))))
        ],
        "area": {name: float(values.mean()) for name, values in scores.items()},
        "n_unsure": None if doubted is None else int(doubted.sum()),
        "sure": None if doubted is None or doubted.all() else scored(np.flatnonzero(~doubted)),
    }


def _point(
    count: int, order: np.ndarray, confidence: np.ndarray, scores: dict[str, np.ndarray]
) -> dict[str, float]:
    """The point of the curve at which ``count`` rows are answered."""
    found = {name: float(values[count - 1]) for name, values in scores.items()}
    return {
        "coverage": count / len(order),
        "confidence": float(confidence[order[count - 1]]),
        **found,
    }


def _tied(
    truth: np.ndarray, answers: np.ndarray, confidence: np.ndarray, order: np.ndarray, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows, and right rows, of each class among the first 1, 2, ... of the order, (n_rows, n_classes).

    Rows of equal confidence have no order: each counts as their mean.
    """
    one = np.eye(n_classes)[truth[order]]
    right = one * (answers == truth)[order, None]
    starts = np.flatnonzero(np.diff(confidence[order], prepend=np.inf))
    sizes = np.diff(starts, append=len(order))
    means = [
        np.repeat(np.add.reduceat(each, starts, axis=0) / sizes[:, None], sizes, axis=0)
        for each in (one, right)
    ]
    support, hits = (np.cumsum(each, axis=0) for each in means)
    return support, hits


def _mean_recall(hits: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Mean over the classes that occur, of each row of the two (n_rows, n_classes)."""
    occurs = support > 0
    recall = hits / np.where(occurs, support, 1)
    return np.asarray(recall.sum(axis=1) / occurs.sum(axis=1))

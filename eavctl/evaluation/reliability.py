"""Accuracy of out-of-fold predictions by predicted class and confidence.

The confidence of a prediction is the probability of the predicted class. Each accuracy is measured on at
least `FEWEST` predictions and has an interval; fewer predictions give no accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eavctl.storage.tables import PredictionTable  # predicting a clip needs no tables

PARTS, FEWEST = 5, 20
LENGTH_RATIO = 1.25  # largest ratio to the durations tested for which the accuracies are valid


def reliability(table: PredictionTable) -> dict[str, Any]:
    """Measure the accuracy of predictions in bins of equal size by confidence.

    Parameters
    ----------
    table : out-of-fold predictions; rows without a label are ignored.

    Returns
    -------
    JSON-able dictionary: ``seconds``, the shortest and longest duration of a row, or None if times are not
    known; ``classes``, for each class predicted often enough its bins by ascending confidence: ``up_to`` (the
    highest confidence in it; 1 in the last), ``right`` (accuracy) with ``low`` and ``high``, ``n_rows``, and
    ``over``, the clusters of the interval; and ``measured_on``: the key whose values the protocol held out
    (``held_out``, such as ``dataset`` or ``subject``; None if unknown) and the names of the ``datasets``.
    """
    import numpy as np

    from eavctl.evaluation.groups import rows_of
    from eavctl.evaluation.intervals import clusters_of, score_intervals

    known = table.keys["label"].notna().to_numpy()
    keys, pred = rows_of(table.keys, known), table.pred[known]
    columns = np.array([table.classes.index(name) for name in pred], int)
    confidence = table.proba[known][np.arange(len(columns)), columns]
    wrong = (pred != keys["label"].to_numpy(object)).astype(int)

    def accuracy_of(rows: np.ndarray) -> dict[str, Any] | None:
        """Accuracy of these rows with its interval; None for too few clusters."""
        mine = keys.iloc[rows].reset_index(drop=True)
        clusters = clusters_of(mine, table.about.protocol.group)
        share = score_intervals(clusters, np.zeros(len(rows), int), wrong[rows], 2)["accuracy"]
        if share.low is None:
            return None
        return {
            "up_to": float(confidence[rows].max()),
            "right": share.value,
            "low": share.low,
            "high": share.high,
            "n_rows": len(rows),
            "over": clusters.over,
        }

    classes = {}
    for name in table.classes:
        rows = np.flatnonzero(pred == name)
        if len(rows) < FEWEST:
            continue
        rows = rows[np.argsort(confidence[rows], kind="stable")]
        parts = [accuracy_of(each) for each in np.array_split(rows, min(PARTS, len(rows) // FEWEST))]
        found = [each for each in parts if each]
        if len(found) == len(parts):
            found[-1]["up_to"] = 1.0
            classes[name] = found
    names = sorted({str(name) for name in keys["dataset"].dropna()})
    return {
        "seconds": _lengths(keys["start"], keys["end"]),
        "classes": classes,
        "measured_on": {"held_out": table.about.protocol.group, "datasets": names},
    }


def _lengths(start: Any, end: Any) -> list[float] | None:
    seconds = (end - start).to_numpy(float)
    return [float(seconds.min()), float(seconds.max())] if len(seconds) and (seconds > 0).all() else None


def fits(level: Mapping[str, Any], seconds: float) -> bool:
    """Whether the accuracies are valid for a segment of this duration.

    Parameters
    ----------
    level : result of `reliability`.
    seconds : duration of the segment.
    """
    if level["seconds"] is None:
        return True
    shortest, longest = level["seconds"]
    return bool(shortest / LENGTH_RATIO <= seconds <= longest * LENGTH_RATIO)


def look_up(level: Mapping[str, Any], answer: str, confidence: float) -> dict[str, Any] | None:
    """The bin of a prediction; None if there were too few such predictions.

    Parameters
    ----------
    level : result of `reliability`.
    answer : predicted class.
    confidence : probability of the predicted class.
    """
    parts: Sequence[dict[str, Any]] = level["classes"].get(answer, ())
    return next((part for part in parts if confidence <= part["up_to"]), None)


def measured_on(measured: Mapping[str, Any]) -> str:
    """What accuracies were measured on, in words.

    Parameters
    ----------
    measured : ``measured_on`` of a `reliability`, with ``adapted_by``, ``"dataset"`` or ``"speaker"``, where
        rows were adapted to the model; empty in files of older versions.
    """
    names, held_out = measured.get("datasets", ()), measured.get("held_out")
    if is_cross_corpus(measured):
        by = {"dataset": " and adapted by data set", "speaker": " and adapted by speaker"}
        return f"{len(names)} data sets, each held out{by.get(measured.get('adapted_by', ''), '')}"
    what = "held-out speakers" if held_out == "subject" else "held-out recordings"
    if not names:
        return f"{what} of the training data"
    return f"{what} of the data set{'s' if len(names) > 1 else ''} {', '.join(names)}"


def is_cross_corpus(measured: Mapping[str, Any]) -> bool:
    """Whether accuracies were measured on data sets held out, so that they hold for other data sets."""
    return measured.get("held_out") == "dataset" and len(measured["datasets"]) > 1

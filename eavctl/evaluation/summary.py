"""The scores of a prediction table as a JSON-able dictionary, for model files and reports."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from eavctl.errors import DataError
from eavctl.evaluation import metrics
from eavctl.evaluation.by_dataset import by_dataset
from eavctl.evaluation.calibration_error import calibration_by_dataset, calibration_interval
from eavctl.evaluation.groups import full, identify, labelled, n_identities, rows_of, short
from eavctl.evaluation.intervals import (
    LEVEL,
    SIGNIFICANT,
    clusters_of,
    holm,
    paired_difference,
    score_intervals,
)
from eavctl.evaluation.published import published_line
from eavctl.storage.tables import PredictionTable


def summarize(table: PredictionTable) -> dict[str, Any]:
    """Score the labelled rows of a prediction table.

    Returns
    -------
    dict with ``uar``, ``macro_f1``, ``accuracy`` and ``calibration_error`` (each ``value``, ``low``,
    ``high``; the ends are None for too few clusters), the ``level`` of these intervals, the name of the
    clusters as ``over`` and their number as ``n_clusters``, ``chance`` and the other scores, among them the
    ``calibration_error_by_dataset`` of each of several data sets, ``per_class``, ``confusion``,
    ``per_subject``, ``per_dataset`` and ``over_datasets`` (see `eavctl.evaluation.by_dataset.by_dataset`),
    the numbers of rows, clips and subjects, and the ``published`` scores for this data set and protocol, or
    None.

    Raises
    ------
    DataError : no row has a label.
    """
    known = labelled(table.keys)
    keys = rows_of(table.keys, known)
    labels = keys["label"].to_numpy(dtype=object)
    pred, proba = table.pred[known], table.proba if known.all() else table.proba[known]
    scores = metrics.score(labels, pred, proba, table.classes)
    truth, predicted = metrics.indices(labels, scores.classes), metrics.indices(pred, scores.classes)
    proba = metrics.of_classes(proba, len(scores.classes))
    clusters = clusters_of(keys, protocol_group(table))
    intervals = score_intervals(clusters, truth, predicted, len(scores.classes))
    subjects = identify(keys, "subject")
    return {
        **{name: interval.to_json() for name, interval in intervals.items()},
        "level": LEVEL,
        "over": clusters.over,
        "n_clusters": clusters.n,
        "chance": scores.chance,
        "chance_accuracy": scores.chance_accuracy,
        "weighted_f1": scores.weighted_f1,
        "log_loss": scores.log_loss,
        "brier": scores.brier,
        "calibration_error": calibration_interval(clusters, truth, proba).to_json(),
        "calibration_error_by_dataset": calibration_by_dataset(keys, truth, proba, protocol_group(table)),
        "classwise_calibration_error": scores.classwise_calibration_error,
        "n_rows": len(keys),
        "n_unlabelled": int((~known).sum()),
        "n_clips": n_identities(keys, "clip_id"),
        "n_subjects": n_identities(keys, "subject"),
        "classes": list(scores.classes),
        "per_class": _per_class(scores),
        "confusion": scores.confusion.tolist(),
        "published": published_line(table),
        "per_subject": _per_subject(subjects, truth, predicted, len(scores.classes)),
        **by_dataset(keys, truth, predicted, len(scores.classes), protocol_group(table)),
    }


def _per_class(scores: metrics.Scores) -> list[dict[str, Any]]:
    numbers = {"precision": scores.precision, "recall": scores.recall, "f1": scores.f1}
    numbers |= {"support": scores.support, "mean_proba": scores.mean_proba}
    return [
        {"class": name, **{title: values[i].item() for title, values in numbers.items()}}
        for i, name in enumerate(scores.classes)
    ]


def _per_subject(
    subjects: np.ndarray, truth: np.ndarray, predicted: np.ndarray, n_classes: int
) -> list[dict[str, Any]]:
    """UAR of each subject by name; the name includes the data set if two data sets share it."""
    numbers, people = pd.factorize(subjects, sort=True)
    known = numbers >= 0
    cells = (numbers[known] * n_classes + truth[known]) * n_classes + predicted[known]
    shape = (len(people), n_classes, n_classes)
    confusions = np.bincount(cells, minlength=math.prod(shape)).reshape(shape)
    repeated = Counter(map(short, people))
    return [
        {
            "subject": short(subject) if repeated[short(subject)] == 1 else full(subject),
            "uar": float(metrics.uar(confusion)),
            "n_rows": int(confusion.sum()),
        }
        for subject, confusion in zip(people, confusions, strict=True)
    ]


def compare(first: PredictionTable, second: PredictionTable) -> dict[str, Any]:
    """Compare the UAR of two prediction tables on their common labelled samples.

    Returns
    -------
    dict with the UAR of the ``first`` and the ``second`` table, the ``difference`` (``value``, ``low``,
    ``high``; the ends are None for too few clusters) with its ``level``, its ``p_value``, the name of the
    clusters as ``over`` and their number as ``n_clusters``, ``n_rows``, and whether the first table is
    ``better`` or ``worse`` by both the interval and the test.

    Raises
    ------
    DataError : no labelled sample in common, or the labels of a sample differ.
    """
    row_of = {sample: i for i, sample in enumerate(second.keys["sample_id"])}
    samples, labels = (first.keys[name].tolist() for name in ("sample_id", "label"))
    rows = [
        i
        for i, (sample, label) in enumerate(zip(samples, labels, strict=True))
        if sample in row_of and isinstance(label, str)
    ]
    others = [row_of[samples[i]] for i in rows]
    if not rows:
        raise DataError("the two prediction tables have no labelled sample in common")
    keys = first.keys.iloc[rows].reset_index(drop=True)
    names = keys["label"].tolist()
    for sample, name, other in zip(keys["sample_id"], names, second.keys["label"].iloc[others], strict=True):
        if isinstance(other, str) and name != other:
            raise DataError(f"{sample} is {name!r} in one prediction table and {other!r} in the other")
    classes = metrics.all_classes([*names, *second.classes], first.classes)
    truth = metrics.indices(names, classes)
    preds = [metrics.indices(t.pred[r], classes) for t, r in ((first, rows), (second, others))]
    matrices = [metrics.confusion_matrix(truth, pred, len(classes)) for pred in preds]
    groups = dict.fromkeys((protocol_group(first), protocol_group(second)))
    clusters = min((clusters_of(keys, group) for group in groups), key=lambda each: each.n)
    difference = paired_difference(clusters, truth, preds[0], preds[1], len(classes))
    found = {
        "first": float(metrics.uar(matrices[0])),
        "second": float(metrics.uar(matrices[1])),
        "difference": difference.interval.to_json(),
        "level": LEVEL,
        "over": clusters.over,
        "n_clusters": clusters.n,
        "p_value": difference.p_value,
        "n_rows": len(rows),
    }
    return found | judge(found)


def corrected(
    comparisons: Sequence[Mapping[str, Any]], candidates: Sequence[int] | None = None
) -> list[dict[str, Any]]:
    """Correct the p values of comparisons that are shown together, for multiple testing.

    Parameters
    ----------
    comparisons : results of `compare`.
    candidates : for each comparison, the number of models from which the compared one was selected by its
        score; its p value is first multiplied by this number (Bonferroni). By default 1.

    Returns
    -------
    The comparisons with the corrected ``p_value`` (`eavctl.evaluation.intervals.holm`), ``n_compared``, the
    number of comparisons corrected for, and ``better`` and ``worse`` by the corrected value.
    """
    counts = candidates or [1] * len(comparisons)
    p_values = holm([min(1.0, c["p_value"] * n) for c, n in zip(comparisons, counts, strict=True)])
    together = [
        {**c, "p_value": p, "n_compared": sum(counts)} for c, p in zip(comparisons, p_values, strict=True)
    ]
    return [each | judge(each) for each in together]


def judge(comparison: Mapping[str, Any]) -> dict[str, bool]:
    """Whether the first model is ``better`` or ``worse``: the interval excludes 0, and p is below 0.05."""
    low, high = comparison["difference"]["low"], comparison["difference"]["high"]
    is_significant = low is not None and comparison["p_value"] < SIGNIFICANT
    return {"better": is_significant and low > 0, "worse": is_significant and high < 0}


def protocol_group(table: PredictionTable) -> str | None:
    """The key that the protocol keeps whole, or None if the table does not name one."""
    return table.about.protocol.group

"""Scores of generalised zero-shot recognition: of the training classes, and of the held-out class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eavctl.evaluation import formatting, metrics
from eavctl.evaluation.intervals import LEVEL, Clusters, counted, interval_of, variants

CHANCE_OF_TWO = 0.5  # recall of two classes, by chance
LOWEST = {"informedness": -1.0}  # smallest values of measures, of the others 0


def harmonic_mean(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """2 a b / (a + b), or 0 if both are 0."""
    total = one + other
    return np.asarray(2 * one * other / np.where(total == 0, 1, total))


def measures(confusion: np.ndarray, held_out: int) -> dict[str, np.ndarray]:
    """Recall of the training classes and of the held-out class, and how often the latter is a false alarm.

    A high recall of the held-out class, and even a high harmonic mean, need no recognition: a classifier that
    gives any row to the held-out class with probability q reaches a recall of q, at a false alarm rate of q.

    Parameters
    ----------
    confusion : shape (..., n_classes, n_classes), true classes in rows; every class can be predicted for
        every row.
    held_out : index of the held-out class.

    Returns
    -------
    ``seen``, the mean recall of the training classes, ``unseen``, the recall of the held-out class,
    ``harmonic``, the harmonic mean of the two [1]_, ``false_alarms``, the share of the rows of a training
    class that are given to the held-out class, in the mean over training classes, and ``informedness``,
    ``unseen`` - ``false_alarms``, which is 0 by chance [2]_; each of shape (...).

    References
    ----------
    .. [1] Xian et al.: Zero-shot learning: a comprehensive evaluation of the good, the bad and the ugly,
       TPAMI 2018.
    .. [2] Powers: Evaluation: from precision, recall and F-measure to ROC, informedness, markedness and
       correlation, J. Machine Learning Technologies 2, 2011.
    """
    out = (np.arange(confusion.shape[-1]) == held_out)[:, None]
    seen, unseen = metrics.uar(confusion * ~out), metrics.uar(confusion * out)
    support = confusion.sum(axis=-1)
    counts = ~out[:, 0] & (support > 0)
    alarms = (confusion[..., held_out] / np.where(counts, support, np.inf)).sum(axis=-1)
    false_alarms = alarms / np.maximum(counts.sum(axis=-1), 1)
    return {
        "seen": seen,
        "unseen": unseen,
        "harmonic": harmonic_mean(seen, unseen),
        "false_alarms": false_alarms,
        "informedness": unseen - false_alarms,
    }


def score(
    clusters: Clusters, truth: np.ndarray, predicted: Mapping[int, np.ndarray], classes: Sequence[str]
) -> dict[str, Any]:
    """Score predictions made with one class held out, for one or several held-out classes in turn.

    Parameters
    ----------
    clusters : clusters of the rows.
    truth : class indices, int, shape (n_rows,).
    predicted : class indices, int, shape (n_rows,), predicted with each class held out.
    classes : names of all classes.

    Returns
    -------
    JSON-able dictionary: ``classes``, for each held-out class its name as ``class``, with the `measures`,
    each with ``value``, ``low`` and ``high`` (None for too few clusters);
    ``mean``, their means over the held-out classes; ``chance`` for each of them; ``level`` of the intervals,
    the name of the clusters as ``over`` and their number as ``n_clusters``; and ``n_rows``.

    Raises
    ------
    DataError : there are no rows.
    """
    held: list[dict[str, np.ndarray]] = []
    for held_out, named in predicted.items():
        counts, clips = counted(clusters, truth, named, len(classes), len(classes))
        held.append(measures(variants(counts, clips), held_out))

    def intervals(values: Mapping[str, np.ndarray]) -> dict[str, Any]:
        return {
            name: interval_of(each, clusters, lowest=LOWEST.get(name, 0.0)).to_json()
            for name, each in values.items()
        }

    return {
        "classes": [
            {"class": classes[c], **intervals(values)} for c, values in zip(predicted, held, strict=True)
        ],
        "mean": intervals({name: np.mean([values[name] for values in held], axis=0) for name in held[0]}),
        "chance": 1 / len(classes),
        "level": LEVEL,
        "over": clusters.over,
        "n_clusters": clusters.n,
        "n_rows": len(truth),
    }


def failures(scores: Mapping[str, Any]) -> list[str]:
    """Warnings of what the scores do not show.

    A row of a held-out class can be found by being unlike the rows of all others, with no knowledge of its
    class. Two classes held out together can be told apart only where the other modalities say where the query
    has them.
    """
    found = []
    if scores["constants"] is None:
        found.append(
            "the bias to seen classes was not corrected: that takes four classes, and each of them in the "
            "rows of several people or clips"
        )
    elif any(len(each) < scores["n_folds"] for each in scores["constants"].values()):
        found.append(
            "the bias to seen classes was not corrected in every fold: some of the people left out to find "
            "the constant lack a class"
        )
    told = scores["told_apart"]
    if told is None:
        told, chance, what = scores["mean"]["informedness"], 0.0, "their recall less the false alarms is"
    else:
        chance, what = CHANCE_OF_TWO, "of two held out together, rows were told apart"
    if told["low"] is None or told["low"] <= chance:
        why = " (too few people for an interval)" if told["low"] is None else ""
        found.append(
            f"held-out classes are not shown to be recognised: {what} {formatting.score(told)}{why}, by "
            f"chance {formatting.number(chance)}; that a row is unlike those of seen classes does not say "
            "which class it is"
        )
    return found


def lines(scores: Mapping[str, Any]) -> list[str]:
    """The scores as text: a line for each held-out class, their mean, and the chance level.

    Scores of tables of older versions have fewer measures.
    """
    titled = [(f"{each['class']} held out", each) for each in scores["classes"]]
    if len(titled) > 1:
        titled.append(("mean over classes", scores["mean"]))
    if scores.get("uncorrected"):
        titled.append(("before the correction", scores["uncorrected"]["mean"]))
    width = max(len(title) for title, _ in titled)
    rows = [f"{title:{width}}: {', '.join(_formatted(each))}" for title, each in titled]
    note = formatting.intervals_over(scores, scores["mean"]["unseen"])
    rows.append(f"chance {formatting.number(scores['chance'])} for each ({note})")
    if scores.get("told_apart"):
        rows.append(
            f"two classes held out together are told apart: {formatting.score(scores['told_apart'])}, "
            f"chance {formatting.number(CHANCE_OF_TWO)}"
        )
    return rows


def _formatted(each: Mapping[str, Any]) -> list[str]:
    titles = (
        ("seen", "seen"),
        ("unseen", "unseen"),
        ("harmonic mean", "harmonic"),
        ("false alarms", "false_alarms"),
    )
    return [f"{title} {formatting.score(each[name])}" for title, name in titles if name in each]

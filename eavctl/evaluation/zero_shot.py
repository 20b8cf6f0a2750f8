"""Scores of generalised zero-shot recognition: classes that were trained on, and the one held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eavctl.evaluation import formatting, metrics
from eavctl.evaluation.intervals import LEVEL, Clusters, counted, interval_of, variants


def harmonic_mean(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """2 a b / (a + b), and 0 where both are 0."""
    total = one + other
    return np.asarray(2 * one * other / np.where(total == 0, 1, total))


def measures(confusion: np.ndarray, held_out: int) -> dict[str, np.ndarray]:
    """What a classifier makes of the classes that it was trained on, and of the one held out.

    Parameters
    ----------
    confusion : shape (..., n_classes, n_classes), true classes in rows; any class may be named for any row.
    held_out : number of the class held out.

    Returns
    -------
    ``seen``, the mean recall of all other classes, ``unseen``, the recall of the class held out, and
    ``harmonic``, the harmonic mean of the two [1]_; shape (...).

    References
    ----------
    .. [1] Xian et al.: Zero-shot learning: a comprehensive evaluation of the good, the bad and the ugly,
       TPAMI 2018.
    """
    out = (np.arange(confusion.shape[-1]) == held_out)[:, None]
    seen, unseen = metrics.uar(confusion * ~out), metrics.uar(confusion * out)
    return {"seen": seen, "unseen": unseen, "harmonic": harmonic_mean(seen, unseen)}


def score(
    clusters: Clusters, truth: np.ndarray, predicted: Mapping[int, np.ndarray], classes: Sequence[str]
) -> dict[str, Any]:
    """Score the predictions made with one class held out, or with several, each in turn.

    Parameters
    ----------
    clusters : of the rows.
    truth : class numbers, int, shape (n_rows,).
    predicted : for each class that was held out, what the rows were named then, class numbers (n_rows,).
    classes : names of all classes.

    Returns
    -------
    JSON-able: ``classes``, for each class held out its name as ``class``, with ``seen``, ``unseen`` and
    ``harmonic``, each with ``value``, ``low`` and ``high`` (None where there are too few clusters);
    ``mean``, the means of these over the classes held out; ``chance`` of each of them; ``level`` of the
    intervals, what they are ``over``, ``n_clusters`` of that; ``n_rows``.

    Raises
    ------
    DataError : there are no rows.
    """
    held: list[dict[str, np.ndarray]] = []
    for held_out, named in predicted.items():
        counts, clips = counted(clusters, truth, named, len(classes), len(classes))
        held.append(measures(variants(counts, clips), held_out))

    def intervals(values: Mapping[str, np.ndarray]) -> dict[str, Any]:
        return {name: interval_of(each, clusters).to_json() for name, each in values.items()}

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


def lines(scores: Mapping[str, Any]) -> list[str]:
    """The scores for people, a line for each class held out, the means, and what chance would give."""
    told = [(f"{each['class']} held out", each) for each in scores["classes"]]
    if len(told) > 1:
        told.append(("mean over classes", scores["mean"]))
    width = max(len(title) for title, _ in told)
    rows = [f"{title:{width}}: {', '.join(_said(each))}" for title, each in told]
    note = formatting.intervals_over(scores, scores["mean"]["unseen"])
    return [*rows, f"chance {formatting.number(scores['chance'])} for each ({note})"]


def _said(each: Mapping[str, Any]) -> list[str]:
    titles = (("seen", "seen"), ("unseen", "unseen"), ("harmonic mean", "harmonic"))
    return [f"{title} {formatting.score(each[name])}" for title, name in titles]

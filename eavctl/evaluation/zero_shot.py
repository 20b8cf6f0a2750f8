"""Scores of generalised zero-shot recognition: classes that were trained on, and the one held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from eavctl.evaluation import intervals, metrics


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
    keys: pd.DataFrame, truth: np.ndarray, predicted: Mapping[int, np.ndarray], classes: Sequence[str]
) -> dict[str, Any]:
    """Score the predictions made with one class held out, or with several, each in turn.

    Parameters
    ----------
    keys : one row a sample; says what is resampled, see `eavctl.evaluation.intervals`.
    truth : class numbers, int, shape (n_rows,).
    predicted : for each class that was held out, what the rows were named then, class numbers (n_rows,).
    classes : names of all classes.

    Returns
    -------
    JSON-able: ``classes``, for each class held out its name as ``class``, with ``seen``, ``unseen`` and
    ``harmonic``, each with ``value``, ``low`` and ``high``; ``mean``, the means of these over the classes
    held out; ``chance`` of each of them; ``level`` of the intervals, what they are ``over``; ``n_rows``.

    Raises
    ------
    DataError : there are no rows.
    """
    clusters = intervals.clusters_of(keys)
    stack = [intervals.confusions(clusters, truth, named, len(classes)) for named in predicted.values()]
    counts = np.stack(stack, axis=1)
    drawn = intervals.resample(counts, intervals.RESAMPLES, np.random.default_rng(intervals.SEED))

    def all_measures(confusions: np.ndarray) -> dict[str, np.ndarray]:
        """Each measure, shape (..., n_held_out)."""
        each = [measures(confusions[..., i, :, :], held_out) for i, held_out in enumerate(predicted)]
        return {name: np.stack([values[name] for values in each], axis=-1) for name in each[0]}

    found, resampled = all_measures(counts.sum(axis=0)), all_measures(drawn)

    def interval(value: np.ndarray, values: np.ndarray) -> dict[str, float]:
        i = intervals.interval_of(float(value), values, clusters, intervals.LEVEL)
        return {"value": i.value, "low": i.low, "high": i.high}

    return {
        "classes": [
            {"class": classes[c], **{m: interval(found[m][i], resampled[m][:, i]) for m in found}}
            for i, c in enumerate(predicted)
        ],
        "mean": {m: interval(found[m].mean(), resampled[m].mean(axis=1)) for m in found},
        "chance": 1 / len(classes),
        "level": intervals.LEVEL,
        "over": clusters.over,
        "n_rows": len(truth),
    }


def lines(scores: Mapping[str, Any]) -> list[str]:
    """The scores for people, a line for each class held out, the means, and what chance would give."""
    told = [(f"{each['class']} held out", each) for each in scores["classes"]]
    if len(told) > 1:
        told.append(("mean over classes", scores["mean"]))
    width = max(len(title) for title, _ in told)
    rows = [f"{title:{width}}: {', '.join(_said(each))}" for title, each in told]
    last = f"chance {scores['chance']:.3f} for each ({scores['level']:.0%} intervals over {scores['over']})"
    return [*rows, last]


def _said(each: Mapping[str, Any]) -> list[str]:
    return [
        f"{title} {each[name]['value']:.3f} [{each[name]['low']:.3f}, {each[name]['high']:.3f}]"
        for title, name in (("seen", "seen"), ("unseen", "unseen"), ("harmonic mean", "harmonic"))
    ]

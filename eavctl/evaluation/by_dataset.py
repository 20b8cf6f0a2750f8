"""Scores of each data set of a prediction table, and their mean over data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from eavctl.evaluation import metrics
from eavctl.evaluation.groups import identify, named
from eavctl.evaluation.intervals import (
    DRAWS,
    LEVEL,
    Clusters,
    clusters_of,
    counted,
    interval_of,
    score_intervals,
    variants,
)


def by_dataset(
    keys: pd.DataFrame, truth: np.ndarray, predicted: np.ndarray, n_classes: int, group: str | None
) -> dict[str, Any]:
    """Score each data set by itself.

    Parameters
    ----------
    keys : key table, one row per sample.
    truth, predicted : class indices, int, shape (n_rows,).
    n_classes : number of classes.
    group : the key that the protocol does not divide.

    Returns
    -------
    dict with ``per_dataset``: for each data set its name as ``dataset``, ``uar``, ``macro_f1`` and
    ``accuracy`` over the classes that it has, with intervals as in `eavctl.evaluation.summary.summarize`,
    ``level``, ``over``, ``n_clusters``, ``chance`` and ``n_rows``; and with ``over_datasets``: the mean
    ``uar`` with its interval over data sets, ``level``, ``over`` and ``n_clusters``. Empty and None for a
    table of one data set, or with rows without one.
    """
    datasets = identify(keys, "dataset")
    names = named(datasets)
    if len(names) < 2 or None in datasets:
        return {"per_dataset": [], "over_datasets": None}
    entries, recalls = [], []
    for name in names:
        rows = np.flatnonzero(datasets == name)
        clusters = clusters_of(keys.iloc[rows].reset_index(drop=True), group)
        mine = clusters, truth[rows], predicted[rows], n_classes
        recalls.append(metrics.uar(variants(*counted(*mine, n_classes))))
        entries.append(
            {
                "dataset": name,
                **{score: interval.to_json() for score, interval in score_intervals(*mine).items()},
                "level": LEVEL,
                "over": clusters.over,
                "n_clusters": clusters.n,
                "chance": 1 / len(np.unique(truth[rows])),
                "n_rows": len(rows),
            }
        )
    return {"per_dataset": entries, "over_datasets": _mean(recalls)}


def _mean(recalls: Sequence[np.ndarray]) -> dict[str, Any]:
    """Mean UAR over data sets, whose interval is that of a jackknife which leaves one data set out at a time.

    Parameters
    ----------
    recalls : for each data set its UAR on `eavctl.evaluation.intervals.variants`.
    """
    n = len(recalls)
    values = np.array([each[0] for each in recalls])
    without = (values.sum() - values) / (n - 1)
    drawn = np.mean([each[-DRAWS:] for each in recalls], axis=0)
    clusters = Clusters(np.arange(n), n, "data sets", np.arange(n))
    interval = interval_of(np.concatenate([[values.mean()], without, drawn]), clusters)
    return {"uar": interval.to_json(), "level": LEVEL, "over": clusters.over, "n_clusters": n}

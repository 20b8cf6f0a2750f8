"""Means over rows of a value from 0 to 1, such as the overlap of two masks, with intervals over clusters.

As in `eavctl.evaluation.intervals`, whose jackknife and Student's t these are; the independent clips of the
lower bound are drawn by the Bayesian bootstrap [1]_.

References
----------
.. [1] Rubin: The Bayesian bootstrap, Annals of Statistics 9(1), 1981.
"""

from __future__ import annotations

import numpy as np

from eavctl.errors import DataError
from eavctl.evaluation.intervals import DRAWS, SEED, Clusters, Difference, Interval, exchange_p, interval_of


def mean_interval(clusters: Clusters, values: np.ndarray) -> Interval:
    """The mean of several models of one kind on the same rows, with its interval over clusters.

    Of several models, such as of several seeds, the interval is that of their kind.

    Parameters
    ----------
    clusters : of the rows.
    values : from 0 to 1, shape (n_rows,), or of each model, (n_models, n_rows).

    Raises
    ------
    DataError : there are no rows.
    """
    each = np.atleast_2d(values)
    stack = _variants(clusters, each.mean(axis=0), prior=np.array([0.0, 1.0]))
    return interval_of(stack, clusters, _repeats(clusters, each))


def mean_difference(clusters: Clusters, first: np.ndarray, second: np.ndarray) -> Difference:
    """Compare two kinds of models on the same rows: the mean of first minus second, its interval, a p value.

    The p value is that of `eavctl.evaluation.intervals.paired_difference`.

    Parameters
    ----------
    clusters : of the rows.
    first, second : values from 0 to 1, shape (n_rows,), or (n_models, n_rows), paired.

    Raises
    ------
    DataError : there are no rows.
    """
    each = np.atleast_2d(first) - np.atleast_2d(second)
    gains = each.mean(axis=0)
    stack = _variants(clusters, gains, prior=np.empty(0))
    interval = interval_of(stack, clusters, _repeats(clusters, each), lowest=-1.0)
    return Difference(interval, exchange_p(np.bincount(clusters.of_row, gains, clusters.n)))


def _repeats(clusters: Clusters, each: np.ndarray) -> np.ndarray | None:
    """Of each of several models the mean, and those without each cluster."""
    if len(np.unique(each, axis=0)) < 2:
        return None
    return np.stack([np.concatenate([[values.mean()], _left_out(clusters, values)]) for values in each])


def _variants(clusters: Clusters, values: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """The mean of all rows, those without each cluster, and `DRAWS` as if clips were independent.

    Parameters
    ----------
    prior : values of clips that are added to the draws, so that clips with equal values are not certain.
    """
    if not len(values):
        raise DataError("there are no rows to score")
    rows = np.bincount(clusters.clip_of_row)
    sums = np.bincount(clusters.clip_of_row, values)
    weights = np.random.default_rng(SEED).standard_exponential((DRAWS, len(rows) + len(prior)))
    own, added = weights[:, : len(rows)], weights[:, len(rows) :]
    usual = rows.mean()
    drawn = (own @ sums + usual * added @ prior) / (own @ rows + usual * added.sum(axis=1))
    return np.concatenate([[values.mean()], _left_out(clusters, values), drawn])


def _left_out(clusters: Clusters, values: np.ndarray) -> np.ndarray:
    """The means without each cluster, shape (n_clusters,); the mean itself where there is but one."""
    rows = np.bincount(clusters.of_row, minlength=clusters.n)
    sums = np.bincount(clusters.of_row, values, clusters.n)
    rest = rows.sum() - rows
    return np.asarray(np.where(rest > 0, (sums.sum() - sums) / np.maximum(rest, 1), values.mean()))

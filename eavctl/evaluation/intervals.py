"""Confidence intervals of scores over clusters, such as subjects, and the paired comparison of two models.

Clips of one person are not independent, so the jackknife leaves out whole clusters, one at a time. The
interval uses Student's t with n - 1 degrees of freedom on the arcsine scale, asin(sqrt(score)), on which the
variance depends least on the score and the ends stay within 0 to 1. Its standard error is the larger of two:
that of the cluster jackknife [1]_ [2]_, and that of the same number of independent clips, which is a lower
bound: if every cluster scores 1, the jackknife alone would give an interval of length 0. The latter is the
root mean square distance between the score and draws from its posterior.

The sum of squares of the jackknife is used without the customary factor (n - 1) / n: clusters differ in size
and scores of people are skewed near 1, so that with the factor the coverage is too low
(``python -m benchmarks.statistics`` measures the coverage).

References
----------
.. [1] Efron, Tibshirani: An introduction to the bootstrap, 1993, chapter 11.
.. [2] Cameron, Miller: A practitioner's guide to cluster-robust inference, Journal of Human Resources 50(2),
   2015, section VI: few clusters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from eavctl.errors import DataError
from eavctl.evaluation import metrics
from eavctl.evaluation.groups import identify, unit_numbers, units

LEVEL = 0.95
SIGNIFICANT = 0.05  # p values below it
FEWEST = 3  # clusters for an interval
DRAWS = 200  # from the posterior of independent clips
MOST_ENUMERATED = 12  # clusters for which all exchanges are enumerated
EXCHANGES = 4999  # random exchanges for more clusters
SEED = 0
ROUNDING = 1e-12

Metric = Callable[[np.ndarray], np.ndarray]
_BY_CLASS: Mapping[str, Metric] = {"uar": metrics.uar, "macro_f1": metrics.macro_f1}


@dataclass(frozen=True)
class Clusters:
    """The clusters of rows that the jackknife leaves out.

    Parameters
    ----------
    of_row : int, shape (n_rows,), the cluster of each row, from 0.
    n : number of clusters.
    over : name of the clusters in the plural, such as ``subjects`` or ``clips``.
    clip_of_row : int, shape (n_rows,), the clip of each row, from 0; segments of a clip are not independent.
    """

    of_row: np.ndarray
    n: int
    over: str
    clip_of_row: np.ndarray


@dataclass(frozen=True)
class Interval:
    """A score and its confidence interval.

    Parameters
    ----------
    value : score of all rows.
    low, high : ends of the interval at the level `LEVEL`; None for fewer than 3 clusters.
    """

    value: float
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, float | None]:
        """Dictionary of the three values, as stored in tables, models and reports."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Difference:
    """Difference between the UAR of two models on the same rows.

    Parameters
    ----------
    interval : difference, first minus second, and its interval.
    p_value : two-sided, under the hypothesis that the two models are exchangeable within each cluster.
    """

    interval: Interval
    p_value: float


def clusters_of(keys: pd.DataFrame, group: str | None = None) -> Clusters:
    """Cluster rows by subject, by the group of the protocol, or by clip.

    Parameters
    ----------
    keys : key table, one row per sample.
    group : the key that the protocol does not divide, such as ``session`` or ``block``.

    Returns
    -------
    Subjects, if every row has one and there are at least two; else, on the same condition, the groups; else
    clips (see `eavctl.evaluation.groups.units`).
    """
    for key in dict.fromkeys(("subject", group or "subject")):
        if key == "clip_id":  # overlapping clips of a recording are not independent; the units below are
            continue
        of_row, names = _numbered(identify(keys, key))
        if len(names) > 1 and (of_row >= 0).all():
            return Clusters(of_row, len(names), f"{key.removesuffix('_id')}s", unit_numbers(keys))
    clip_of_row, clips = _numbered(units(keys))
    return Clusters(clip_of_row, len(clips), "clips", clip_of_row)


def score_intervals(
    clusters: Clusters, truth: np.ndarray, predicted: np.ndarray, n_classes: int
) -> dict[str, Interval]:
    """UAR, macro F1 and accuracy, each with its interval.

    Parameters
    ----------
    clusters : clusters of the rows.
    truth, predicted : class indices, int, shape (n_rows,).
    n_classes : number of classes.

    Raises
    ------
    DataError : there are no rows.
    """
    counts, clips = counted(clusters, truth, predicted, n_classes, n_classes)
    stack = variants(counts, clips)
    values = {name: metric(stack) for name, metric in _BY_CLASS.items()}
    # Accuracy is the recall of all classes merged into one, which every cluster has; outcome 0 is correct.
    as_one = counted(clusters, np.zeros_like(truth), (predicted - truth) % n_classes, 1, n_classes)
    values["accuracy"] = metrics.accuracy(variants(*as_one))
    return {name: interval_of(each, clusters) for name, each in values.items()}


def paired_difference(
    clusters: Clusters, truth: np.ndarray, first: np.ndarray, second: np.ndarray, n_classes: int
) -> Difference:
    """Compare the UAR of two models on the same rows: the difference, its interval and a p value.

    The p value is that of a permutation test [1]_, which exchanges the predictions of the two models in
    subsets of the clusters: in all subsets for up to 12 clusters, which is exact, else in random subsets.

    Parameters
    ----------
    clusters : clusters of the rows.
    truth, first, second : class indices, int, shape (n_rows,): labels and predictions of the two models.
    n_classes : number of classes.

    Raises
    ------
    DataError : there are no rows.

    References
    ----------
    .. [1] Good: Permutation, parametric and bootstrap tests of hypotheses, 2005.
    """
    return repeated_difference(clusters, truth, first[None], second[None], n_classes)


def repeated_score(clusters: Clusters, truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> Interval:
    """The mean UAR of several models of one kind on the same rows, such as of several draws of labels.

    The interval is that of the kind, of which these models are a sample: see `interval_of`.

    Parameters
    ----------
    clusters : clusters of the rows.
    truth : class indices, int, shape (n_rows,).
    predicted : of each model, shape (n_models, n_rows).
    n_classes : number of classes.

    Raises
    ------
    DataError : there are no rows.
    """
    models = np.unique(predicted, axis=0)
    counts, clips = _counted_each(clusters, truth, predicted, n_classes, n_classes)
    stack = variants(counts.mean(axis=0), clips * len(models))
    if len(models) == 1:
        return interval_of(metrics.uar(stack), clusters)
    return interval_of(metrics.uar(stack), clusters, metrics.uar(_left_out_each(counts)))


def repeated_difference(
    clusters: Clusters, truth: np.ndarray, first: np.ndarray, second: np.ndarray, n_classes: int
) -> Difference:
    """As `paired_difference`, of two kinds of models: the mean over pairs of models.

    The p value takes the models as given, as it exchanges both kinds in clusters; the interval does not.

    Parameters
    ----------
    clusters : clusters of the rows.
    truth : class indices, int, shape (n_rows,).
    first, second : predictions, shape (n_pairs, n_rows).
    n_classes : number of classes.

    Raises
    ------
    DataError : there are no rows.
    """
    outcomes = 2 * (first == truth) + (second == truth)
    models = np.unique(outcomes, axis=0)
    each, clips = _counted_each(clusters, truth, outcomes, n_classes, 4)
    counts = each.mean(axis=0)
    values = _gain(variants(counts, clips * len(models), pseudo_rows=0.0))
    repeats = _gain(_left_out_each(each)) if len(models) > 1 else None
    support = counts.sum(axis=(0, 2))
    gains = counts[..., _FIRST_ONLY] - counts[..., _SECOND_ONLY]
    p_value = exchange_p((gains / np.maximum(support, 1)).sum(axis=1))
    return Difference(interval_of(values, clusters, repeats, lowest=-1.0), p_value)


def counted(
    clusters: Clusters, truth: np.ndarray, outcome: np.ndarray, n_classes: int, n_outcomes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Count rows by cluster, true class and outcome, such as the predicted class.

    Returns
    -------
    Counts, int, shape (n_clusters, n_classes, n_outcomes), and the number of clips of each true class, int,
    shape (n_classes,).

    Raises
    ------
    DataError : there are no rows.
    """
    if not len(truth):
        raise DataError("there are no labelled rows to score")
    shape = (clusters.n, n_classes, n_outcomes)
    cells = (clusters.of_row * n_classes + truth) * n_outcomes + outcome
    counts = np.bincount(cells, minlength=clusters.n * n_classes * n_outcomes).reshape(shape)
    has = np.zeros((int(clusters.clip_of_row.max(initial=-1)) + 1, n_classes), np.int64)
    has[clusters.clip_of_row, truth] = 1  # clips of each class
    return counts, has.sum(axis=0)


def _counted_each(
    clusters: Clusters, truth: np.ndarray, outcomes: np.ndarray, n_classes: int, n_outcomes: int
) -> tuple[np.ndarray, np.ndarray]:
    """As `counted`, of each of several outcomes (n_models, n_rows); the counts are stacked."""
    found = [counted(clusters, truth, each, n_classes, n_outcomes) for each in outcomes]
    return np.stack([counts for counts, _ in found]), found[0][1]


def variants(counts: np.ndarray, clips: np.ndarray, pseudo_rows: float = 1.0) -> np.ndarray:
    """Counts for the score itself, for the jackknife, and for the posterior of independent clips.

    A class that occurs in only one cluster keeps its rows when that cluster is left out: a mean over fewer
    classes would be a different score, and nothing is known about how clusters differ in this class.

    Parameters
    ----------
    counts : shape (n_clusters, n_classes, n_outcomes).
    clips : number of clips of each class, shape (n_classes,).
    pseudo_rows : weight of the prior: this many correct and this many wrong rows, spread over the classes.
        With 1, the interval of n clips that are all correct is close to the exact binomial one, 3.7 / n long.

    Returns
    -------
    Shape (1 + n_clusters + `DRAWS`, n_classes, n_outcomes): the sum over all clusters; the sums without each
    cluster; and draws from the Dirichlet posterior of each class's outcomes, as if clips were independent.
    """
    total = counts.sum(axis=0)
    support = total.sum(axis=1, keepdims=True)
    rest = _left_out(counts)
    seen = total / np.maximum(support, 1) * clips[:, None] + pseudo_rows * _one_right_one_wrong(*total.shape)
    drawn = np.random.default_rng(SEED).standard_gamma(seen, size=(DRAWS, *total.shape))
    mass = drawn.sum(axis=2, keepdims=True)
    return np.concatenate([total[None], rest, drawn / np.where(mass == 0, 1, mass) * support])


def _left_out(counts: np.ndarray) -> np.ndarray:
    """The sums without each cluster, of the shape of the counts (n_clusters, n_classes, n_outcomes)."""
    total = counts.sum(axis=0)
    rest = total - counts
    return np.asarray(np.where(rest.sum(axis=2, keepdims=True) == 0, total, rest))


def _left_out_each(counts: np.ndarray) -> np.ndarray:
    """Of several models, the sum over all clusters, then those without each, one row a model."""
    return np.stack([np.concatenate([each.sum(axis=0)[None], _left_out(each)]) for each in counts])


def interval_of(
    values: np.ndarray, clusters: Clusters, repeats: np.ndarray | None = None, *, lowest: float = 0.0
) -> Interval:
    """Interval of a score, from its values on `variants`.

    Where the score is a mean over models, such as of draws of labels, the variance of that mean over models
    is added. The differences between models on these rows are in part chance of the rows, which the jackknife
    over clusters has counted already: that part, the interaction of models and clusters, is taken off, as in
    an analysis of variance with two crossed factors [1]_. The degrees of freedom are Satterthwaite's [2]_.

    Parameters
    ----------
    values : shape (1 + n_clusters + `DRAWS`,).
    clusters : clusters of the rows.
    repeats : the score of each model, and its scores without each cluster, shape (n_models, 1 + n_clusters);
        None for one model.
    lowest : smallest possible value of the score; the largest is 1.

    References
    ----------
    .. [1] Searle, Casella, McCulloch: Variance components, 1992, chapter 4.
    .. [2] Satterthwaite: An approximate distribution of estimates of variance components, Biometrics Bulletin
       2(6), 1946.
    """
    value = float(values[0])
    if clusters.n < FEWEST:
        return Interval(value, None, None)
    from scipy.special import stdtrit

    def angles_of(scores: np.ndarray) -> np.ndarray:
        return np.arcsin(np.sqrt(np.clip((scores - lowest) / (1 - lowest), 0, 1)))

    angles = angles_of(values)
    left_out, drawn = np.split((angles[1:] - angles[0]) ** 2, [clusters.n])
    variance, freedom = float(max(left_out.sum(), drawn.mean())), float(clusters.n - 1)
    if repeats is not None and (added := _variance_of_mean(angles_of(repeats))):
        freedom = (variance + added) ** 2 / (variance**2 / freedom + added**2 / (len(repeats) - 1))
        variance += added
    error = float(np.sqrt(variance))
    if error < ROUNDING:  # two models that never differ
        return Interval(value, value, value)
    reach = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error
    ends = np.sin(np.clip([angles[0] - reach, angles[0] + reach], 0, np.pi / 2)) ** 2
    low, high = (float(end) for end in lowest + (1 - lowest) * ends)
    return Interval(value, low, high)


def _variance_of_mean(scores: np.ndarray) -> float:
    """Variance of the mean over models that is not due to the clusters; 0 where these explain all of it.

    Parameters
    ----------
    scores : of each model, of all clusters and without each, shape (n_models, 1 + n_clusters).
    """
    n_models = len(scores)
    between = float(scores[:, 0].var(ddof=1))
    influence = scores[:, 1:] - scores[:, :1]
    interaction = float(influence.var(axis=0, ddof=1).sum())
    return max(between - interaction, 0.0) / n_models


def exchange_p(gains: np.ndarray) -> float:
    """Two-sided p value: the share of exchanges whose absolute sum of gains is at least the observed one.

    Parameters
    ----------
    gains : contribution of each cluster to the difference of two models, shape (n_clusters,); exchanging the
        models in a cluster changes its sign.
    """
    sizes = np.abs(gains[gains != 0])
    observed = abs(float(gains.sum())) - ROUNDING
    if len(sizes) <= MOST_ENUMERATED:
        sums = np.zeros(1)
        for size in sizes:
            sums = np.concatenate([sums + size, sums - size])
        return float((np.abs(sums) >= observed).mean())
    # Clusters with equal gains are interchangeable: thousands of clips need only a few binomial draws.
    size, often = np.unique(sizes.round(12), return_counts=True)
    exchanged = np.random.default_rng(SEED).binomial(often, 0.5, size=(EXCHANGES, len(often)))
    extreme = int((np.abs((often - 2 * exchanged) @ size) >= observed).sum())
    return (1 + extreme) / (1 + EXCHANGES)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct the p values of several tests so that the family-wise error rate keeps the level.

    References
    ----------
    .. [1] Holm: A simple sequentially rejective multiple test procedure, Scandinavian Journal of
       Statistics 6(2), 1979.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return [float(each) for each in corrected]


_SECOND_ONLY, _FIRST_ONLY = 1, 2  # outcomes of a pair: which of the two models is correct


def _gain(counts: np.ndarray) -> np.ndarray:
    """UAR of the first minus that of the second model, from counts of outcomes, (..., n_classes, 4)."""
    support = counts.sum(axis=-1)
    gains = (counts[..., _FIRST_ONLY] - counts[..., _SECOND_ONLY]) / np.where(support == 0, 1, support)
    return np.asarray(gains.sum(axis=-1) / (support > 0).sum(axis=-1))


def _one_right_one_wrong(n_classes: int, n_outcomes: int) -> np.ndarray:
    """One correct row (outcome i of class i) and one wrong row, spread over all classes."""
    right = np.eye(n_classes, n_outcomes)
    return np.where(right, right, 1 / max(n_outcomes - 1, 1)) / n_classes


def _numbered(identities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The index of each row's identity, from 0 in the order of the names, -1 of None, and the names."""
    of_row, names = pd.factorize(identities, sort=True)
    return of_row, names

"""How sure a score is: intervals over clusters, such as subjects, and the paired comparison of two models.

Clips of one person are not independent, so what is left out, one at a time, is a whole cluster. The interval
is that of Student's t with n - 1 degrees of freedom on the arcsine scale, asin(sqrt(score)), where the spread
of scores depends least on their level and the ends cannot leave 0 to 1. Its standard error is the larger of
two: that of the cluster jackknife [1]_ [2]_, and that of as many independent clips, below which it cannot be:
where everybody happens to score 1, the jackknife alone would give an interval of length 0. The latter is the
root mean square distance between the score and draws from its posterior.

The jackknife's sum of squares is taken whole, without the customary factor (n - 1) / n: clusters differ in
size and people's skills are skewed near the ceiling, and with the factor the intervals cover too seldom
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
from eavctl.evaluation.groups import identify, named, units

LEVEL = 0.95
SIGNIFICANT = 0.05  # a p value below it
FEWEST = 3  # clusters that give an interval
DRAWS = 200  # of independent clips
MOST_ENUMERATED = 12  # clusters whose exchanges are all gone through
EXCHANGES = 4999  # drawn where there are more
SEED = 0
ROUNDING = 1e-12

Metric = Callable[[np.ndarray], np.ndarray]
_BY_CLASS: Mapping[str, Metric] = {"uar": metrics.uar, "macro_f1": metrics.macro_f1}


@dataclass(frozen=True)
class Clusters:
    """What is left out as a whole.

    Parameters
    ----------
    of_row : int, shape (n_rows,), the cluster of each row, from 0.
    n : number of clusters.
    over : what they are, in the plural, such as ``subjects`` or ``clips``.
    clip_of_row : int, shape (n_rows,), the clip of each row, from 0; segments of a clip are not independent.
    """

    of_row: np.ndarray
    n: int
    over: str
    clip_of_row: np.ndarray


@dataclass(frozen=True)
class Interval:
    """A score and how far it may be off.

    Parameters
    ----------
    value : the score of all rows.
    low, high : ends of the interval of the level `LEVEL`; None where there are fewer than 3 clusters.
    """

    value: float
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, float | None]:
        """The three as tables, models and reports keep them."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Difference:
    """One model's UAR less another's, on the same rows.

    Parameters
    ----------
    interval : of the difference, first less second.
    p_value : two-sided, of the difference if the two models were exchangeable within each cluster.
    """

    interval: Interval
    p_value: float


def clusters_of(keys: pd.DataFrame, group: str | None = None) -> Clusters:
    """Cluster rows by subject, by what the protocol keeps apart, or by clip.

    Parameters
    ----------
    keys : one row a sample.
    group : the key that the protocol keeps apart, such as ``session`` or ``block``.

    Returns
    -------
    Subjects where every row names one and there are two or more; else the protocol's groups, on the same
    condition; else clips (see `eavctl.evaluation.groups.units`).
    """
    n_clips, clip_of_row = _numbered(units(keys))
    for key in dict.fromkeys(("subject", group or "subject")):
        if key == "clip_id":  # clips that overlap in a recording are no more independent than one
            continue
        groups = identify(keys, key)
        if len(named(groups)) > 1 and all(each is not None for each in groups):
            n, of_row = _numbered(groups)
            return Clusters(of_row, n, f"{key.removesuffix('_id')}s", clip_of_row)
    return Clusters(clip_of_row, n_clips, "clips", clip_of_row)


def score_intervals(
    clusters: Clusters, truth: np.ndarray, predicted: np.ndarray, n_classes: int
) -> dict[str, Interval]:
    """UAR, macro F1 and accuracy with their intervals.

    Parameters
    ----------
    truth, predicted : class indices, int, shape (n_rows,).

    Raises
    ------
    DataError : there are no rows.
    """
    counts, clips = counted(clusters, truth, predicted, n_classes, n_classes)
    stack = variants(counts, clips)
    values = {name: metric(stack) for name, metric in _BY_CLASS.items()}
    # Accuracy is the recall of all classes taken as one, which everybody has; outcome 0 is right.
    as_one = counted(clusters, np.zeros_like(truth), (predicted - truth) % n_classes, 1, n_classes)
    values["accuracy"] = metrics.accuracy(variants(*as_one))
    return {name: interval_of(each, clusters) for name, each in values.items()}


def paired_difference(
    clusters: Clusters, truth: np.ndarray, first: np.ndarray, second: np.ndarray, n_classes: int
) -> Difference:
    """Compare the UAR of two models on the same rows: the difference, its interval and a p value.

    Parameters
    ----------
    truth, first, second : class indices, int, shape (n_rows,): the labels and the two models' predictions.

    Returns
    -------
    The p value comes of exchanging the two models' predictions in some of the clusters: in every set of
    them where there are few, and then it is exact; else in sets drawn at random [1]_.

    Raises
    ------
    DataError : there are no rows.

    References
    ----------
    .. [1] Good: Permutation, parametric and bootstrap tests of hypotheses, 2005.
    """
    outcome = 2 * (first == truth) + (second == truth)
    counts, clips = counted(clusters, truth, outcome, n_classes, 4)
    interval = interval_of(_gain(variants(counts, clips, pseudo_rows=0.0)), clusters, lowest=-1.0)
    support = counts.sum(axis=(0, 2))
    gains = counts[..., _FIRST_ONLY] - counts[..., _SECOND_ONLY]
    return Difference(interval, exchange_p((gains / np.maximum(support, 1)).sum(axis=1)))


def counted(
    clusters: Clusters, truth: np.ndarray, outcome: np.ndarray, n_classes: int, n_outcomes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Count rows by cluster, true class and outcome, such as the predicted class.

    Returns
    -------
    counts, int, shape (n_clusters, n_classes, n_outcomes); and the number of clips of each true class,
    int, shape (n_classes,).

    Raises
    ------
    DataError : there are no rows.
    """
    if not len(truth):
        raise DataError("there are no labelled rows to score")
    shape = (clusters.n, n_classes, n_outcomes)
    cells = (clusters.of_row * n_classes + truth) * n_outcomes + outcome
    counts = np.bincount(cells, minlength=clusters.n * n_classes * n_outcomes).reshape(shape)
    clips = np.unique(clusters.clip_of_row * n_classes + truth) % n_classes
    return counts, np.bincount(clips, minlength=n_classes)


def variants(counts: np.ndarray, clips: np.ndarray, pseudo_rows: float = 1.0) -> np.ndarray:
    """What a score is computed on to learn how far it may be off.

    A class that only one cluster has keeps its rows when that cluster is left out: of such a class nothing
    is known about how clusters differ, and a mean over fewer classes would be another score.

    Parameters
    ----------
    counts : shape (n_clusters, n_classes, n_outcomes).
    clips : clips of each class, shape (n_classes,).
    pseudo_rows : how many rows that are right, and as many that are wrong, spread over the classes, come
        before those observed. One of each keeps what n clips that are all right leave open near the exact
        binomial interval, 3.7 / n.

    Returns
    -------
    Shape (1 + n_clusters + `DRAWS`, n_classes, n_outcomes): the sum over all clusters; over all but each;
    and sums drawn from the posterior of each class's outcomes (Dirichlet) given as many independent clips.
    """
    total = counts.sum(axis=0)
    support = total.sum(axis=1, keepdims=True)
    rest = total - counts
    rest = np.where(rest.sum(axis=2, keepdims=True) == 0, total, rest)
    seen = total / np.maximum(support, 1) * clips[:, None] + pseudo_rows * _one_right_one_wrong(*total.shape)
    drawn = np.random.default_rng(SEED).standard_gamma(seen, size=(DRAWS, *total.shape))
    mass = drawn.sum(axis=2, keepdims=True)
    return np.concatenate([total[None], rest, drawn / np.where(mass == 0, 1, mass) * support])


def interval_of(values: np.ndarray, clusters: Clusters, lowest: float = 0.0) -> Interval:
    """The interval of a score, from its values on `variants`.

    Parameters
    ----------
    values : shape (1 + n_clusters + `DRAWS`,).
    lowest : the least value that the score can take; 1 is the greatest.
    """
    value = float(values[0])
    if clusters.n < FEWEST:
        return Interval(value, None, None)
    from scipy.special import stdtrit

    angles = np.arcsin(np.sqrt(np.clip((values - lowest) / (1 - lowest), 0, 1)))
    left_out, drawn = np.split((angles[1:] - angles[0]) ** 2, [clusters.n])
    error = float(np.sqrt(max(left_out.sum(), drawn.mean())))
    if error < ROUNDING:  # two models that never differ
        return Interval(value, value, value)
    reach = float(stdtrit(clusters.n - 1, (1 + LEVEL) / 2)) * error
    ends = np.sin(np.clip([angles[0] - reach, angles[0] + reach], 0, np.pi / 2)) ** 2
    low, high = (float(end) for end in lowest + (1 - lowest) * ends)
    return Interval(value, low, high)


def exchange_p(gains: np.ndarray) -> float:
    """The share of exchanges that make the sum of gains as large as it is, or larger, in either direction.

    Parameters
    ----------
    gains : what each cluster adds to the difference of two models, shape (n_clusters,); exchanging the
        models in a cluster changes the sign.
    """
    sizes = np.abs(gains[gains != 0])
    observed = abs(float(gains.sum())) - ROUNDING
    if len(sizes) <= MOST_ENUMERATED:
        sums = np.zeros(1)
        for size in sizes:
            sums = np.concatenate([sums + size, sums - size])
        return float((np.abs(sums) >= observed).mean())
    # Clusters of the same size are alike, so thousands of clips need a few binomial draws an exchange.
    size, often = np.unique(sizes.round(12), return_counts=True)
    exchanged = np.random.default_rng(SEED).binomial(often, 0.5, size=(EXCHANGES, len(often)))
    extreme = int((np.abs((often - 2 * exchanged) @ size) >= observed).sum())
    return (1 + extreme) / (1 + EXCHANGES)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct the p values of several tests: the chance that any of them rejects wrongly keeps the level.

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


_SECOND_ONLY, _FIRST_ONLY = 1, 2  # outcomes of a pair: which of the two models is right


def _gain(counts: np.ndarray) -> np.ndarray:
    """UAR of the first less that of the second, from counts of pairs' outcomes (..., n_classes, 4)."""
    support = counts.sum(axis=-1)
    gains = (counts[..., _FIRST_ONLY] - counts[..., _SECOND_ONLY]) / np.where(support == 0, 1, support)
    return np.asarray(gains.sum(axis=-1) / (support > 0).sum(axis=-1))


def _one_right_one_wrong(n_classes: int, n_outcomes: int) -> np.ndarray:
    """A row that is right (outcome i of class i) and one that is wrong, spread over all classes."""
    right = np.eye(n_classes, n_outcomes)
    return np.where(right, right, 1 / max(n_outcomes - 1, 1)) / n_classes


def _numbered(identities: np.ndarray) -> tuple[int, np.ndarray]:
    """How many there are, and the number of each row's, from 0 in the order of the names."""
    names, of_row = np.unique(identities.astype(str), return_inverse=True)
    return len(names), of_row

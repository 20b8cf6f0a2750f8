"""Findings on what tells the class besides the emotion: file type, sampling rate, channels and length.

A model learns such a shortcut, and fails where new recordings lack it. Each is tested by permuting labels.
References: Cramér, Mathematical methods of statistics, 1946 (V); Tomczak and Tomczak, The need to report
effect size estimates revisited, Trends in Sport Sciences 1(21), 2014 (epsilon squared of Kruskal and Wallis'
H); Phipson and Smyth, Permutation p-values should never be zero, Statistical Applications in Genetics and
Molecular Biology 9, 2010.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from eavctl.evaluation.findings.codes import Finding

STRONG = 0.5  # of both effect sizes, from 0 to 1: Cohen's "large", and above what emotions do to lengths
MOST_P = 0.01
N_PERMUTATIONS = 999
SEED = 0


class Association(NamedTuple):
    """How much a nuisance tells of the class: an effect size from 0 to 1, and the p-value."""

    effect: float
    p: float

    @property
    def is_strong(self) -> bool:
        """Whether the effect is large and not due to chance."""
        return self.effect >= STRONG and self.p <= MOST_P


def of_kinds(labels: Sequence[str], kinds: Sequence[str]) -> Association:
    """Cramér's V of labels and kinds, such as file types, with a permutation test.

    ``V = sqrt(chi2 / (n * (min(n_classes, n_kinds) - 1)))``; 0 where there is one class or one kind.

    Parameters
    ----------
    labels, kinds : of each recording, of equal length.
    """
    y, x = (np.unique(np.array(each, dtype=str), return_inverse=True)[1] for each in (labels, kinds))
    n_classes, n_kinds = int(y.max(initial=-1)) + 1, int(x.max(initial=-1)) + 1
    smaller = min(n_classes, n_kinds) - 1
    if smaller < 1:
        return Association(0.0, 1.0)
    expected = np.outer(np.bincount(y), np.bincount(x)) / len(y)

    def effect(y: np.ndarray) -> float:
        table = np.bincount(y * n_kinds + x, minlength=n_classes * n_kinds).reshape(n_classes, n_kinds)
        return float(np.sqrt(((table - expected) ** 2 / expected).sum() / (len(y) * smaller)))

    return _tested(effect, y)


def of_numbers(labels: Sequence[str], numbers: Sequence[float]) -> Association:
    """Epsilon squared of the Kruskal-Wallis test of numbers by labels, with a permutation test.

    ``epsilon2 = sum of squares of ranks between classes / that of all ranks``; 0 where there is one class or
    one number.

    Parameters
    ----------
    labels, numbers : of each recording, of equal length.
    """
    y = np.unique(np.array(labels, dtype=str), return_inverse=True)[1]
    _, at, n_equal = np.unique(np.round(np.array(numbers, float), 3), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(n_equal) - (n_equal - 1) / 2)[at] - (
        len(at) + 1
    ) / 2  # equal numbers share a mean rank
    total = float((ranks**2).sum())
    if not total or int(y.max(initial=0)) < 1:
        return Association(0.0, 1.0)
    sizes = np.bincount(y)

    def effect(y: np.ndarray) -> float:
        return float((np.bincount(y, ranks) ** 2 / sizes).sum() / total)

    return _tested(effect, y)


def _tested(effect: Callable[[np.ndarray], float], y: np.ndarray) -> Association:
    """The effect, and the share of permutations with no smaller one; only strong effects are tested."""
    found = effect(y)
    if found < STRONG:
        return Association(found, 1.0)
    rng = np.random.default_rng(SEED)
    as_large = sum(effect(rng.permutation(y)) >= found - 1e-12 for _ in range(N_PERMUTATIONS))
    return Association(found, (as_large + 1) / (N_PERMUTATIONS + 1))


class Nuisances(NamedTuple):
    """Of labelled clips, in parallel: what could tell the class; numbers are NaN, kinds "" where unknown."""

    labels: Sequence[str]
    endings: Sequence[str]
    rates: Sequence[str]
    channels: Sequence[str]
    seconds: Sequence[float]


def shortcut_findings(modality: str, found: Nuisances) -> Iterator[Finding]:
    """Findings on what tells the class of the recordings of one modality."""
    labels = np.array(found.labels, dtype=object)
    for code, what, kinds in (
        ("EAV045", "the file type", found.endings),
        ("EAV046", "the sampling rate", found.rates),
        ("EAV047", "the channels", found.channels),
    ):
        known = np.array([bool(kind) for kind in kinds], bool)
        values = np.array(kinds, dtype=object)[known]
        told = of_kinds(labels[known].tolist(), values.tolist())
        if told.is_strong:
            size = f"Cramér's V {told.effect:.2f}, p = {told.p:.3f}"
            text = f"{what} of {modality} tells the class ({size}): {_example(labels[known], values)}"
            yield Finding(code, text, tuple(sorted(set(values))))
    seconds = np.array(found.seconds, float)
    known = np.isfinite(seconds)
    told = of_numbers(labels[known].tolist(), seconds[known].tolist())
    if told.is_strong:
        names = sorted(set(labels[known]))
        medians = {name: float(np.median(seconds[known][labels[known] == name])) for name in names}
        low, high = min(medians, key=medians.__getitem__), max(medians, key=medians.__getitem__)
        size = f"epsilon squared {told.effect:.2f}, p = {told.p:.3f}"
        text = (
            f"the length of {modality} tells the class ({size}): "
            f"median {medians[low]:.1f} s of {low!r}, {medians[high]:.1f} s of {high!r}"
        )
        yield Finding("EAV048", text, tuple(names))


def _example(labels: np.ndarray, kinds: np.ndarray) -> str:
    """The class that has most of one kind compared with the other classes, in words."""
    best = max(
        ((name, kind) for name in sorted(set(labels)) for kind in sorted(set(kinds))),
        key=lambda pair: (
            np.mean(kinds[labels == pair[0]] == pair[1]) - np.mean(kinds[labels != pair[0]] == pair[1])
        ),
    )
    name, kind = best
    mine, others = (np.mean(kinds[mask] == kind) for mask in (labels == name, labels != name))
    return f"{mine:.0%} of {name!r} are {kind}, {others:.0%} of the other classes"

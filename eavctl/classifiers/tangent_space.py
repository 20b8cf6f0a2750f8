"""The tangent space of covariance matrices, in which linear classifiers work."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from eavctl.classifiers.columns import chunks
from eavctl.classifiers.inner_folds import Fold, InnerRows
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.step import Projection, Step
from eavctl.errors import TrainingWarning
from eavctl.features.covariances import geometric_mean, log, matrices_of, n_values, power

MOST_ROWS = 1000  # whose mean is the reference: more would change it by less than it matters
TOLERANCE = 1e-2  # of the reference, to which vectors are nearly indifferent, in place of 1e-9
PENALTY = 1e-3  # of the fits by which bands are weighed, over the total variance of a band


@dataclass(frozen=True)
class TangentStep(Step):
    """Covariances to the tangent space at a reference, band by band.

    A matrix C becomes ``log(M^-1/2 C M^-1/2)`` at the reference M, as a vector whose length is the Riemannian
    distance of C from M [1]_.

    Parameters
    ----------
    whitening : ``M^-1/2`` of each band, float64, shape (n_bands, n_chans, n_chans).
    scale : what the vectors of each band are multiplied by, shape (n_bands,).

    References
    ----------
    .. [1] Barachant, Bonnet, Congedo, Jutten: Multiclass brain-computer interface classification by
       Riemannian geometry, IEEE Transactions on Biomedical Engineering 59, 2012.
    """

    whitening: np.ndarray
    scale: np.ndarray
    name: ClassVar[str] = "tangent"

    @property
    def n_columns(self) -> int:
        """Number of columns that it takes, and gives."""
        n_bands, n_chans, _ = self.whitening.shape
        return int(n_bands * n_values(n_chans))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Rows of covariances to rows of as many columns, float64 (n_rows, n_columns)."""
        found = np.empty((len(x), self.n_columns))
        for part in chunks(len(x)):
            vectors = tangent_vectors(matrices_of(x[part], len(self.scale)), self.whitening)
            found[part] = (vectors * self.scale[:, None]).reshape(len(vectors), -1)
        return found

    @property
    def fits(self) -> bool:
        """Whether there are a square matrix and a number for each band."""
        n_bands, n_chans, _ = self.whitening.shape
        return self.whitening.shape == (n_bands, n_chans, n_chans) and self.scale.shape == (n_bands,)


class TangentSpace(Projection):
    """The tangent space of training rows, and steps fitted on all or some of them.

    The reference of a band is the geometric mean of its matrices over all training rows, which needs no
    labels. The bands are scaled by the training rows that a step is fitted on: in proportion to ``2 AUC - 1``
    of the band alone, on inner folds, where that is above 0, and as if the bands varied alike. So bands
    without information on the classes do not outweigh the others.

    Parameters
    ----------
    rows : training rows, whose features are covariances.
    n_bands : matrices in a row.
    seed : of the inner folds.
    """

    gives: ClassVar[type[Step]] = TangentStep
    one_scale: ClassVar[bool] = True

    def __init__(self, rows: Rows, n_bands: int, seed: int = 42) -> None:
        super().__init__(rows, n_bands, seed)
        own = rows.inner.own
        sample = own[np.linspace(0, len(own) - 1, min(len(own), MOST_ROWS)).round().astype(int)]
        reference = geometric_mean(matrices_of(rows.table[sample], n_bands), TOLERANCE)
        self._plain = TangentStep(power(reference, -0.5), np.ones(n_bands))
        self._x = self._plain(rows.array).astype(np.float32)

    def step(self, train: np.ndarray) -> TangentStep:
        """The step fitted on some of the rows, by their numbers."""
        return TangentStep(self._plain.whitening, self._scale(train))

    def table(self, train: np.ndarray) -> np.ndarray:
        """All rows, projected by the step fitted on some of them, float32 (n_rows, n_columns)."""
        scaled = self._bands * self._scale(train).astype(np.float32)[:, None]
        return np.asarray(scaled.reshape(self._x.shape))

    @property
    def _bands(self) -> np.ndarray:
        return self._x.reshape(len(self._x), self._n_bands, -1)

    def _scale(self, train: np.ndarray) -> np.ndarray:
        own = np.intersect1d(train, self._rows.inner.own)
        variance = self._bands[own].var(axis=0, dtype=np.float64).sum(axis=1)
        deviation = np.sqrt(np.where(variance > 0, variance, 1))
        if self._n_bands == 1:
            return np.asarray(1 / deviation)
        part = self._rows.taking(train)
        folds = _folds(part.inner, self._seed)
        worth = [_worth(self._bands[train, band], part.y, folds) for band in range(self._n_bands)]
        weight = np.array(worth) if max(worth) > 0 else np.ones(self._n_bands)
        return np.asarray(weight / np.sqrt(np.sum(weight**2)) / deviation)


def tangent_vectors(matrices: np.ndarray, whitening: np.ndarray) -> np.ndarray:
    """Logarithms of whitened matrices, as vectors of the same length.

    Parameters
    ----------
    matrices : positive definite, shape (n_rows, n_bands, n_chans, n_chans).
    whitening : symmetric, shape (n_bands, n_chans, n_chans).

    Returns
    -------
    float64, shape (n_rows, n_bands, n_chans * (n_chans + 1) / 2): the upper triangle, in which the values
    beside the diagonal, which stand for two, are multiplied by the root of 2.
    """
    logarithms = log(whitening @ matrices @ whitening)
    rows, columns = np.triu_indices(matrices.shape[-1])
    return np.asarray(logarithms[..., rows, columns] * np.where(rows == columns, 1, np.sqrt(2)))


def _folds(inner: InnerRows, seed: int) -> list[Fold]:
    """Inner folds; none where a class has a single row. What is odd of them, the classifier says."""
    if np.bincount(inner.y[inner.own]).min(initial=2, where=np.bincount(inner.y[inner.own]) > 0) < 2:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        return inner.folds(seed)


def _worth(x: np.ndarray, y: np.ndarray, folds: Sequence[Fold]) -> float:
    """``2 AUC - 1`` of ridge regressions on rows that they were not fitted on, 0 where it is below.

    The AUC is the mean over classes, each against the others.
    """
    if not folds:
        return 0.0
    targets = np.eye(int(y.max()) + 1)[y]
    tested = np.concatenate([test for _, test in folds])
    scores = np.concatenate([_ridge(x[train], targets[train], x[test]) for train, test in folds])
    return max(2 * _auc(scores, targets[tested]) - 1, 0.0)


def _ridge(x: np.ndarray, targets: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """Scores of tested rows by a ridge regression in which classes weigh the same."""
    weights = (targets / np.maximum(targets.sum(axis=0), 1)).sum(axis=1) / np.count_nonzero(
        targets.any(axis=0)
    )
    mean, centre = weights @ x, weights @ targets
    root = np.sqrt(weights)[:, None]
    rows = (x - mean) * root
    kernel = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
    kernel[np.diag_indices_from(kernel)] += PENALTY * np.trace(kernel) or 1.0  # nothing may vary
    goal = (targets - centre) * root
    if len(rows) <= rows.shape[1]:
        coef = rows.T @ np.linalg.solve(kernel, goal)
    else:
        coef = np.linalg.solve(kernel, rows.T @ goal)
    return np.asarray((tested - mean) @ coef)


def _auc(scores: np.ndarray, targets: np.ndarray) -> float:
    """Mean over classes of the share of pairs of rows, one of the class and one not, in the right order."""
    from scipy.stats import rankdata

    n_own = targets.sum(axis=0)
    n_others = len(targets) - n_own
    there = (n_own > 0) & (n_others > 0)
    sums = (rankdata(scores, axis=0) * targets).sum(axis=0) - n_own * (n_own + 1) / 2
    return float(np.mean(sums[there] / (n_own * n_others)[there])) if there.any() else 0.5

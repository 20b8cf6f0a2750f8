"""Common spatial patterns of covariance matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from eavctl.classifiers.columns import chunks
from eavctl.classifiers.step import Projection, Step
from eavctl.features.covariances import matrices_of, n_values, power

N_FILTERS = 4  # of each band, and of each class where there are more than two


@dataclass(frozen=True)
class CspStep(Step):
    """Covariances to the logarithm of the power of spatially filtered signals, band by band.

    Parameters
    ----------
    filters : float64, shape (n_bands, n_filters, n_chans).
    """

    filters: np.ndarray
    name: ClassVar[str] = "csp"

    @property
    def n_columns(self) -> int:
        """Number of columns that it takes."""
        n_bands, _, n_chans = self.filters.shape
        return int(n_bands * n_values(n_chans))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Rows of covariances, in microvolt^2, to log powers, float64 (n_rows, n_bands * n_filters)."""
        n_bands, n_filters, _ = self.filters.shape
        found = np.empty((len(x), n_bands * n_filters))
        for part in chunks(len(x)):
            matrices = matrices_of(x[part], n_bands)
            powers = np.einsum("bfi,nbij,bfj->nbf", self.filters, matrices, self.filters, optimize=True)
            found[part] = np.log(np.maximum(powers, np.finfo(np.float64).tiny)).reshape(len(powers), -1)
        return found

    @property
    def fits(self) -> bool:
        """Whether its array has three axes."""
        return self.filters.ndim == 3


class CommonSpatialPatterns(Projection):
    """Steps of common spatial patterns, fitted on all or some of the training rows.

    With the mean covariances A of a class and B of the others, the filters are the eigenvectors of A relative
    to A + B whose eigenvalues are farthest from one half [1]_. Of two classes, both have the same filters.

    Parameters
    ----------
    rows : training rows, whose features are covariances; the means are weighted as the rows are.
    n_bands : matrices in a row.
    seed : of inner folds, of which this step needs none.

    References
    ----------
    .. [1] Blankertz, Tomioka, Lemm, Kawanabe, Mueller: Optimizing spatial filters for robust EEG single-trial
       analysis, IEEE Signal Processing Magazine 25, 2008.
    """

    gives: ClassVar[type[Step]] = CspStep
    one_scale: ClassVar[bool] = False

    def step(self, train: np.ndarray) -> CspStep:
        """The step fitted on some of the rows, by their numbers."""
        y = self._rows.y[train]
        means = np.stack([matrices_of(self._mean(train[y == k]), self._n_bands) for k in np.unique(y)])
        pairs = [(means[0], means[1])] if len(means) == 2 else _one_against_others(means)
        bands = [
            np.concatenate([_filters(a[band], b[band]) for a, b in pairs]) for band in range(self._n_bands)
        ]
        return CspStep(np.stack(bands))

    def _mean(self, rows: np.ndarray) -> np.ndarray:
        """Mean of some rows by their weights, float64, shape (n_columns,)."""
        given = self._rows.fit_weights
        weights = np.ones(len(rows)) if given is None else given[rows]
        x = self._rows.table[rows]
        return np.asarray(np.einsum("i,ij->j", weights / weights.sum(), x, dtype=np.float64))

    def table(self, train: np.ndarray) -> np.ndarray:
        """All rows, projected by the step fitted on some of them, float64 (n_rows, n_columns)."""
        return self.step(train)(self._rows.array)


def _one_against_others(means: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The mean covariances of each class, and the mean of the others'."""
    total = means.sum(axis=0)
    return [(mean, (total - mean) / (len(means) - 1)) for mean in means]


def _filters(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Filters, (n_filters, n_chans), whose powers under two covariances differ most; their sum is 1."""
    from scipy.linalg import eigh

    total = power(a + b, 1)  # positive definite
    a = a + (total - a - b) / 2  # so that the classes have equal shares of a direction without power
    values, vectors = eigh(a, total)
    order = np.argsort(-np.abs(values - 0.5), kind="stable")[:N_FILTERS]
    return np.asarray(vectors[:, order].T)

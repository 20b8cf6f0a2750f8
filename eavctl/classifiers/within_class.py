"""Standardisation of features, and within-class covariance normalisation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

N_DIRECTIONS = 64
SHRINKAGE = 3.0  # times the mean variance: directions with less variance in a class hardly change
LEAST_VARIANCE = 1e-9  # relative to the direction of largest variance


@dataclass(frozen=True)
class Normalizer:
    """Standardise columns, compress outliers, and shrink the directions of largest within-class variance.

    Clips of one emotion differ most by speaker and words. With ``W`` the covariance of features around the
    mean of their class, rows are multiplied by ``(I + W / a) ** -1/2`` [1]_, where ``a`` is the
    mean variance times a factor, by default `SHRINKAGE`, and ``W`` is restricted to its `N_DIRECTIONS`
    directions of largest variance. Before that, the inverse hyperbolic sine, which is linear for small and
    logarithmic for large values, prevents outliers from dominating distances, like the value normalisation of
    [2]_.

    Parameters
    ----------
    mean, scale : mean and scale of each column, shape (n_columns,).
    directions : orthonormal, float32, shape (n_directions, n_columns).
    shortening : share removed from each direction, 0 to 1, shape (n_directions,).

    References
    ----------
    .. [1] Hatch, Kajarekar, Stolcke: Within-class covariance normalization for SVM-based speaker
       recognition, Interspeech 2006.
    .. [2] Kaya, Karpov: Efficient and effective strategies for cross-corpus acoustic emotion recognition,
       Neurocomputing 275, 2018.
    """

    mean: np.ndarray
    scale: np.ndarray
    directions: np.ndarray
    shortening: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Normalise features (n_rows, n_columns); returns float64 of the same shape."""
        rows = _compressed(np.array(x, np.float64), self.mean, self.scale)
        directions = self.directions.astype(np.float64)
        rows -= (rows @ directions.T * self.shortening) @ directions
        return rows


def learn(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None, shrinkage: float = SHRINKAGE
) -> Normalizer:
    """Fit a normaliser to training rows, (n_rows, n_columns), and their classes, (n_rows,).

    Parameters
    ----------
    weights : of the rows, shape (n_rows,), mean 1; None where all count alike.
    shrinkage : the factor of the mean variance, see `Normalizer`; the smaller, the more is shrunk.
    """
    rows = np.array(x, np.float64)
    mean = np.average(rows, axis=0, weights=weights)
    scale = rows.std(axis=0) if weights is None else np.sqrt(weights @ (rows - mean) ** 2 / len(rows))
    scale = np.where(scale > np.finfo(np.float32).eps * np.abs(mean), scale, 1)
    rows = _compressed(rows, mean, scale)
    for name in np.unique(y):
        mine = y == name
        rows[mine] -= np.average(rows[mine], axis=0, weights=None if weights is None else weights[mine])
    if weights is not None:
        rows *= np.sqrt(weights)[:, None]
    variance, directions = _widest(rows)
    strength = shrinkage * (rows * rows).sum() / len(rows) / min(rows.shape)
    return Normalizer(mean, scale, directions.astype(np.float32), 1 - 1 / np.sqrt(1 + variance / strength))


def _compressed(rows: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Rows standardised and compressed, in place: a table of many rows is large."""
    rows -= mean
    rows /= scale
    return np.asarray(np.arcsinh(rows, out=rows))


def _widest(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances and principal directions of centred rows, ascending, from the smaller Gram matrix."""
    from scipy.linalg import eigh  # unlike numpy's, it can stop at the widest directions

    n_rows, n_columns = rows.shape
    tall = n_rows > n_columns
    gram = (rows.T @ rows if tall else rows @ rows.T) / n_rows
    widest = (max(len(gram) - N_DIRECTIONS, 0), len(gram) - 1)
    variance, vectors = eigh(gram, subset_by_index=widest, overwrite_a=True, check_finite=False)
    kept = np.flatnonzero(variance > LEAST_VARIANCE * max(variance[-1], LEAST_VARIANCE))
    variance, vectors = variance[kept], vectors[:, kept]
    return variance, vectors.T if tall else vectors.T @ rows / np.sqrt(n_rows * variance)[:, None]

"""Stacks of covariance matrices: as columns of a table, their powers, logarithms and geometric mean.

A row of a table holds one matrix a band, its upper triangle. Matrices are symmetric, (..., n_chans, n_chans).
`power`, `log` and `geometric_mean` take those that are not positive definite, such as those of a signal with
fewer independent channels than channels, with their eigenvalues raised to `FLOOR` of the largest, and have
finite results for every finite matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

FLOOR = 1e-7  # of the largest eigenvalue; single precision, in which tables hold matrices, is as coarse
ROUNDING = 1e-14  # the same for double precision
TINY = 1e-30  # the least that the largest eigenvalue counts as

TOLERANCE = 1e-9  # of the geometric mean: its distance to the exact one, in nats
MOST_STEPS = 100
STEPS = (0.1, 1.0)  # shortest and longest step, as a share of the gradient
ROWS_AT_ONCE = 512  # so that a long table is not held several times


def columns_of(matrices: np.ndarray) -> np.ndarray:
    """The upper triangles of symmetric matrices, row by row, band after band.

    Parameters
    ----------
    matrices : shape (..., n_bands, n_chans, n_chans).

    Returns
    -------
    Shape (..., n_bands * n_chans * (n_chans + 1) / 2).
    """
    upper = np.triu_indices(matrices.shape[-1])
    found = matrices[..., *upper]
    return found.reshape(*found.shape[:-2], -1)


def matrices_of(x: np.ndarray, n_bands: int) -> np.ndarray:
    """The symmetric matrices of `columns_of`.

    Parameters
    ----------
    x : shape (..., n_bands * n_chans * (n_chans + 1) / 2).
    n_bands : number of matrices in a row.

    Returns
    -------
    float64, shape (..., n_bands, n_chans, n_chans).
    """
    n_values = x.shape[-1] // n_bands
    n_chans = (math.isqrt(8 * n_values + 1) - 1) // 2
    rows, columns = np.triu_indices(n_chans)
    found = np.empty((*x.shape[:-1], n_bands, n_chans, n_chans))
    found[..., rows, columns] = x.reshape(*x.shape[:-1], n_bands, n_values)
    found[..., columns, rows] = found[..., rows, columns]
    return found


def n_values(n_chans: int) -> int:
    """Number of columns of a symmetric matrix of so many channels."""
    return n_chans * (n_chans + 1) // 2


def power(matrices: np.ndarray, exponent: float) -> np.ndarray:
    """Powers of matrices, such as the inverse square root with -0.5.

    Parameters
    ----------
    matrices : symmetric, shape (..., n_chans, n_chans).
    exponent : any number.

    Returns
    -------
    float64, of the same shape.
    """
    return _mapped(matrices, lambda values: values**exponent)


def log(matrices: np.ndarray) -> np.ndarray:
    """Logarithms of symmetric matrices, float64, shape (..., n_chans, n_chans)."""
    return _mapped(matrices, np.log)


def geometric_mean(matrices: np.ndarray, tolerance: float = TOLERANCE) -> np.ndarray:
    """The geometric (Riemannian, Karcher) mean along the first axis.

    It is the matrix of which the sum of squared distances ``||log(M^-1/2 C M^-1/2)||^2`` to all matrices is
    least [1]_. A linear mixing W of the channels turns it into ``W M W^T``. The search begins at the
    arithmetic mean and goes along geodesics, against the gradient [2]_, with steps of the length by Barzilai
    and Borwein [3]_.

    Parameters
    ----------
    matrices : symmetric, shape (n_rows, ..., n_chans, n_chans), at least one row.
    tolerance : norm of the mean of ``log(M^-1/2 C M^-1/2)`` at which the search ends.

    Returns
    -------
    float64, shape (..., n_chans, n_chans).

    References
    ----------
    .. [1] Moakher, A differential geometric approach to the geometric mean of symmetric positive-definite
       matrices, SIAM J. Matrix Anal. Appl. 26, 2005.
    .. [2] Pennec, Fillard, Ayache, A Riemannian framework for tensor computing, IJCV 66, 2006.
    .. [3] Barzilai, Borwein, Two-point step size gradient methods, IMA J. Numer. Anal. 8, 1988.
    """
    shape = matrices.shape[1:]
    stacks = np.moveaxis(matrices.reshape(len(matrices), -1, *shape[-2:]), 1, 0)
    means = [_mean_of(_mapped(each, lambda values: values), tolerance) for each in stacks]
    return np.stack(means).reshape(shape)


def _mean_of(matrices: np.ndarray, tolerance: float) -> np.ndarray:
    """The geometric mean M = root @ root.T of positive definite matrices, (n_rows, n_chans, n_chans)."""
    root = np.linalg.cholesky(matrices.mean(axis=0))
    inverse, step, before = np.linalg.inv(root), STEPS[1], None
    for _ in range(MOST_STEPS):
        gradient = _mean_log(matrices, inverse)
        if np.linalg.norm(gradient) < tolerance:
            break
        if before is not None and (change := np.sum(before * (before - gradient))) > 0:
            step = float(np.clip(step * np.sum(before**2) / change, *STEPS))
        values, vectors = np.linalg.eigh(gradient * step / 2)
        root = root @ (vectors * np.exp(values)) @ vectors.T  # keeps the frame, so that gradients compare
        inverse = (vectors * np.exp(-values)) @ vectors.T @ inverse
        before = gradient
    return np.asarray(root @ root.T)


def _mean_log(matrices: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Mean logarithm of ``inverse @ C @ inverse.T``, shape (n_chans, n_chans)."""
    total = np.zeros_like(inverse)
    for start in range(0, len(matrices), ROWS_AT_ONCE):
        white = inverse @ matrices[start : start + ROWS_AT_ONCE] @ inverse.T
        total += _mapped(white, np.log, ROUNDING).sum(axis=0)
    return total / len(matrices)


def _mapped(
    matrices: np.ndarray, function: Callable[[np.ndarray], np.ndarray], floor: float = FLOOR
) -> np.ndarray:
    """Matrices with a function of their eigenvalues, raised to ``floor`` of the largest of each matrix."""
    values, vectors = np.linalg.eigh(np.asarray(matrices, dtype=np.float64))
    least = floor * np.maximum(values[..., -1:], TINY)
    mapped = function(np.maximum(values, least))
    return np.asarray((vectors * mapped[..., None, :]) @ vectors.swapaxes(-1, -2))

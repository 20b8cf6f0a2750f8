"""Stacks of covariance matrices, as rows of columns hold them: one matrix a band, its upper triangle."""

from __future__ import annotations

import math

import numpy as np


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

"""Weights of training rows: of corpora, of a part of the rows, and of classes."""

from __future__ import annotations

import numpy as np


def of_corpora(datasets: np.ndarray, y: np.ndarray, copies: np.ndarray | None = None) -> np.ndarray:
    """Weights by which each data set counts alike, and in it each of its classes.

    Parameters
    ----------
    datasets, y : shape (n_rows,), the name of each row's data set, and the number of its class.
    copies : bool, shape (n_rows,), altered copies, which are not counted; None where there are none.

    Returns
    -------
    float64, shape (n_rows,), with mean 1 over the counted rows; a copy's is as large as its clip's.
    """
    own = np.ones(len(y), bool) if copies is None else ~copies
    _, dataset_of_row = np.unique(datasets.astype(str), return_inverse=True)
    counts = np.zeros((dataset_of_row.max() + 1, y.max() + 1))
    np.add.at(counts, (dataset_of_row[own], y[own]), 1)
    n_classes = np.count_nonzero(counts, axis=1)
    weights = 1 / (n_classes[dataset_of_row] * counts[dataset_of_row, y])
    return np.asarray(weights / weights[own].mean())


def alike(weights: np.ndarray, datasets: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Weights by which the counted rows of each data set weigh the same, in the ratios of the given ones.

    Parameters
    ----------
    weights, datasets : shape (n_rows,); every data set has a counted row.
    counted : bool, shape (n_rows,).

    Returns
    -------
    float64, shape (n_rows,), with mean 1 over the counted rows.
    """
    _, dataset_of_row = np.unique(datasets.astype(str), return_inverse=True)
    totals = np.bincount(dataset_of_row, weights * counted)
    scaled = weights / totals[dataset_of_row]
    return np.asarray(scaled / scaled[counted].mean())


def taken(weights: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    """The weights of some rows, by their numbers, with mean 1; None where all rows count alike."""
    if weights is None:
        return None
    mine = weights[rows]
    return np.asarray(mine / mine.mean()) if len(mine) else mine


def of_classes(y: np.ndarray, n_classes: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Weights by which each class counts alike, for rows of these class numbers, (n_rows,).

    Parameters
    ----------
    weights : of the rows, shape (n_rows,), mean 1; None where all count alike.

    Returns
    -------
    float64, shape (n_classes,): inverse to the weight of a class's rows; 0 for a class without rows.
    """
    counts = np.bincount(y, weights, minlength=n_classes)
    present = counts > 0
    shares = np.count_nonzero(present) * np.where(present, counts, 1)
    return np.where(present, len(y) / shares, 0.0)

"""Rows of columns: the checks that all classifiers of columns share, and work on a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from eavctl.classifiers.calibration import uar
from eavctl.classifiers.inner_folds import Fold
from eavctl.classifiers.streams import Table
from eavctl.errors import DataError

CHUNK = 512  # rows worked on at a time: they fit in a processor's cache, and a second table is never needed


def checked(x: Table, labels: Sequence[str] | np.ndarray) -> np.ndarray:
    """Labels (n_rows,) that a classifier of features (n_rows, n_columns) can be fitted on.

    Raises
    ------
    DataError : fewer than two classes, values that are not finite, or shapes that do not match.
    """
    y = np.asarray(labels, dtype=str)
    if len(x.shape) != 2 or len(x) != len(y) or not x.shape[1]:
        raise DataError(f"features of shape {x.shape} and {len(y)} labels do not fit")
    if not all(np.isfinite(x[rows]).all() for rows in chunks(len(x))):
        raise DataError("some features are not finite numbers")
    if len(np.unique(y)) < 2:
        raise DataError("a training part has a single class; at least two are needed")
    return y


def check_shape(x: np.ndarray, n_columns: int) -> None:
    """Raise a DataError if features to predict do not have the columns of the model."""
    if x.ndim != 2 or x.shape[1] != n_columns:
        raise DataError(f"the model takes {n_columns} features, the table has shape {x.shape[1:]}")


def chunks(n_rows: int) -> Iterator[slice]:
    """Slices of `CHUNK` rows that cover all rows in order."""
    return (slice(start, start + CHUNK) for start in range(0, n_rows, CHUNK))


def mean_uar(logits: np.ndarray, y: np.ndarray, folds: Sequence[Fold]) -> float:
    """Mean over inner folds of the mean recall of the classes present.

    Parameters
    ----------
    logits : of each row from the fold that tests it, shape (n_rows, n_classes).
    y : class numbers, shape (n_rows,).
    folds : of the rows.
    """
    return float(np.mean([uar(logits[test].argmax(axis=1), y[test]) for _, test in folds]))

"""Rows as a linear probe takes them: columns, and their mean and scale over all training rows of a fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from eavctl.classifiers.columns import chunks
from eavctl.classifiers.logistic import Scaling

MOST_ROWS = 4000  # training rows whose products with each other are decomposed
LEAST_VARIANCE = 1e-10  # of a direction, relative to the largest: less is rounding
PIECE_COLUMNS = 4096  # standardised together


@dataclass(frozen=True)
class Columns:
    """Columns of all rows of a table, and how a fold standardises them.

    Statistics are of all training rows, labelled or not: they need no labels, and with few labelled rows
    theirs would be much noise. So all shares of labels have the same columns.

    Parameters
    ----------
    x : shape (n_rows, n_columns).
    scaling : of the fold's training rows.
    """

    x: np.ndarray
    scaling: Scaling


def standardised(x: np.ndarray, train: np.ndarray) -> Columns:
    """Columns (n_rows, n_columns) as they are, with the scaling of the training rows."""
    zeros, ones = np.zeros(len(train), np.int64), np.ones(len(train))
    return Columns(x, Scaling.of(x, train, zeros, ones, map))


def compact(x: np.ndarray, train: np.ndarray) -> Columns:
    """As `standardised`, and where there are more columns than training rows, fewer that give the same.

    The weights of a penalised regression are combinations of its training rows. So rows are described by
    their coordinates along the principal directions of the standardised training rows, which spares most of
    the time and changes nothing: the penalty, a share of the total variance, stays the same.
    """
    if x.shape[1] <= len(train) or len(train) > MOST_ROWS:
        return standardised(x, train)
    from scipy.linalg import eigh

    scaling = standardised(x, train).scaling
    gram = np.zeros((len(x), len(train)))
    for start in range(0, x.shape[1], PIECE_COLUMNS):
        part = slice(start, start + PIECE_COLUMNS)
        z = (x[:, part].astype(np.float64) - scaling.mean[part]) * scaling.factor[part]
        gram += z @ z[train].T
    variance, vectors = eigh(gram[train])
    kept = variance > LEAST_VARIANCE * max(variance[-1], LEAST_VARIANCE)
    variance, vectors = variance[kept], vectors[:, kept]
    coordinates = gram @ (vectors / np.sqrt(variance))
    n_kept, n_varying = len(variance), max(int(scaling.varies.sum()), 1)
    coordinates *= np.sqrt(n_kept / n_varying)  # the total variance is the number of columns
    unit = Scaling(
        np.zeros(n_kept, np.float32),
        np.ones(n_kept, np.float32),
        np.ones(n_kept, bool),
        np.zeros((1, n_kept), np.float32),
    )
    return Columns(coordinates, unit)


def nearest(x: np.ndarray, rows: np.ndarray, coef: np.ndarray, intercept: np.ndarray) -> np.ndarray:
    """The class of the largest logit, for rows by their numbers, shape (n_rows,).

    Parameters
    ----------
    x : shape (n_table, n_columns).
    coef, intercept : shape (n_classes, n_columns) and (n_classes,), of columns as they are.
    """
    columns = coef.T.astype(np.float64)
    parts = [x[rows[part]].astype(np.float64) @ columns for part in chunks(len(rows))]
    return np.asarray((np.concatenate(parts) + intercept).argmax(axis=1))


@dataclass
class Cached:
    """Columns of a fold, kept until those of another are asked for.

    Parameters
    ----------
    make : called with the numbers of the training rows.
    """

    make: Callable[[np.ndarray], Columns]
    _train: np.ndarray | None = field(default=None, init=False)
    _found: Columns | None = field(default=None, init=False)

    def __call__(self, train: np.ndarray) -> Columns:
        """The columns for these training rows."""
        if self._found is None or self._train is not train:
            self._train, self._found = train, self.make(train)
        return self._found

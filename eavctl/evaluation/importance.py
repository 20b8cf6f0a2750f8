"""What a classifier answers when it is not told a part of the features.

The columns of each row are replaced by those of some other rows, the donors, one after the other, and the
mean of the probabilities over the donors decides: the classifier's expectation where the columns are not
known [1]_. So the columns keep their distribution and the relations among themselves, and lose those to the
class and to the other columns, as in permutation importance [2]_. There each permutation is scored by itself,
and the wrong evidence of a donor counts against the right evidence of other columns; here it cancels out over
the donors. All rows have the same donors, so that rows do not differ by chance.

References
----------
.. [1] Covert, Lundberg, Lee: Understanding global feature contributions with additive importance measures,
   NeurIPS 2020.
.. [2] Breiman: Random forests, Machine Learning 45, 2001.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

N_DONORS = 64
ROWS_AT_ONCE, VALUES_AT_ONCE = 2048, 1 << 24

Predict = Callable[[np.ndarray], np.ndarray]


class Terms(Protocol):
    """A classifier whose answers come from a sum over columns, so that a part of it is computed once."""

    def of(self, x: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The sum over some columns, (n_rows, n_terms), of features (n_rows, n_columns)."""
        ...

    def proba(self, total: np.ndarray) -> np.ndarray:
        """Class probabilities, (n_rows, n_classes), from the sum over all columns."""
        ...


def draw_donors(labels: np.ndarray, rng: np.random.Generator, n_donors: int = N_DONORS) -> np.ndarray:
    """Draw the rows whose columns replace those of all: all of them, if they are few.

    Parameters
    ----------
    labels : shape (n_rows,); the donors have as large shares of each as the rows.
    n_donors : at most.

    Returns
    -------
    Numbers of rows, int, shape (n_donors,).
    """
    order = rng.permutation(len(labels))
    by_label = order[np.argsort(labels[order], kind="stable")]
    step = max(len(labels) / n_donors, 1.0)  # few rows are all donors
    places = rng.uniform(0, step) + step * np.arange(min(n_donors, len(labels)))
    return np.asarray(by_label[places.astype(int)])


def without(predict: Predict, x: np.ndarray, columns: np.ndarray, donors: np.ndarray) -> np.ndarray:
    """Mean class probabilities where some columns are those of the donors.

    Parameters
    ----------
    predict : class probabilities, (n_rows, n_classes), of features (n_rows, n_columns).
    x : features, shape (n_rows, n_columns).
    columns : numbers of the columns.
    donors : numbers of rows, of `draw_donors`.

    Returns
    -------
    Shape (n_rows, n_classes); for columns that the classifier ignores, the probabilities themselves.
    """
    usual = predict(x)
    away = np.zeros_like(usual)  # a sum of differences: exactly 0 where nothing changes
    for some in _batches(x, donors):
        changed = np.tile(x, (len(some), 1))
        changed[:, columns] = np.repeat(x[some][:, columns], len(x), axis=0)
        away += (predict(changed).reshape(len(some), *usual.shape) - usual).sum(axis=0)
    return np.asarray(usual + away / len(donors))


def without_terms(terms: Terms, kept: np.ndarray, lost: np.ndarray, donors: np.ndarray) -> np.ndarray:
    """As `without`, of a classifier that sums over columns.

    Parameters
    ----------
    kept, lost : the sums over the other columns, and over those that are replaced, (n_rows, n_terms).
    """
    usual = terms.proba(kept + lost)
    away = sum(terms.proba(kept + lost[row]) - usual for row in donors)
    return np.asarray(usual + away / len(donors))


def _batches(x: np.ndarray, donors: np.ndarray) -> Iterator[np.ndarray]:
    """The donors, as many at a time as there is memory for."""
    step = max(1, min(ROWS_AT_ONCE // max(len(x), 1), VALUES_AT_ONCE // max(x.size, 1)))
    for start in range(0, len(donors), step):
        yield donors[start : start + step]

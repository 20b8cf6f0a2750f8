"""Patterns of a linear classifier: what in the features goes with its decisions.

Weights cannot be read so: a column that has nothing to do with the class gets a large weight where it cancels
the noise of another.
"""

from __future__ import annotations

import numpy as np


def patterns(x: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The activation patterns of linear scores, ``Cov(x) W Cov(scores)^-1`` with the weights ``W`` [1]_.

    As the scores are ``x W``, the first product is the covariance of features and scores. Scores of all
    classes of a softmax add up to a constant, so that the inverse is the pseudo-inverse.

    Parameters
    ----------
    x : features, shape (n_rows, n_columns).
    scores : decision values, shape (n_rows, n_classes).

    Returns
    -------
    float64, shape (n_columns, n_classes): change of each feature with a unit of each score; 0 for scores that
    do not vary.

    References
    ----------
    .. [1] Haufe et al.: On the interpretation of weight vectors of linear models in multivariate
       neuroimaging, NeuroImage 87, 2014, equation 6.
    """
    rows, own = (
        np.asarray(each, np.float64) - np.mean(each, axis=0, dtype=np.float64) for each in (x, scores)
    )
    together = rows.T @ own / len(rows)
    return np.asarray(together @ np.linalg.pinv(own.T @ own / len(own), rcond=1e-10, hermitian=True))


def standard_patterns(x: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """As `patterns`, in standard deviations of the feature, for one of a class's score; 0 for constants.

    Only differences between scores decide. So their mean over the classes is taken off first, and the pattern
    of a class is for its score rising while those of the others fall by as much together.
    """
    n_classes = scores.shape[1]
    if n_classes > 1:
        scores = scores - scores.mean(axis=1, keepdims=True)
    spread = np.std(x, axis=0, dtype=np.float64)
    found = patterns(x, scores) * np.std(scores, axis=0, dtype=np.float64)
    if n_classes > 1:
        found *= n_classes / (n_classes - 1)
    return np.where(spread[:, None] > 0, found / np.where(spread > 0, spread, 1)[:, None], 0)

"""Alignment of the EEG of each person, without labels: what ``--normalize subject`` does.

A feature set names its alignment as the fact ``align``: a function of the rows of one person, of which of
them count in the statistics, and of the settings of the set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eavctl.features.covariances import columns_of, geometric_mean, matrices_of, power

# Of the mean covariance in `euclidean`. People of a twin of EAV (30 channels, 0.5 to 45 Hz) left out in turn,
# log power of channels in five bands: UAR 0.515 as they are, 0.421 aligned with 0, 0.565 with 0.1, 0.556 with
# 0.3, 0.513 with 1, which takes away the gain alone.
SHRINKAGE = 0.1


def riemannian(
    x: np.ndarray, counted: np.ndarray, *, bands: Sequence[Sequence[float]], **settings: Any
) -> np.ndarray:
    """Move the covariances of a person so that their geometric mean is the identity.

    Each covariance C of a band becomes ``M^-1/2 C M^-1/2``, where M is the geometric mean of the band [1]_.
    A linear mixing of the channels, such as other positions and gains of the electrodes, then turns all
    covariances alike, and changes no distance between them.

    Parameters
    ----------
    x : columns of ``eeg-cov``, shape (n_rows, n_columns).
    counted : bool, shape (n_rows,), the rows of which the mean is taken.
    bands : the setting of the set.

    Returns
    -------
    float32 columns of the same shape, without unit.

    References
    ----------
    .. [1] Zanini, Congedo, Jutten, Said, Berthoumieu, Transfer learning: a Riemannian geometry framework with
       applications to brain-computer interfaces, IEEE Transactions on Biomedical Engineering 65, 2018.
    """
    parts = np.split(x, len(bands), axis=1)  # one band at a time, for memory
    return np.concatenate([_recentred(part, counted) for part in parts], axis=1)


def _recentred(x: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Columns of one band, aligned."""
    covariances = matrices_of(x, 1)
    whitening = power(geometric_mean(covariances[counted]), -0.5)
    return columns_of(whitening @ covariances @ whitening).astype(np.float32)


def euclidean(x: np.ndarray, counted: np.ndarray, **settings: Any) -> np.ndarray:
    """Whiten the signals of a person by their mean covariance.

    Each row becomes ``R^-1/2 x``, where R is the mean of ``x x^T / n_times`` [1]_, of which a tenth is
    replaced by the identity times the mean variance of the channels. Without that share, directions in which
    the channels hardly vary, such as their sum after an average reference, would become as strong as the
    others, and they are mostly noise.

    Parameters
    ----------
    x : shape (n_rows, n_chans, n_times).
    counted : bool, shape (n_rows,), the rows of which the mean is taken.

    Returns
    -------
    float32, shape (n_rows, n_chans, n_times), without unit.

    References
    ----------
    .. [1] He, Wu, Transfer learning for brain-computer interfaces: a Euclidean space data alignment approach,
       IEEE Transactions on Biomedical Engineering 67, 2020.
    """
    total = np.zeros((x.shape[1], x.shape[1]))
    for row in x[counted]:  # one at a time, so that no second table in double precision is needed
        own = row.astype(np.float64)
        total += own @ own.T
    mean = total / (counted.sum() * x.shape[2])
    regularised = (1 - SHRINKAGE) * mean + SHRINKAGE * np.trace(mean) / len(mean) * np.eye(len(mean))
    whitening = power(regularised, -0.5)
    found = np.empty(x.shape, np.float32)
    for aligned, row in zip(found, x, strict=True):
        aligned[:] = whitening @ row
    return found

"""Standardising features speaker by speaker."""

from __future__ import annotations

import numpy as np

SPEAKER_WARNING = (
    "features are standardised by speaker: judging a recording needs several others of the same speaker "
    "(no labels are used)"
)
RELATIVE_FLOOR = 1e-6


def standardize_by_group(x: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Bring each group's rows to mean 0 and standard deviation 1, feature by feature.

    Parameters
    ----------
    x : float32 array, shape (n_rows, n_columns); or (n_rows, n_bands, ...), where a band's statistics are
        taken over the rows and all further axes.
    groups : shape (n_rows,), the speaker of each row.

    Returns
    -------
    float32 array of the shape of ``x``. A feature that does not vary in a group (also any vector feature
    of a group of one row) is 0 there.
    """
    result = np.empty_like(x, dtype=np.float32)
    axes = (0, *range(2, x.ndim))
    for group in np.unique(groups):
        rows = groups == group
        values = x[rows].astype(np.float64)
        mean = values.mean(axis=axes, keepdims=True)
        std = values.std(axis=axes, keepdims=True)
        constant = std <= RELATIVE_FLOOR * np.maximum(np.abs(mean), RELATIVE_FLOOR)
        result[rows] = np.where(constant, 0.0, (values - mean) / np.where(constant, 1.0, std))
    return result

"""Rows that are trained on and never tested: in which folds they are."""

from __future__ import annotations

import numpy as np


def follows(
    rows: np.ndarray, train: np.ndarray, test: np.ndarray, units: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Which rows that are never tested, such as altered copies, join the training rows of a fold.

    Parameters
    ----------
    rows, train, test : numbers of those rows, and of the training and test rows among the others.
    units, groups : of all rows, shape (n_rows,).

    Returns
    -------
    bool, shape (len(rows),): those of a unit that is trained on; those of a unit that is neither trained on
        nor tested, unless a row of their group is tested.
    """
    is_known = np.isin(units[rows], units[train])
    is_tested = np.isin(units[rows], units[test])
    return np.asarray(~is_tested & (is_known | ~np.isin(groups[rows], groups[test])))

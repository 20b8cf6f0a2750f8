"""The interval of the expected calibration error over clusters, such as subjects.

The error itself is `eavctl.evaluation.metrics.calibration_error`. Its jackknife leaves out whole clusters, as
that of the other scores does (`eavctl.evaluation.intervals`). Like every error of absolute differences it is
above 0 by chance alone: by about 0.8 times the root of the number of bins over that of the rows, times the
deviation of an answer, so a calibrated model has about 0.05 on 600 rows.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from eavctl.evaluation.intervals import DRAWS, SEED, Clusters, Interval, clusters_of, interval_of
from eavctl.evaluation.metrics import CALIBRATION_BINS, bin_of


def calibration_interval(clusters: Clusters, truth: np.ndarray, proba: np.ndarray) -> Interval:
    """The expected calibration error of the most probable class, with its interval.

    Parameters
    ----------
    clusters : clusters of the rows.
    truth : class indices, int, shape (n_rows,).
    proba : probabilities, shape (n_rows, n_classes).
    """
    confidence, is_right = proba.max(axis=1), proba.argmax(axis=1) == truth
    bins = bin_of(confidence)
    cells = clusters.of_row * CALIBRATION_BINS + bins
    shape = (clusters.n, CALIBRATION_BINS)

    def summed(values: np.ndarray | None) -> np.ndarray:
        """Sums over the rows of each cluster and bin."""
        return np.bincount(cells, values, clusters.n * CALIBRATION_BINS).reshape(shape)

    rows, right, expected = summed(None), summed(is_right.astype(float)), summed(confidence)
    gaps = right - expected
    left_out = _error(gaps.sum(axis=0) - gaps, rows.sum() - rows.sum(axis=1))
    drawn = _drawn(rows.sum(axis=0), right.sum(axis=0), expected.sum(axis=0), clusters)
    value = _error(gaps.sum(axis=0), rows.sum())
    return interval_of(np.concatenate([value[None], left_out, drawn]), clusters)


def calibration_by_dataset(
    keys: pd.DataFrame, truth: np.ndarray, proba: np.ndarray, group: str | None
) -> dict[str, dict[str, float | None]]:
    """The error of each data set with its interval, by its name; empty for rows of one data set.

    A model can be too sure on one data set and not sure enough on another: over all rows these cancel out.

    Parameters
    ----------
    keys : one row per sample.
    truth, proba : as in `calibration_interval`.
    group : key that the protocol keeps whole.
    """
    numbers, names = pd.factorize(keys["dataset"].fillna(""), sort=True)
    if len(names) < 2:
        return {}
    found = {}
    for number, name in enumerate(names):
        rows = np.flatnonzero(numbers == number)
        clusters = clusters_of(keys.iloc[rows].reset_index(drop=True), group)
        found[str(name)] = calibration_interval(clusters, truth[rows], proba[rows]).to_json()
    return found


def _drawn(rows: np.ndarray, right: np.ndarray, expected: np.ndarray, clusters: Clusters) -> np.ndarray:
    """The error for draws from the posterior of each bin's accuracy, as if clips were independent.

    Parameters
    ----------
    rows, right, expected : of each bin its rows, right rows and sum of confidence, shape (n_bins,).
    """
    clips_per_row = len(np.unique(clusters.clip_of_row)) / rows.sum()
    certain = np.where(rows, right / np.maximum(rows, 1), 0.5)
    clips, prior = rows * clips_per_row, 1 / CALIBRATION_BINS
    accuracy = np.random.default_rng(SEED).beta(
        certain * clips + prior, (1 - certain) * clips + prior, size=(DRAWS, len(rows))
    )
    return _error(accuracy * rows - expected, rows.sum())


def _error(gaps: np.ndarray, n_rows: np.ndarray) -> np.ndarray:
    """The error from the sums over each bin of right minus confidence, (..., n_bins)."""
    return np.asarray(np.abs(gaps).sum(axis=-1) / np.maximum(n_rows, 1))

"""Statistics of contours: what a clip's descriptors do over time, as numbers."""

from __future__ import annotations

import numpy as np

PERCENTILES = (1, 10, 25, 50, 75, 90, 99)
SHAPE_NAMES = ("mean", "std", "skewness", "kurtosis", *(f"p{q}" for q in PERCENTILES), "iqr", "range")
STATISTIC_NAMES = (*SHAPE_NAMES, "slope")
LEAST_STD = 1e-6
HIGHEST_CORRELATION = 0.99


def distribution(contours: np.ndarray) -> np.ndarray:
    """Statistics of each contour's values, whatever their order in time.

    Parameters
    ----------
    contours : float array, shape (n_contours, n_frames).

    Returns
    -------
    Shape (n_contours, 13), in the order of `SHAPE_NAMES`: mean, standard deviation, skewness and kurtosis
    (both 0 for a constant), percentiles, interquartile range and the range from the 1st to the 99th.
    """
    mean = contours.mean(axis=1)
    centred = contours - mean[:, None]
    squares = centred * centred
    variance = squares.mean(axis=1)
    std = np.sqrt(variance)
    safe = np.maximum(std, LEAST_STD)
    skewness = (squares * centred).mean(axis=1) / safe**3
    kurtosis = (squares * squares).mean(axis=1) / safe**4
    ranks = percentiles(contours)
    spread = [ranks[:, 4] - ranks[:, 2], ranks[:, 6] - ranks[:, 0]]
    return np.column_stack([mean, std, skewness, kurtosis, ranks, *spread])


def percentiles(contours: np.ndarray) -> np.ndarray:
    """The `PERCENTILES` of each contour, linearly interpolated; sorted once for all of them."""
    ordered = np.sort(contours, axis=1)
    position = np.array(PERCENTILES) / 100 * (contours.shape[1] - 1)
    below = position.astype(int)
    above = np.minimum(below + 1, contours.shape[1] - 1)
    share = (position - below).astype(contours.dtype)
    return np.asarray(ordered[:, below] * (1 - share) + ordered[:, above] * share)


def slope(contours: np.ndarray) -> np.ndarray:
    """Rise of each contour's regression line over half of the clip, shape (n_contours,)."""
    time = np.linspace(-1, 1, contours.shape[1], dtype=contours.dtype)
    return np.asarray(contours @ time / max(float(time @ time), LEAST_STD))


def delta(contours: np.ndarray, width: int = 2) -> np.ndarray:
    """Rate of change by regression over ``2 width + 1`` frames, the ends repeated; a frame's worth of change.

    The formula is the HTK Book's, section 5.9: sum_k k (c[t+k] - c[t-k]) / (2 sum_k k^2).
    """
    n_frames = contours.shape[1]
    padded = np.pad(contours, ((0, 0), (width, width)), mode="edge")
    change = sum(
        k * (padded[:, width + k : width + k + n_frames] - padded[:, width - k : width - k + n_frames])
        for k in range(1, width + 1)
    )
    return np.asarray(change / (2 * sum(k * k for k in range(1, width + 1))))


def correlations(contours: np.ndarray) -> np.ndarray:
    """Fisher-transformed correlation of every pair of contours.

    Which descriptors move together is nearly blind to the speaker's own averages: second-order pooling,
    as in Tuzel et al., Region covariance, ECCV 2006, on correlations in place of covariances.

    Parameters
    ----------
    contours : shape (n_contours, n_frames).

    Returns
    -------
    Shape (n_contours * (n_contours - 1) / 2,): the upper triangle row by row; 0 for a constant contour.
    """
    centred = contours - contours.mean(axis=1, keepdims=True)
    norm = np.sqrt((centred * centred).sum(axis=1))
    unit = centred / np.maximum(norm, LEAST_STD * np.sqrt(contours.shape[1]))[:, None]
    matrix = (unit @ unit.T)[np.triu_indices(len(contours), 1)]
    return np.asarray(np.arctanh(np.clip(matrix, -HIGHEST_CORRELATION, HIGHEST_CORRELATION)))

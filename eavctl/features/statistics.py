"""Statistics of contours, the descriptors of a clip over time."""

from __future__ import annotations

from functools import cache

import numpy as np

PERCENTILES = (1, 10, 25, 50, 75, 90, 99)
SHAPE_NAMES = ("mean", "std", "skewness", "kurtosis", *(f"p{q}" for q in PERCENTILES), "iqr", "range")
STATISTIC_NAMES = (*SHAPE_NAMES, "slope")
OUTLINE_NAMES = ("mean", "std", "p10", "p50", "p90")
LEAST_STD = 1e-6
HIGHEST_CORRELATION = 0.99
FEWEST_PAIRS = 20


def distribution(contours: np.ndarray) -> np.ndarray:
    """Statistics of each contour's values that do not depend on their order in time.

    Parameters
    ----------
    contours : float array, shape (n_contours, n_frames).

    Returns
    -------
    Shape (n_contours, 13), in the order of `SHAPE_NAMES`: mean, standard deviation, skewness and kurtosis
    (both 0 for a constant), percentiles, interquartile range and the range from the 1st to the 99th.
    """
    first = contours[:, :1]  # subtracted first, so that a constant has no rounding error
    away = contours - first
    offset = away.mean(axis=1, keepdims=True)
    mean = (first + offset)[:, 0]
    centred = away - offset
    squares = centred * centred
    variance = squares.mean(axis=1)
    std = np.sqrt(variance)
    safe = np.maximum(std, LEAST_STD)
    skewness = (squares * centred).mean(axis=1) / safe**3
    kurtosis = (squares * squares).mean(axis=1) / safe**4
    ranks = percentiles(contours)
    spread = [ranks[:, 4] - ranks[:, 2], ranks[:, 6] - ranks[:, 0]]
    return np.column_stack([mean, std, skewness, kurtosis, ranks, *spread])


def median(values: np.ndarray) -> np.floating:
    """Median of float values (n_values,), to the bit ``np.median``, which imports ``numpy.ma``: 20 ms."""
    ordered = np.sort(values)
    middle: np.floating = (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2
    return middle


def percentiles(contours: np.ndarray) -> np.ndarray:
    """The `PERCENTILES` of each contour, linearly interpolated, from one sort."""
    ordered = np.sort(contours, axis=1)
    position = np.array(PERCENTILES) / 100 * (contours.shape[1] - 1)
    below = position.astype(int)
    above = np.minimum(below + 1, contours.shape[1] - 1)
    share = (position - below).astype(contours.dtype)
    return np.asarray(ordered[:, below] * (1 - share) + ordered[:, above] * share)


def slope(contours: np.ndarray) -> np.ndarray:
    """Rise of each contour's regression line over half the clip, shape (n_contours,)."""
    time = np.linspace(-1, 1, contours.shape[1], dtype=contours.dtype)
    return np.asarray(contours @ time / max(float(time @ time), LEAST_STD))


def delta(contours: np.ndarray, width: int = 2) -> np.ndarray:
    """Change per frame, by regression over ``2 width + 1`` frames; the end frames are repeated.

    The formula is the HTK Book's, section 5.9: sum_k k (c[t+k] - c[t-k]) / (2 sum_k k^2).
    """
    n_frames = contours.shape[1]
    padded = contours.take(np.clip(np.arange(-width, n_frames + width), 0, n_frames - 1), axis=1)
    change = np.zeros_like(contours)
    for k in range(1, width + 1):
        ahead, behind = (padded[:, width + step : width + step + n_frames] for step in (k, -k))
        step = ahead - behind
        step *= k
        change += step
    change /= 2 * sum(k * k for k in range(1, width + 1))
    return change


def correlations(contours: np.ndarray) -> np.ndarray:
    """Fisher-transformed correlation of every pair of contours.

    Correlations hardly depend on the speaker's averages: second-order pooling, as in Tuzel et al., Region
    covariance, ECCV 2006, with correlations in place of covariances.

    Parameters
    ----------
    contours : shape (n_contours, n_frames).

    Returns
    -------
    Shape (n_contours * (n_contours - 1) / 2,): the upper triangle row by row; 0 for a constant contour.
    """
    unit = _unit(contours)
    return _fisher((unit @ unit.T)[_upper_triangle(len(contours))])


def delayed_correlations(contours: np.ndarray, active: np.ndarray, delay: int) -> np.ndarray:
    """Fisher-transformed correlation of every contour with every contour ``delay`` frames later.

    They reflect how long sounds last and how one descriptor follows another: the channel-delay correlations
    of Williamson et al., Vocal biomarkers of depression based on motor incoordination, AVEC 2013.

    Parameters
    ----------
    contours : shape (n_contours, n_frames).
    active : bool, shape (n_frames,); only pairs of active frames are used.
    delay : frames, at least 1.

    Returns
    -------
    Shape (n_contours, n_contours), the earlier contour by rows; 0 for a constant contour, and all 0 if
    fewer than `FEWEST_PAIRS` pairs of frames remain.
    """
    both = active[:-delay] & active[delay:]
    if np.count_nonzero(both) < FEWEST_PAIRS:
        return np.zeros((len(contours), len(contours)), contours.dtype)
    earlier, later = (
        _unit(part.compress(both, axis=1)) for part in (contours[:, :-delay], contours[:, delay:])
    )
    return _fisher(earlier @ later.T)


def regression_slopes(contours: np.ndarray, driver: np.ndarray, prior: float) -> np.ndarray:
    """Change of each contour per unit of the driver, by ridge regression over the frames.

    Parameters
    ----------
    contours : shape (n_contours, n_frames).
    driver : shape (n_frames,), such as energy.
    prior : added to the driver's sum of squares, so that a constant driver gives 0.
    """
    drive = driver - driver.mean()
    centred = contours - contours.mean(axis=1, keepdims=True)
    return np.asarray(centred @ drive / (drive @ drive + prior))


def upper_minus_lower(contours: np.ndarray, driver: np.ndarray) -> np.ndarray:
    """Mean of each contour over the quarter of frames with the highest driver, minus that with the lowest."""
    ordered = np.sort(driver)
    quarter = (len(driver) - 1) // 4  # a frame beyond the quartiles is beyond this one, and no other is
    low, high = (
        contours.compress(chosen, axis=1)
        for chosen in (driver <= ordered[quarter], driver >= ordered[-1 - quarter])
    )
    return np.asarray(high.mean(axis=1) - low.mean(axis=1))


def _unit(contours: np.ndarray) -> np.ndarray:
    """Contours centred and scaled to length 1; a constant contour becomes 0."""
    centred = contours - contours.mean(axis=1, keepdims=True)
    norm = np.sqrt((centred * centred).sum(axis=1))
    return np.asarray(centred / np.maximum(norm, LEAST_STD * np.sqrt(contours.shape[1]))[:, None])


@cache
def _upper_triangle(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(n, 1)


def _fisher(correlation: np.ndarray) -> np.ndarray:
    return np.asarray(np.arctanh(np.clip(correlation, -HIGHEST_CORRELATION, HIGHEST_CORRELATION)))

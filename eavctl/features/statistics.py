"""Statistics of contours: what a clip's descriptors do over time, as numbers."""

from __future__ import annotations

import numpy as np

PERCENTILES = (1, 10, 25, 50, 75, 90, 99)
SHAPE_NAMES = ("mean", "std", "skewness", "kurtosis", *(f"p{q}" for q in PERCENTILES), "iqr", "range")
STATISTIC_NAMES = (*SHAPE_NAMES, "slope")
OUTLINE_NAMES = ("mean", "std", "p10", "p50", "p90")
LEAST_STD = 1e-6
HIGHEST_CORRELATION = 0.99
FEWEST_PAIRS = 20


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


def outline(contours: np.ndarray) -> np.ndarray:
    """The few statistics of `OUTLINE_NAMES` of each contour (n_contours, n_frames): (n_contours, 5)."""
    ranks = percentiles(contours)
    wanted = [PERCENTILES.index(q) for q in (10, 50, 90)]
    return np.column_stack([contours.mean(axis=1), contours.std(axis=1), ranks[:, wanted]])


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
    unit = _unit(contours)
    return _fisher((unit @ unit.T)[np.triu_indices(len(contours), 1)])


def delayed_correlations(contours: np.ndarray, active: np.ndarray, delay: int) -> np.ndarray:
    """Fisher-transformed correlation of every contour with every contour ``delay`` frames later.

    How long sounds last and how soon one descriptor follows another: the channel-delay correlations of
    Williamson et al., Vocal biomarkers of depression based on motor incoordination, AVEC 2013.

    Parameters
    ----------
    contours : shape (n_contours, n_frames).
    active : bool, shape (n_frames,); pairs of frames count when both are active.
    delay : frames, at least 1.

    Returns
    -------
    Shape (n_contours, n_contours), the earlier contour by rows; 0 for a constant contour, and all 0 where
    fewer than `FEWEST_PAIRS` pairs of frames are left.
    """
    both = active[:-delay] & active[delay:]
    if np.count_nonzero(both) < FEWEST_PAIRS:
        return np.zeros((len(contours), len(contours)), contours.dtype)
    earlier, later = (_unit(part[:, both]) for part in (contours[:, :-delay], contours[:, delay:]))
    return _fisher(earlier @ later.T)


def regression_slopes(contours: np.ndarray, driver: np.ndarray, prior: float) -> np.ndarray:
    """Change of each contour for a unit of the driver, by ridge regression over the frames.

    Parameters
    ----------
    contours : shape (n_contours, n_frames).
    driver : shape (n_frames,), such as energy.
    prior : what is added to the driver's sum of squares, so that a driver at rest gives 0.
    """
    drive = driver - driver.mean()
    centred = contours - contours.mean(axis=1, keepdims=True)
    return np.asarray(centred @ drive / (drive @ drive + prior))


def upper_minus_lower(contours: np.ndarray, driver: np.ndarray) -> np.ndarray:
    """Mean of each contour in the quarter of frames where the driver is highest, less that where lowest."""
    low, high = np.percentile(driver, [25, 75])
    return np.asarray(contours[:, driver >= high].mean(axis=1) - contours[:, driver <= low].mean(axis=1))


def _unit(contours: np.ndarray) -> np.ndarray:
    """Contours centred and brought to length 1; a constant one to 0."""
    centred = contours - contours.mean(axis=1, keepdims=True)
    norm = np.sqrt((centred * centred).sum(axis=1))
    return np.asarray(centred / np.maximum(norm, LEAST_STD * np.sqrt(contours.shape[1]))[:, None])


def _fisher(correlation: np.ndarray) -> np.ndarray:
    return np.asarray(np.arctanh(np.clip(correlation, -HIGHEST_CORRELATION, HIGHEST_CORRELATION)))

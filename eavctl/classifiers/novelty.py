"""Novelty: how far the features of a recording are from the training data.

Features are standardised and compressed as `eavctl.classifiers.within_class` does. The distance is the energy
outside the few directions in which the training rows vary most, relative to that of the training rows [1]_:
within these directions speakers and rooms differ, and outside them nothing but other signals has much energy.
Its threshold is the quantile of recordings that it was not fitted on, so the share of false alarms is known.

References
----------
.. [1] Jackson, Mudholkar: Control procedures for residuals associated with principal component analysis,
   Technometrics 21(3), 1979.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from eavctl.classifiers.streams import Table, stored

N_DIRECTIONS = 4  # more take in what is common to other signals too, such as noise
COLUMNS_PER_DIRECTION = 4  # at least: fewer columns leave no energy outside the directions
MOST_ROWS = 600  # to fit on: more hardly change the directions, and take the cube of their number
MOST_FOLDS = 10  # of more, evenly spaced ones are measured
MOST_SCORED = 1000  # held-out rows of a fold
FEWEST_SCORED = 100  # held-out rows for a threshold: of fewer, 5 % are a matter of luck
FALSE_ALARMS = 0.05
STEPS = 127  # of a direction's values in the file, to either side of 0
SEED = 0


class Novelty(NamedTuple):
    """A distance from the training data with its threshold.

    Parameters
    ----------
    mean, scale : of each column of the training rows, float32, shape (n_columns,).
    directions : of the largest energy, in whole steps, int8, shape (n_directions, n_columns).
    lengths : of these vectors, by which they are divided, float64, shape (n_directions,).
    energy : mean energy of the training rows outside the directions.
    threshold : distance above which a recording is unlike the training data.
    measured : JSON-able: the share of ``false_alarms`` among ``n_rows`` held-out rows, that of ``each`` data
        set, and what was held out (``over``), such as ``datasets`` or ``subjects``.
    """

    mean: np.ndarray
    scale: np.ndarray
    directions: np.ndarray
    lengths: np.ndarray
    energy: float
    threshold: float = np.inf
    measured: Mapping[str, Any] = {}

    def distance(self, x: np.ndarray) -> np.ndarray:
        """Distance of features (n_rows, n_columns) from the training data, float64, shape (n_rows,).

        The mean square of the training rows is 1.
        """
        return np.asarray(np.sqrt(self._outside(x) / self.energy))

    def _outside(self, x: np.ndarray) -> np.ndarray:
        """Energy of each row outside the directions."""
        rows = _compressed(x, self.mean, self.scale)
        inside = rows @ self.directions.T.astype(np.float32) / self.lengths
        energy = np.square(rows, dtype=np.float64).sum(axis=1) - np.square(inside).sum(axis=1)
        return np.asarray(np.maximum(energy, 0))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The arrays of a model file."""
        return {name: getattr(self, name) for name in ("mean", "scale", "directions", "lengths")}

    def to_meta(self) -> dict[str, Any]:
        """JSON-able values of a model file."""
        return {"energy": self.energy, "threshold": self.threshold, "measured": dict(self.measured)}

    @classmethod
    def from_parts(cls, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> Novelty:
        """Rebuild from `to_arrays` and `to_meta`.

        Raises
        ------
        KeyError, ValueError, TypeError : parts are missing or do not fit each other.
        """
        found = cls(
            **{name: arrays[name] for name in ("mean", "scale", "directions", "lengths")},
            energy=float(meta["energy"]),
            threshold=float(meta["threshold"]),
            measured=meta["measured"],
        )
        n_directions, n_columns = found.directions.shape
        fits = found.mean.shape == found.scale.shape == (n_columns,)
        if not (fits and found.lengths.shape == (n_directions,) and found.energy > 0 and found.threshold > 0):
            raise ValueError("the parts of its novelty do not fit each other")
        return found


def fit(
    x: Table, datasets: np.ndarray, folds: Sequence[tuple[np.ndarray, np.ndarray]], over: str
) -> Novelty | None:
    """Fit the distance to all rows, and its threshold to the held-out rows of each fold.

    Parameters
    ----------
    x : features as the model gets them, shape (n_rows, n_columns).
    datasets : the data set of each row, shape (n_rows,); each counts equally.
    folds : pairs of row numbers: to fit a distance on, and held out, on which it is measured.
    over : what the folds hold out, in the plural, such as ``datasets`` or ``subjects``.

    Returns
    -------
    The distance; None where there are too few held-out rows, or all training rows are equal.
    """
    from threadpoolctl import threadpool_limits

    folds = folds[:: -(-len(folds) // MOST_FOLDS)] if folds else ()
    if sum(len(test) for _, test in folds) < FEWEST_SCORED:
        return None
    rng = np.random.default_rng(SEED)
    drawn = [
        (_drawn(train, datasets, MOST_ROWS, rng), _drawn(test, datasets, MOST_SCORED, rng))
        for train, test in folds
    ]
    everything = _drawn(np.arange(len(x)), datasets, MOST_ROWS, rng)
    taken = _reader(x, [everything, *(rows for pair in drawn for rows in pair)])
    distances, held_out = [], [test for _, test in drawn]
    with threadpool_limits(1):  # sums do not depend on the number of threads
        for train, test in drawn:
            distance = _learn(taken(train))
            if distance is None:
                return None
            distances.append(distance.distance(taken(test)))
        found = _learn(taken(everything))
    if found is None:
        return None
    rows, values = np.concatenate(held_out), np.concatenate(distances)
    weights = _equal_weights(datasets[rows])
    threshold = float(f"{_quantile(values, weights, 1 - FALSE_ALARMS):.6g}")
    if threshold <= 0:
        return None
    beyond, of_row = values > threshold, datasets[rows]
    measured = {
        "false_alarms": float(weights @ beyond),
        "n_rows": len(rows),
        "each": {str(name): float(beyond[of_row == name].mean()) for name in np.unique(of_row)},
        "over": over,
    }
    return found._replace(threshold=threshold, measured=measured)


def _reader(x: Table, wanted: Sequence[np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """What gives rows by their numbers, each some that are wanted; those on the disk are read once."""
    if not stored(x):
        return lambda rows: x[rows]
    chosen = np.unique(np.concatenate(wanted))
    few = x[chosen]
    return lambda rows: few[np.searchsorted(chosen, rows)]


def _learn(x: np.ndarray) -> Novelty | None:
    """A distance without threshold from training rows (n_rows, n_columns); None if they are all equal."""
    rows = x.astype(np.float64)
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    varies = scale > np.finfo(np.float32).eps * np.maximum(np.abs(mean), np.finfo(np.float32).tiny)
    scale = np.where(varies, scale, 1)
    bare = Novelty(
        mean.astype(np.float32), scale.astype(np.float32), *_directions(x, mean, scale), energy=1.0
    )
    energy = float(f"{bare._outside(x).mean():.6g}")
    return bare._replace(energy=energy) if energy > 0 else None


def _directions(x: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The directions of largest energy and their lengths, as `Novelty` keeps them."""
    from scipy.linalg import eigh  # unlike numpy's, it can stop at the largest

    rows = _compressed(x, mean, scale)
    n_directions = min(N_DIRECTIONS, len(rows) // COLUMNS_PER_DIRECTION, x.shape[1] // COLUMNS_PER_DIRECTION)
    if not n_directions:
        return np.zeros((0, x.shape[1]), np.int8), np.zeros(0)
    tall = len(rows) > x.shape[1]
    gram = (rows.T @ rows if tall else rows @ rows.T).astype(np.float64)
    _, vectors = eigh(gram, subset_by_index=(len(gram) - n_directions, len(gram) - 1))
    directions = vectors.T if tall else vectors.T @ rows
    largest = np.abs(directions).max(axis=1, keepdims=True)
    steps = np.rint(directions / np.where(largest > 0, largest, 1) * STEPS)
    return steps.astype(np.int8), np.maximum(np.sqrt(np.square(steps).sum(axis=1)), 1)


def _compressed(x: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Standardised features, large values compressed, float32."""
    return np.asarray(np.arcsinh((x - mean) / scale), np.float32)


def _drawn(rows: np.ndarray, datasets: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """About so many of the rows at most, ascending, and equally many of each data set that has so many."""
    names = np.unique(datasets[rows])
    shuffled = [rng.permutation(rows[datasets[rows] == name]) for name in names]
    kept = [each[: -(-most // len(names))] for each in shuffled]
    return np.sort(np.concatenate(kept)) if kept else rows


def _equal_weights(datasets: np.ndarray) -> np.ndarray:
    """Weights of sum 1 by which each data set counts equally, shape (n_rows,)."""
    _, of_row, counts = np.unique(datasets, return_inverse=True, return_counts=True)
    return np.asarray(1 / (len(counts) * counts[of_row]))


def _quantile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    """The smallest value at which the weights (of sum 1) of it and all smaller ones reach a share."""
    order = np.argsort(values, kind="stable")
    reached = int(np.searchsorted(np.cumsum(weights[order]), share - 1e-12))
    return float(values[order[min(reached, len(order) - 1)]])

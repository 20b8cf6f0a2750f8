"""The fit of a multinomial logistic regression to standardised rows, a few of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from eavctl.classifiers.columns import chunks
from eavctl.classifiers.streams import Table
from eavctl.jobs import useful

LEAST_SCALE = float(np.finfo(np.float32).eps)  # of a column that varies, relative to its mean
EXACT_VALUES = 1 << 20  # tables of fewer values are computed in float64
KEPT_BYTES = 256 << 20  # standardised rows up to this size are kept in memory during a fit
MOST_STEPS = 1000

SAMPLE_ROWS = 768  # from which the directions of largest variance are computed
N_DIRECTIONS = 96
LEAST_VARIANCE = 1e-6  # relative to the direction of largest variance

Map = Callable[[Callable[[slice], Any], Iterable[slice]], Iterator[Any]]


@contextmanager
def threads(jobs: int) -> Iterator[Map]:
    """A ``map`` whose function runs in threads; a sum over its results does not depend on their number.

    Each matrix product runs in a single thread, because its sums would depend on the number of threads.
    """
    from threadpoolctl import threadpool_limits

    n_threads = useful(jobs)
    with threadpool_limits(1), ThreadPoolExecutor(n_threads) as pool:
        yield pool.map if n_threads > 1 else map


@dataclass(frozen=True)
class Scaling:
    """Mean and scale of columns.

    Parameters
    ----------
    mean, scale : float32, shape (n_columns,); the scale of a column that does not vary is 1.
    varies : bool, shape (n_columns,).
    centres : of the data sets, float32, shape (n_datasets, n_columns): what is subtracted from their rows.
    """

    mean: np.ndarray
    scale: np.ndarray
    varies: np.ndarray
    centres: np.ndarray

    @classmethod
    def of(
        cls,
        x: Table,
        rows: np.ndarray,
        datasets: np.ndarray,
        weights: np.ndarray,
        run: Map,
        one_scale: bool = False,
    ) -> Scaling:
        """Compute the weighted mean and deviation of each column over some rows of a table.

        Parameters
        ----------
        x : shape (n_table, n_columns).
        rows : numbers of the rows, shape (n_rows,).
        datasets : the data set of each row, numbers from 0, shape (n_rows,), where each has a centre of its
            own: the deviation is that from its centre. All 0 for a common centre.
        weights : of the rows, shape (n_rows,).
        run : see `threads`.
        one_scale : all columns have the same scale, the root of the mean of their variances.
        """
        weights = weights / weights.sum()
        shares = np.bincount(datasets, weights)

        def sums_of(part: slice) -> np.ndarray:
            of_dataset = np.where(datasets[part] == np.arange(len(shares))[:, None], weights[part], 0)
            return np.asarray(of_dataset @ x[rows[part]].astype(np.float64))

        def variance_of(part: slice) -> np.ndarray:
            away = x[rows[part]].astype(np.float64) - centres[datasets[part]]
            return np.asarray(weights[part] @ np.square(away))

        sums = sum(run(sums_of, chunks(len(rows))), np.zeros((len(shares), x.shape[1])))
        centres, mean = sums / shares[:, None], sums.sum(axis=0)
        scale = np.sqrt(sum(run(variance_of, chunks(len(rows))), np.zeros(x.shape[1])))
        if one_scale:
            scale = np.full_like(scale, np.sqrt(np.mean(scale**2)))
        varies = scale > LEAST_SCALE * np.abs(mean)
        scale = np.where(varies, scale, 1)
        return cls(mean.astype(np.float32), scale.astype(np.float32), varies, centres.astype(np.float32))

    @property
    def factor(self) -> np.ndarray:
        """What a centred column is multiplied by, float64 (n_columns,): 0 where it does not vary."""
        return np.where(self.varies, 1 / self.scale.astype(np.float64), 0)

    def unscaled(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Convert the parameters for standardised columns to those for columns as they are.

        Parameters
        ----------
        parameters : shape (n_classes, 1 + n_columns), as `Problem.solve` returns them.

        Returns
        -------
        Float32 weights (n_classes, n_columns) and float64 intercepts (n_classes,), exact for these weights.
        """
        coef = (parameters[:, 1:] * self.factor).astype(np.float32)
        return coef, parameters[:, 0] - coef.astype(np.float64) @ self.mean


class Problem:
    """Rows to fit a logistic regression to, in which all classes weigh the same.

    Parameters
    ----------
    x : shape (n_table, n_columns); it is not changed.
    rows : numbers of the training rows, shape (n_rows,).
    y : their classes, numbers from 0, shape (n_rows,); every class occurs.
    weights : of the training rows, shape (n_rows,).
    run : see `threads`.
    datasets : of the training rows, numbers from 0, shape (n_rows,), each of which gets a centre of its own;
        all 0 for a common centre.
    counted : weights in the mean and deviation of the columns, shape (n_rows,).
    scaling : of the columns, where it is known from other rows; by default that of the training rows.
    one_scale : see `Scaling.of`.
    """

    def __init__(
        self,
        x: Table,
        rows: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray,
        run: Map,
        datasets: np.ndarray,
        counted: np.ndarray,
        scaling: Scaling | None = None,
        one_scale: bool = False,
    ) -> None:
        self._x, self._rows, self._y, self._run = x, rows, y, run
        self._datasets = datasets
        class_weights = np.bincount(y, weights)
        self.n_classes = len(class_weights)
        self._weights = weights / class_weights[y] / self.n_classes  # their sum is 1
        self.scaling = scaling or Scaling.of(x, rows, self._datasets, counted, run, one_scale)
        self._dtype = np.float64 if len(x) * x.shape[1] < EXACT_VALUES else np.float32
        self._centres, self._factor = (
            each.astype(self._dtype) for each in (self.scaling.centres, self.scaling.factor)
        )

    @property
    def start(self) -> np.ndarray:
        """Parameters of zero, shape (n_classes, 1 + n_columns)."""
        return np.zeros((self.n_classes, 1 + self._x.shape[1]))

    def solve(self, penalty: float, start: np.ndarray, tolerance: float) -> np.ndarray:
        """Minimise the weighted mean of the loss plus half the penalty times the sum of squared weights.

        Parameters
        ----------
        penalty : as a share of the total variance of the standardised rows, above 0.
        start : shape (n_classes, 1 + n_columns): of each class an intercept, which has no penalty, and
            weights.
        tolerance : largest slope of the objective at the solution, in the variables of `_Stretch`.

        Returns
        -------
        float64 array of the shape of ``start``, for standardised columns.
        """
        from scipy.optimize import minimize

        n_varying = int(self.scaling.varies.sum())
        strength = penalty * max(n_varying, 1)
        stretch = _Stretch.of(*self._widest, n_varying, self.n_classes, strength)

        def objective(variables: np.ndarray) -> tuple[float, np.ndarray]:
            parameters = stretch(variables.reshape(start.shape))
            loss, slope = self._loss(parameters)
            weights = parameters[:, 1:]
            slope[:, 1:] += strength * weights
            return loss + strength / 2 * float(np.vdot(weights, weights)), stretch(slope).ravel()

        found = minimize(
            objective,
            stretch.inverse(start).ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": MOST_STEPS, "ftol": 0, "gtol": tolerance},
        )
        return stretch(found.x.reshape(start.shape))

    def _loss(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """The weighted mean of the loss, and its slope, float64 of the shape of the parameters."""
        intercept, columns = parameters[:, 0], parameters[:, 1:].T.astype(self._dtype)

        def of_chunk(part: slice) -> tuple[float, np.ndarray, np.ndarray]:
            z, y, weights = self._standardized(part), self._y[part], self._weights[part]
            logits = (z @ columns).astype(np.float64) + intercept
            logits -= logits.max(axis=1, keepdims=True)
            powers = np.exp(logits)
            sums, own = powers.sum(axis=1), (np.arange(len(y)), y)
            loss = float(weights @ (np.log(sums) - logits[own]))
            errors = powers / sums[:, None]
            errors[own] -= 1
            errors *= weights[:, None]
            return loss, errors.sum(axis=0), errors.T.astype(self._dtype) @ z

        loss, slope = 0.0, np.zeros(parameters.shape)
        for part_loss, part_intercept, part_weights in self._run(of_chunk, chunks(len(self._rows))):
            loss += part_loss
            slope[:, 0] += part_intercept
            slope[:, 1:] += part_weights
        return loss, slope

    def _standardized(self, part: slice) -> np.ndarray:
        """Some training rows, standardised."""
        return self._standardize(part) if self._kept is None else self._kept[part]

    def _standardize(self, part: slice | np.ndarray) -> np.ndarray:
        """Some training rows, standardised anew."""
        z: np.ndarray = self._x[self._rows[part]].astype(self._dtype, copy=False)  # indexing copied them
        z -= self._centres[self._datasets[part]] if len(self._centres) > 1 else self._centres
        z *= self._factor
        return z

    @cached_property
    def _kept(self) -> np.ndarray | None:
        """All training rows, standardised; None where they are too many to keep."""
        shape = len(self._rows), self._x.shape[1]
        if shape[0] * shape[1] * np.dtype(self._dtype).itemsize > KEPT_BYTES:
            return None
        kept = np.empty(shape, self._dtype)
        for part in chunks(len(kept)):
            kept[part] = self._standardize(part)
        return kept

    @cached_property
    def _widest(self) -> tuple[np.ndarray, np.ndarray]:
        """Variances and principal directions of a sample of the rows: (n_kept,), (n_kept, n_columns)."""
        from scipy.linalg import eigh

        n_sample = min(SAMPLE_ROWS, len(self._rows))
        z = self._standardize(np.linspace(0, len(self._rows) - 1, n_sample).astype(int))
        is_tall = n_sample > z.shape[1]
        gram = (z.T @ z if is_tall else z @ z.T).astype(np.float64) / n_sample
        widest = (max(len(gram) - N_DIRECTIONS, 0), len(gram) - 1)
        variance, vectors = eigh(gram, subset_by_index=widest)
        kept = variance > LEAST_VARIANCE * max(variance[-1], LEAST_VARIANCE)
        variance, vectors = variance[kept], vectors[:, kept]
        if is_tall:
            return variance, vectors.T
        directions = vectors.T.astype(self._dtype) @ z / np.sqrt(n_sample * variance)[:, None]
        return variance, directions.astype(np.float64)


@dataclass(frozen=True)
class _Stretch:
    """A change of variables after which the objective curves about alike in all directions.

    Without it the solver needs ten times as many steps, because the columns of a table are correlated. The
    curvature of the loss, where nothing is known yet, is the covariance of the rows over the number of
    classes; the penalty adds its strength. Only the directions of largest variance differ; all others share
    what variance is left. The solution does not depend on it.

    Parameters
    ----------
    directions : orthonormal, shape (n_directions, n_columns).
    along : factors along them, shape (n_directions,).
    across : factor across them.
    intercept : factor of the intercepts.
    """

    directions: np.ndarray
    along: np.ndarray
    across: float
    intercept: float

    @classmethod
    def of(
        cls, variance: np.ndarray, directions: np.ndarray, total: float, n_classes: int, strength: float
    ) -> _Stretch:
        """Compute the factors from variances along directions and in total, and the penalty's strength."""
        rest = max(total - variance.sum(), 0) / directions.shape[1]
        along, across = (1 / np.sqrt(strength + each / n_classes) for each in (variance, rest))
        return cls(directions, along, float(across), float(np.sqrt(n_classes)))

    def __call__(self, variables: np.ndarray) -> np.ndarray:
        """Convert variables to parameters, or slopes by parameters to slopes by variables."""
        return self._times(variables, self.along, self.across, self.intercept)

    def inverse(self, parameters: np.ndarray) -> np.ndarray:
        """Convert parameters to variables."""
        return self._times(parameters, 1 / self.along, 1 / self.across, 1 / self.intercept)

    def _times(self, values: np.ndarray, along: np.ndarray, across: float, intercept: float) -> np.ndarray:
        weights = values[:, 1:]
        extra = (weights @ self.directions.T * (along - across)) @ self.directions
        return np.column_stack([values[:, :1] * intercept, weights * across + extra])

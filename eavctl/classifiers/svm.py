"""A support vector machine with an RBF kernel: scikit-learn fits it, numpy alone predicts.

`eavctl.classifiers.within_class` normalises the features. Inner folds of the training rows, which keep groups
whole, choose C and gamma and calibrate the class probabilities (`eavctl.classifiers.calibration`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eavctl.classifiers import weighting, within_class
from eavctl.classifiers.calibration import Calibration, bias_of, decide, fit_calibration, priors_of
from eavctl.classifiers.columns import check_shape, checked, mean_uar
from eavctl.classifiers.inner_folds import Fold, InnerRows
from eavctl.classifiers.within_class import Normalizer

if TYPE_CHECKING:
    from sklearn.svm import SVC  # not needed to predict

    from eavctl.classifiers.step import Projection

C_GRID = (0.25, 1.0, 4.0, 16.0)
GAMMA_GRID = (0.02, 0.1, 0.5)  # over the total variance of the normalised training rows


@dataclass(frozen=True)
class SvmModel:
    """A fitted support vector machine; its decisions equal scikit-learn's to rounding.

    Parameters
    ----------
    classes_ : names of the classes, shape (n_classes,).
    normalizer : of the features.
    support : support vectors, ordered by class, before normalisation, shape (n_support, n_columns).
    dual : dual coefficients as libsvm orders them, shape (n_classes - 1, n_support).
    n_support : support vectors of each class, shape (n_classes,).
    intercept : one a pair of classes, shape (n_classes * (n_classes - 1) / 2,).
    gamma : of the kernel ``exp(-gamma ||a - b||^2)``.
    beta, bias : calibration: probabilities are the softmax of beta * decision values + bias; ``bias`` has
        shape (n_classes,).
    priors : shares of the classes among the training rows, shape (n_classes,).
    chosen : the chosen C and gamma, and the inner score of every pair that was tried.
    """

    classes_: np.ndarray
    normalizer: Normalizer
    support: np.ndarray
    dual: np.ndarray
    n_support: np.ndarray
    intercept: np.ndarray
    gamma: float
    beta: float
    bias: np.ndarray
    priors: np.ndarray
    chosen: Mapping[str, Any]

    @property
    def mean(self) -> np.ndarray:
        """Mean of each column in the training rows, shape (n_columns,)."""
        return self.normalizer.mean

    @property
    def scale(self) -> np.ndarray:
        """Standard deviation of each column in the training rows, shape (n_columns,); 1 of a constant one."""
        return self.normalizer.scale

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        """Decision values of each class: the sum of soft votes over all pairs of classes.

        Each pair adds ``tanh`` of its decision to its first class and subtracts it from its second.
        scikit-learn counts whole votes, which carry no confidence.

        Parameters
        ----------
        x : shape (n_rows, n_columns).

        Returns
        -------
        float64 array, shape (n_rows, n_classes).

        Raises
        ------
        DataError : ``x`` has another number of columns.
        """
        check_shape(x, self.support.shape[1])
        support, squares = self._normalized_support
        kernel = np.exp(-self.gamma * _squared_distances(self.normalizer(x), support, squares))
        return soft_votes(self.pairs(kernel), len(self.classes_))

    @cached_property
    def _normalized_support(self) -> tuple[np.ndarray, np.ndarray]:
        """The support vectors and their squared norms, computed once: recordings are judged one by one."""
        support = self.normalizer(self.support)
        return support, _squared_norms(support)

    def pairs(self, kernel: np.ndarray) -> np.ndarray:
        """Decision of each pair of classes (i, j), positive for i; of two classes, for the second."""
        ends = np.cumsum(self.n_support)
        rows = [slice(end - n, end) for end, n in zip(ends, self.n_support, strict=True)]
        columns = []
        for number, (i, j) in enumerate(_class_pairs(len(self.classes_))):
            value = (
                kernel[:, rows[i]] @ self.dual[j - 1, rows[i]] + kernel[:, rows[j]] @ self.dual[i, rows[j]]
            )
            columns.append(value + self.intercept[number])
        return np.column_stack(columns)

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Calibrated class probabilities, float64 (n_rows, n_classes), of features (n_rows, n_columns).

        Raises
        ------
        DataError : ``x`` has another number of columns, or values that are not finite.
        """
        return self.calibration(self.decision_function(x))

    @property
    def calibration(self) -> Calibration:
        """From decision values to probabilities."""
        return Calibration(self.beta, self.bias)

    def decide(self, proba: np.ndarray) -> np.ndarray:
        """Class numbers predicted from probabilities: see `eavctl.classifiers.calibration.decide`."""
        return decide(proba, self.priors)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Predicted class name of each row, shape (n_rows,)."""
        answers: np.ndarray = self.classes_[self.decide(self.predict_proba(x))]
        return answers

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays of the model file; `from_parts` rebuilds the model from them and `to_meta`."""
        own = {name: getattr(self, name) for name in ("support", "dual", "n_support", "intercept")}
        return own | vars(self.normalizer)

    def to_meta(self) -> dict[str, Any]:
        """JSON-able values of the model file."""
        return {
            "classes": self.classes_.tolist(),
            "gamma": self.gamma,
            "beta": self.beta,
            "bias": self.bias.tolist(),
            "priors": self.priors.tolist(),
            "chosen": dict(self.chosen),
        }

    @classmethod
    def from_parts(cls, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> SvmModel:
        """Rebuild a model from `to_arrays` and `to_meta`.

        Raises
        ------
        KeyError, ValueError : parts are missing or do not fit each other.
        """
        arrays = dict(arrays)
        normalizer = Normalizer(*(arrays.pop(field.name) for field in fields(Normalizer)))
        model = cls(
            normalizer=normalizer,
            classes_=np.array(meta["classes"]),
            chosen=meta["chosen"],
            gamma=float(meta["gamma"]),
            beta=float(meta["beta"]),
            bias=bias_of(meta.get("bias"), len(meta["classes"])),
            priors=priors_of(meta),
            **arrays,
        )
        n = len(model.classes_)
        fits = (
            model.dual.shape == (n - 1, len(model.support))
            and model.n_support.shape == (n,)
            and model.n_support.sum() == len(model.support)
            and model.intercept.shape == (n * (n - 1) // 2,)
            and normalizer.mean.shape == normalizer.scale.shape == model.support.shape[1:]
            and normalizer.directions.shape == normalizer.shortening.shape + model.support.shape[1:]
        )
        if not fits:
            raise ValueError("its arrays do not fit each other")
        return model


def fit(
    x: np.ndarray,
    labels: Sequence[str] | np.ndarray,
    *,
    weights: np.ndarray | None = None,
    groups: Sequence[str] | np.ndarray | None = None,
    units: Sequence[str] | np.ndarray | None = None,
    copies: np.ndarray | None = None,
    projection: Projection | None = None,
    seed: int = 42,
    c_grid: Sequence[float] = C_GRID,
    gamma_grid: Sequence[float] = GAMMA_GRID,
    shrinkage: float = within_class.SHRINKAGE,
    jobs: int = 1,
) -> SvmModel:
    """Fit a support vector machine: normalise, choose C and gamma, calibrate, fit on all rows.

    Parameters
    ----------
    x : float array, shape (n_rows, n_columns).
    labels : shape (n_rows,).
    weights : shape (n_rows,), mean 1, how much each row counts; None where all count alike. Copies divide the
        weight of their unit.
    groups : shape (n_rows,), such as people: no group is in both parts of an inner fold. Where that is
        impossible, an `eavctl.errors.TrainingWarning` says why.
    units : shape (n_rows,), clips or trials, kept whole where groups cannot be.
    copies : bool, shape (n_rows,), rows of altered copies of others of their unit: they are trained on, but
        C, gamma, calibration and priors are fitted without them.
    projection : as `eavctl.classifiers.linear.fit` takes it.
    seed : of the inner folds.
    c_grid, gamma_grid : values to try; gamma is divided by the total variance of the normalised rows.
    shrinkage : of `eavctl.classifiers.within_class.learn`.
    jobs : threads, at most one for each inner fold; the result does not depend on them.

    Raises
    ------
    DataError : fewer than two classes, a class of one row, values that are not finite, or shapes that do
        not match.
    """
    from threadpoolctl import threadpool_limits

    labels = checked(x, labels)
    classes, y = np.unique(labels, return_inverse=True)
    inner = InnerRows(y, classes.tolist(), groups, units, copies)
    folds, own, divided = inner.folds(seed), inner.own, inner.divided(weights)
    choices = list(itertools.product(c_grid, gamma_grid))
    with threadpool_limits(1):  # `jobs` alone decides how many threads work, and sums do not depend on it
        votes = _try(x, y, divided, folds, _Grid(c_grid, gamma_grid, shrinkage), jobs, projection)
        scores = [mean_uar(each, y, folds) for each in votes]
        best = max(
            range(len(choices)), key=lambda i: (round(scores[i], 6), *(-value for value in choices[i]))
        )
        c, relative_gamma = choices[best]
        x = _columns(x, projection, np.arange(len(y)))
        normalizer = within_class.learn(x, y, divided, shrinkage)
        rows = normalizer(x)
        gamma = relative_gamma / _total_variance(rows, divided)
        distances = _squared_distances(rows, rows)
        machine = _fitted_machine(c, _rbf(distances, gamma, out=distances), y, divided)
    weights_of_own = None if weights is None else weights[own]
    counts = np.bincount(y[own], weights_of_own)
    calibration = fit_calibration(votes[best][own], y[own], counts, weights_of_own)
    return SvmModel(
        classes_=classes,
        normalizer=normalizer,
        support=x[machine.support_],
        dual=machine.dual_coef_,
        n_support=machine.n_support_.astype(np.int64),
        intercept=machine.intercept_,
        gamma=gamma,
        beta=calibration.scale,
        bias=calibration.bias,
        priors=counts / counts.sum(),
        chosen={
            "C": c,
            "gamma_times_variance": relative_gamma,
            "inner_uar": [
                {"C": a, "gamma_times_variance": b, "uar": score}
                for (a, b), score in zip(choices, scores, strict=True)
            ],
        },
    )


class _Grid(NamedTuple):
    """Values of C and gamma to try, and the shrinkage of the normalisation."""

    c: Sequence[float]
    gamma: Sequence[float]
    shrinkage: float


def _try(
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray | None,
    folds: list[Fold],
    grid: _Grid,
    jobs: int,
    projection: Projection | None,
) -> np.ndarray:
    """Out-of-fold decisions for each (C, gamma): (n_choices, n_rows, n_classes).

    Folds run in threads: they share the table, and the solver and matrix products release Python's lock.
    """
    from joblib import Parallel, delayed

    from eavctl.jobs import useful

    tasks = (delayed(_try_fold)(x, y, weights, fold, grid, projection) for fold in folds)
    votes = np.empty((len(grid.c) * len(grid.gamma), len(y), len(np.unique(y))))
    run = Parallel(n_jobs=min(useful(jobs), len(folds)), prefer="threads")
    for (_, test), found in zip(folds, run(tasks), strict=True):
        votes[:, test] = found
    return votes


def _try_fold(
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray | None,
    fold: Fold,
    grid: _Grid,
    projection: Projection | None,
) -> np.ndarray:
    """Decisions of every choice on the test rows of one inner fold, (n_choices, n_test, n_classes).

    All choices share the distances, and all C of one gamma share its kernel.
    """
    train, test = fold
    x, weights = _columns(x, projection, train), weighting.taken(weights, train)
    inside, across, variance = _fold_distances(x, y, weights, fold, grid.shrinkage)
    kernel, kernel_across = np.empty_like(inside), np.empty_like(across)
    votes = np.empty((len(grid.c), len(grid.gamma), len(test), len(np.unique(y))))
    for j, gamma in enumerate(grid.gamma):
        _rbf(inside, gamma / variance, out=kernel)
        _rbf(across, gamma / variance, out=kernel_across)
        for i, c in enumerate(grid.c):
            pairs = _fitted_machine(c, kernel, y[train], weights).decision_function(kernel_across)
            votes[i, j] = soft_votes(pairs.reshape(len(test), -1), votes.shape[-1])
    return votes.reshape(-1, *votes.shape[2:])


def _columns(x: np.ndarray, projection: Projection | None, train: np.ndarray) -> np.ndarray:
    """All rows as the machine takes them, (n_rows, n_columns), where some are trained on."""
    return projection.table(train) if projection else x


def _fold_distances(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray | None, fold: Fold, shrinkage: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Squared distances among training rows and from test to training rows; variance of the training rows.

    ``weights`` are those of the training rows.
    """
    train, test = fold
    normalizer = within_class.learn(x[train], y[train], weights, shrinkage)
    rows = normalizer(x[train])
    inside, across = _squared_distances(rows, rows), _squared_distances(normalizer(x[test]), rows)
    return inside, across, _total_variance(rows, weights)


def _fitted_machine(c: float, kernel: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> SVC:
    """A machine fitted to a kernel matrix, in which classes count alike."""
    from sklearn.svm import SVC

    shared: dict[str, Any] = {"C": c, "kernel": "precomputed", "decision_function_shape": "ovo"}
    if weights is None:
        return SVC(class_weight="balanced", **shared).fit(kernel, y)
    # scikit-learn balances the numbers of rows; here it is their weights.
    balanced = weights * weighting.of_classes(y, int(y.max()) + 1, weights)[y]
    return SVC(**shared).fit(kernel, y, sample_weight=balanced)


def _rbf(distances: np.ndarray, gamma: float, out: np.ndarray) -> np.ndarray:
    """Kernel ``exp(-gamma * squared distance)``, written to ``out``, which may be ``distances``."""
    np.multiply(distances, -gamma, out=out)
    return np.asarray(np.exp(out, out=out))


def _total_variance(rows: np.ndarray, weights: np.ndarray | None) -> float:
    """Mean squared distance from the mean row; 1 if all rows are equal."""
    if weights is None:
        return float(rows.var(axis=0).sum()) or 1.0
    mean = np.average(rows, axis=0, weights=weights)
    return float(np.average(_squared_norms(rows - mean), weights=weights)) or 1.0


def _squared_norms(rows: np.ndarray) -> np.ndarray:
    """Of each row; row by row, so that no second matrix is needed."""
    return np.array([np.square(row).sum() for row in rows])


def _squared_distances(a: np.ndarray, b: np.ndarray, squares_b: np.ndarray | None = None) -> np.ndarray:
    """Squared Euclidean distances, shape (len(a), len(b)), without a second matrix of that size.

    Parameters
    ----------
    squares_b : the squared norms of ``b``, where they are known.
    """
    squares_b = _squared_norms(b) if squares_b is None else squares_b
    distances = a @ b.T
    for row, square in zip(distances, _squared_norms(a), strict=True):
        row *= -2
        row += square + squares_b
        np.maximum(row, 0, out=row)
    if a is b:
        np.fill_diagonal(distances, 0)  # rounding here would change the order of the solver's steps
    return np.asarray(distances)


def soft_votes(pairs: np.ndarray, n_classes: int) -> np.ndarray:
    """Decisions of pairs of classes, (n_rows, n_pairs) as scikit-learn's ``ovo``, to (n_rows, n_classes)."""
    each = np.tanh(pairs)
    if n_classes == 2:
        return np.hstack([-each, each])
    votes = np.zeros((len(pairs), n_classes))
    for number, (i, j) in enumerate(_class_pairs(n_classes)):
        votes[:, i] += each[:, number]
        votes[:, j] -= each[:, number]
    return votes


def _class_pairs(n_classes: int) -> Iterator[tuple[int, int]]:
    return itertools.combinations(range(n_classes), 2)

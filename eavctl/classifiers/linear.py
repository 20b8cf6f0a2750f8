"""Multinomial logistic regression with an L2 penalty: scipy fits it, numpy alone predicts.

Columns are standardised, and all classes weigh the same (`eavctl.classifiers.logistic`). Inner folds of the
training rows, which keep groups whole, choose the penalty and calibrate the class probabilities
(`eavctl.classifiers.calibration`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from eavctl.classifiers.calibration import Calibration, bias_of, decide, fit_calibration, priors_of, uar
from eavctl.classifiers.columns import check_shape, checked, chunks
from eavctl.classifiers.inner_folds import InnerRows
from eavctl.classifiers.streams import Table

if TYPE_CHECKING:
    from eavctl.classifiers.logistic import Problem, Scaling  # not needed to predict
    from eavctl.classifiers.step import Projection

PENALTIES = (3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4)  # over the total variance of the standardised rows
USUAL, MARGIN = 1e-3, 0.02  # the penalty, unless the UAR of another one is better by more than the margin
_Weights = tuple[np.ndarray, np.ndarray]  # (n_columns, n_classes), and (n_classes,)
ROUGH, TIGHT = 2e-3, 3e-5  # largest slopes at which the trials, and the fit of all rows, end


@dataclass(frozen=True)
class LinearModel:
    """A fitted logistic regression.

    Parameters
    ----------
    classes_ : names of the classes, shape (n_classes,).
    coef : weights of the columns as they are in a table, float32, shape (n_classes, n_columns); 0 for columns
        that did not vary.
    intercept : shape (n_classes,).
    mean, scale : mean and deviation of the columns of the training rows, float32, shape (n_columns,), which
        ``coef`` and ``intercept`` allow for; the deviation is 1 for columns that did not vary.
    beta, bias : calibration: probabilities are the softmax of beta * decision values + bias; ``bias`` has
        shape (n_classes,).
    priors : shares of the classes among the training rows, shape (n_classes,).
    chosen : the chosen penalty, and the inner score of every penalty that was tried.
    """

    classes_: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    beta: float
    bias: np.ndarray
    priors: np.ndarray
    chosen: Mapping[str, Any]

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        """Logits of each class for equally frequent classes, before calibration.

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
        check_shape(x, self.coef.shape[1])
        return _logits(x, np.arange(len(x)), self._columns, self.intercept)

    @cached_property
    def _columns(self) -> np.ndarray:
        """The weights, float64 (n_columns, n_classes): sums over columns of large means need the digits."""
        return self.coef.T.astype(np.float64)

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
        return {name: getattr(self, name) for name in ("coef", "intercept", "mean", "scale")}

    def to_meta(self) -> dict[str, Any]:
        """JSON-able values of the model file."""
        return {
            "classes": self.classes_.tolist(),
            "beta": self.beta,
            "bias": self.bias.tolist(),
            "priors": self.priors.tolist(),
            "chosen": dict(self.chosen),
        }

    @classmethod
    def from_parts(cls, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> LinearModel:
        """Rebuild a model from `to_arrays` and `to_meta`.

        Raises
        ------
        KeyError, ValueError, TypeError : parts are missing or do not fit each other.
        """
        n_classes = len(meta["classes"])
        model = cls(
            classes_=np.array(meta["classes"]),
            beta=float(meta["beta"]),
            bias=bias_of(meta["bias"], n_classes),
            priors=priors_of(meta),
            chosen=meta["chosen"],
            **arrays,
        )
        n_columns = model.mean.size
        fits = (
            model.coef.shape == (n_classes, n_columns)
            and model.intercept.shape == (n_classes,)
            and model.mean.shape == model.scale.shape == (n_columns,)
        )
        if not fits:
            raise ValueError("its arrays do not fit each other")
        return model


def fit(
    x: Table,
    labels: Sequence[str] | np.ndarray,
    *,
    weights: np.ndarray | None = None,
    groups: Sequence[str] | np.ndarray | None = None,
    units: Sequence[str] | np.ndarray | None = None,
    copies: np.ndarray | None = None,
    datasets: Sequence[str] | np.ndarray | None = None,
    scaling: Scaling | None = None,
    projection: Projection | None = None,
    seed: int = 42,
    penalties: Sequence[float] = PENALTIES,
    jobs: int = 1,
) -> LinearModel:
    """Fit a logistic regression: choose the penalty, calibrate, fit on all rows.

    The objective is the weighted mean of the loss plus half the penalty times the sum of squared weights of
    the standardised columns: for n rows the penalty is ``1 / (C n)`` of scikit-learn's C. Large tables are
    standardised a few rows at a time, so that no second table is made.

    Parameters
    ----------
    x : float array, shape (n_rows, n_columns), or some rows of one.
    labels : shape (n_rows,).
    weights : of the rows, above 0, shape (n_rows,); by default all are equal. Copies divide the weight of
        their unit.
    groups : shape (n_rows,), such as people: no group is in both parts of an inner fold. Where that is
        impossible, an `eavctl.errors.TrainingWarning` says why.
    units : shape (n_rows,), clips or trials, kept whole where groups cannot be.
    copies : bool, shape (n_rows,), rows that are only trained on, such as altered copies of others of their
        unit: mean and deviation of the columns, the penalty, calibration and priors are of the other rows. A
        class that has no other rows is not answered: the probabilities are those given that it is none of
        these.
    datasets : shape (n_rows,): the rows of each data set are centred by their own mean, so that nothing is
        learned from how data sets differ, such as in their microphones. The rows to predict are not centred;
        they count from the mean of the data sets' means.
    scaling : mean and scale of the columns, known from more rows than have labels; by default those of the
        rows that are fitted on, in each inner fold anew.
    projection : gives the columns that the model takes, by a step that is fitted on training rows; what needs
        labels is fitted in each inner fold anew.
    seed : of the inner folds.
    penalties : values to try, as shares of the total variance of the standardised rows.
    jobs : threads; the result does not depend on them.

    Raises
    ------
    DataError : fewer than two classes, a class of one row, values that are not finite, or shapes that do
        not match.
    """
    from eavctl.classifiers.logistic import Problem, threads

    labels = checked(x, labels)
    classes, y, n_answered = _answered_first(labels, copies)
    inner = InnerRows(y, classes.tolist(), groups, units, copies)
    folds, own, divided = inner.folds(seed), inner.own, inner.divided(weights)
    alike, given = (
        np.ones(len(y)) if each is None else np.asarray(each, np.float64) for each in (divided, weights)
    )
    counted = given if copies is None else given * ~copies
    tried = sorted(penalties, reverse=True)
    one_scale = projection is not None and projection.one_scale
    with threads(jobs) as run:

        def problem_of(table: Table, train: np.ndarray) -> Problem:
            return Problem(
                table,
                train,
                _numbers(y, train),
                alike[train],
                run,
                _numbers(datasets, train),
                counted[train],
                scaling,
                one_scale,
            )

        scores = np.empty((len(tried), len(folds)))
        of_fold: list[Sequence[np.ndarray] | list[_Weights]] = []
        for number, (train, test) in enumerate(folds):
            table = projection.table(train) if projection else x
            found = _solutions(problem_of(table, train), tried)
            # Logits of all penalties are large; without a step to fit again they are computed again below.
            logits: list[np.ndarray] = []
            for penalty, weights_of in enumerate(found):
                values = _logits(table, test, *weights_of)[:, :n_answered]
                scores[penalty, number] = uar(values.argmax(axis=1), y[test])
                logits += [values] if projection else []
            of_fold.append(logits if projection else found)
        inner_uar = scores.mean(axis=1).tolist()
        best = _chosen(tried, inner_uar)
        chosen = np.empty((len(y), n_answered))
        for (_, test), each in zip(folds, of_fold, strict=True):
            chosen[test] = each[best] if projection else _logits(x, test, *each[best])[:, :n_answered]
        everything = np.arange(len(y))
        problem = problem_of(projection.table(everything) if projection else x, everything)
        coef, intercept = problem.scaling.unscaled(problem.solve(tried[best], problem.start, TIGHT))
    scaling = problem.scaling
    del problem  # which holds the standardised rows
    weights_of_own = None if weights is None else given[own]
    counts = np.bincount(y[own], weights_of_own)
    calibration = fit_calibration(chosen[own], y[own], counts, weights_of_own)
    return LinearModel(
        classes_=classes[:n_answered],
        coef=coef[:n_answered],
        intercept=intercept[:n_answered],
        mean=scaling.mean,
        scale=scaling.scale,
        beta=calibration.scale,
        bias=calibration.bias,
        priors=counts / counts.sum(),
        chosen={
            "penalty": tried[best],
            "inner_uar": [
                {"penalty": penalty, "uar": score} for penalty, score in zip(tried, inner_uar, strict=True)
            ],
        },
    )


def solved(
    x: Table,
    y: np.ndarray,
    penalty: float,
    *,
    weights: np.ndarray | None = None,
    scaling: Scaling | None = None,
    jobs: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit with one penalty and nothing else: no inner folds, which few rows cannot give, and no calibration.

    Parameters
    ----------
    x, weights, scaling, jobs : as in `fit`.
    y : class numbers from 0, shape (n_rows,); every class occurs.

    Returns
    -------
    Weights of the columns, float32 (n_classes, n_columns), and intercepts (n_classes,): the largest logit is
        that of the answer, for classes that are equally frequent.
    """
    from eavctl.classifiers.logistic import Problem, threads

    rows, ones = np.arange(len(y)), np.ones(len(y))
    with threads(jobs) as run:
        given = ones if weights is None else weights
        problem = Problem(x, rows, y, given, run, np.zeros(len(y), np.int64), ones, scaling)
        return problem.scaling.unscaled(problem.solve(penalty, problem.start, TIGHT))


def _chosen(penalties: Sequence[float], scores: Sequence[float]) -> int:
    """Number of the penalty to use: inner scores differ by chance, the more the fewer people are in them.

    Parameters
    ----------
    penalties : in descending order, so that the strongest of equally good ones is chosen.
    scores : the inner UAR of each.
    """
    best = max(range(len(penalties)), key=lambda i: round(scores[i], 6))
    if USUAL not in penalties:
        return best
    usual = penalties.index(USUAL)
    return usual if scores[best] - scores[usual] <= MARGIN else best


def _answered_first(labels: np.ndarray, copies: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, int]:
    """Names of the classes, each row's number among them, and how many are answered, which come first.

    A class whose rows are all ``copies``, which are trained on and never tested, is not answered.
    """
    classes, y = np.unique(labels, return_inverse=True)
    n_own = np.bincount(y if copies is None else y[~copies], minlength=len(classes))
    order = np.argsort(n_own == 0, kind="stable")
    return classes[order], np.argsort(order)[y], int(np.count_nonzero(n_own))


def _numbers(names: Sequence[str] | np.ndarray | None, rows: np.ndarray) -> np.ndarray:
    """A number from 0 for the name of each row, shape (n_rows,), in the order of those that occur."""
    if names is None:
        return np.zeros(len(rows), np.int64)
    return np.unique(np.asarray(names)[rows], return_inverse=True)[1]


def _solutions(problem: Problem, penalties: Sequence[float]) -> list[_Weights]:
    """Weights of the columns and intercepts for each penalty.

    From the strongest penalty to the weakest, each fit starts at the solution of the one before.
    """
    found, solutions = problem.start, []
    for penalty in penalties:
        found = problem.solve(penalty, found, ROUGH)
        coef, intercept = problem.scaling.unscaled(found)
        solutions.append((coef.T.astype(np.float64), intercept))
    return solutions


def _logits(x: Table, rows: np.ndarray, columns: np.ndarray, intercept: np.ndarray) -> np.ndarray:
    """Logits, float64 (n_rows, n_classes), of rows by their numbers, with weights (n_columns, n_classes)."""
    logits = np.empty((len(rows), len(intercept)))
    for part in chunks(len(rows)):
        logits[part] = x[rows[part]].astype(np.float64) @ columns + intercept
    return logits

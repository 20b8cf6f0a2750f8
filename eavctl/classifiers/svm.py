"""A support vector machine with an RBF kernel: scikit-learn fits it, plain numpy applies it.

Features are standardised, then square-rooted with their sign kept: the value normalisation of Kaya and
Karpov [1]_, which keeps a few wild statistics of a clip from ruling its distances. C and gamma are chosen,
and the class probabilities calibrated by one temperature [2]_, by folds of the training rows that keep
groups whole.

.. [1] Kaya, Karpov: Efficient and effective strategies for cross-corpus acoustic emotion recognition,
   Neurocomputing 275, 2018.
.. [2] Guo et al.: On calibration of modern neural networks, ICML 2017. Beside Platt's sigmoids it leaves the
   order of the classes as the machine has it.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from eavctl.errors import DataError

C_GRID = (1.0, 4.0, 16.0)
GAMMA_GRID = (0.05, 0.2, 0.8)  # in units of 1 / n_columns, the inverse mean squared norm of a scaled row
INNER_FOLDS = 4

Folds = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class SvmModel:
    """A fitted support vector machine, equal to scikit-learn's to rounding.

    Parameters
    ----------
    classes_ : names of the classes, shape (n_classes,).
    mean, scale : of each column in the training rows, shape (n_columns,).
    support : support vectors, by class, as they came: unscaled, shape (n_support, n_columns).
    dual : dual coefficients as libsvm orders them, shape (n_classes - 1, n_support).
    n_support : support vectors of each class, shape (n_classes,).
    intercept : one a pair of classes, shape (n_classes * (n_classes - 1) / 2,).
    gamma : of the kernel ``exp(-gamma ||a - b||^2)``.
    beta : inverse temperature of the softmax over the decision values.
    chosen : C and gamma chosen, and the inner score of every choice.
    """

    classes_: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    support: np.ndarray
    dual: np.ndarray
    n_support: np.ndarray
    intercept: np.ndarray
    gamma: float
    beta: float
    chosen: Mapping[str, Any]

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        """How far each row lies on each class's side: the soft votes of all pairs of classes.

        Each pair votes ``tanh`` of its decision for its first class and the opposite for its second. Counting
        whole votes instead, as scikit-learn does, leaves nothing that tells sure answers from doubtful ones.

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
        if x.ndim != 2 or x.shape[1] != len(self.mean):
            raise DataError(f"the model takes {len(self.mean)} features, the table has shape {x.shape[1:]}")
        kernel = np.exp(-self.gamma * _squared_distances(self._scaled(x), self._scaled_support))
        return soft_votes(self._pairs(kernel), len(self.classes_))

    @cached_property
    def _scaled_support(self) -> np.ndarray:
        return self._scaled(self.support)

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        return _rooted((x.astype(np.float64) - self.mean) / self.scale)

    def _pairs(self, kernel: np.ndarray) -> np.ndarray:
        """Decision of each pair of classes (i, j), above 0 for i; for the second where there are but two."""
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
        """Calibrated class probabilities, float64 (n_rows, n_classes), of features (n_rows, n_columns)."""
        logits = self.beta * self.decision_function(x)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The likeliest class of each row, shape (n_rows,)."""
        likeliest: np.ndarray = self.classes_[self.predict_proba(x).argmax(axis=1)]
        return likeliest

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The numbers, for the model file; with `to_meta` they make the model again."""
        names = ("mean", "scale", "support", "dual", "n_support", "intercept")
        return {name: getattr(self, name) for name in names}

    def to_meta(self) -> dict[str, Any]:
        """The JSON-able rest."""
        return {
            "classes": self.classes_.tolist(),
            "gamma": self.gamma,
            "beta": self.beta,
            "chosen": dict(self.chosen),
        }

    @classmethod
    def from_parts(cls, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> SvmModel:
        """Rebuild a model from `to_arrays` and `to_meta`.

        Raises
        ------
        KeyError, ValueError : parts are missing or do not fit each other.
        """
        model = cls(
            classes_=np.array(meta["classes"]),
            chosen=meta["chosen"],
            gamma=float(meta["gamma"]),
            beta=float(meta["beta"]),
            **arrays,
        )
        n = len(model.classes_)
        fits = (
            model.dual.shape == (n - 1, len(model.support))
            and model.n_support.shape == (n,)
            and model.n_support.sum() == len(model.support)
            and model.intercept.shape == (n * (n - 1) // 2,)
            and model.mean.shape == model.scale.shape == model.support.shape[1:]
        )
        if not fits:
            raise ValueError("its arrays do not fit each other")
        return model


def fit(
    x: np.ndarray,
    labels: Sequence[str] | np.ndarray,
    *,
    groups: Sequence[str] | np.ndarray | None = None,
    seed: int = 42,
    c_grid: Sequence[float] = C_GRID,
    gamma_grid: Sequence[float] = GAMMA_GRID,
    jobs: int = 1,
) -> SvmModel:
    """Fit a support vector machine: scale, choose C and gamma, calibrate, fit on all rows.

    Parameters
    ----------
    x : float array, shape (n_rows, n_columns).
    labels : shape (n_rows,).
    groups : shape (n_rows,); no group stands on both sides of an inner fold. Without groups, or with one,
        inner folds are stratified by class.
    seed : of the inner folds.
    c_grid, gamma_grid : what is tried; gamma in units of 1 / n_columns.
    jobs : processes; they change nothing in the result.

    Raises
    ------
    DataError : fewer than two classes, a class of one row, values that are not finite, or shapes that do
        not fit.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler
    from sklearn.svm import SVC

    raw = np.asarray(x)
    x, y = _checked(raw, labels)
    folds = inner_folds(y, groups, seed)
    scores = _try(x, y, folds, list(itertools.product(c_grid, gamma_grid)), jobs)
    c, gamma = max(scores, key=lambda choice: (round(scores[choice], 6), -choice[0], -choice[1]))

    class SoftVoting(SVC):  # type: ignore[misc]  # scikit-learn has no types
        """The same machine with the decisions that calibration is to see."""

        def decision_function(self, rows: np.ndarray) -> np.ndarray:
            votes = _decisions(super().decision_function(rows), len(self.classes_))
            return votes[:, 1] if len(self.classes_) == 2 else votes

    machine = SoftVoting(
        C=c, gamma=gamma / x.shape[1], class_weight="balanced", decision_function_shape="ovo"
    )
    pipeline = make_pipeline(StandardScaler(), FunctionTransformer(_rooted), machine)
    fitted = CalibratedClassifierCV(pipeline, method="temperature", cv=folds, ensemble=False).fit(x, y)
    chosen = {
        "C": c,
        "gamma_times_columns": gamma,
        "inner_uar": [{"C": a, "gamma_times_columns": b, "uar": uar} for (a, b), uar in scores.items()],
    }
    return _from_sklearn(fitted.calibrated_classifiers_[0], raw, chosen)


def inner_folds(y: np.ndarray, groups: Sequence[str] | np.ndarray | None, seed: int) -> Folds:
    """Cut rows into folds that keep groups whole and, as far as they allow, classes alike.

    Folds whose training part would lack a class are left out; where none is left, groups cannot be kept
    whole and the folds are stratified by class.

    Raises
    ------
    DataError : a class has a single row.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    smallest = int(np.unique(y, return_counts=True)[1].min())
    if smallest < 2:
        raise DataError("a class has a single row in a training part; at least two are needed")
    n_groups = 1 if groups is None else len(np.unique(np.asarray(groups)))
    if n_groups > 1:
        kind = StratifiedGroupKFold(min(INNER_FOLDS, n_groups), shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # classes rarer than folds are seen to below
            folds = [fold for fold in kind.split(y, y, np.asarray(groups)) if _whole(y, fold)]
        if folds and len(np.concatenate([test for _, test in folds])) == len(y):
            return folds
    plain = StratifiedKFold(min(INNER_FOLDS, smallest), shuffle=True, random_state=seed)
    return list(plain.split(y, y))


def _whole(y: np.ndarray, fold: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether the training part has every class and the test part a row."""
    return len(fold[1]) > 0 and len(np.unique(y[fold[0]])) == len(np.unique(y))


def _try(
    x: np.ndarray, y: np.ndarray, folds: Folds, choices: list[tuple[float, float]], jobs: int
) -> dict[tuple[float, float], float]:
    """Mean UAR over the inner folds of each (C, gamma times n_columns)."""
    from joblib import Parallel, delayed

    tasks = (delayed(_try_fold)(x, y, train, test, choices) for train, test in folds)
    each = np.array(Parallel(n_jobs=min(jobs, len(folds)))(tasks))
    return {choice: float(uar) for choice, uar in zip(choices, each.mean(axis=0), strict=True)}


def _try_fold(
    x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray, choices: list[tuple[float, float]]
) -> list[float]:
    """UAR of every choice on one inner fold; all share one matrix of distances."""
    from sklearn.metrics import recall_score
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    scaler = StandardScaler().fit(x[train])
    fitted, judged = (_rooted(scaler.transform(x[rows])) for rows in (train, test))
    inside, across = _squared_distances(fitted, fitted), _squared_distances(judged, fitted)
    result = []
    for c, gamma in choices:
        gamma = gamma / x.shape[1]
        machine = SVC(C=c, kernel="precomputed", class_weight="balanced", decision_function_shape="ovo")
        machine.fit(np.exp(-gamma * inside), y[train])
        decisions = machine.decision_function(np.exp(-gamma * across))
        predicted = machine.classes_[_decisions(decisions, len(machine.classes_)).argmax(axis=1)]
        present = np.unique(y[test])
        result.append(recall_score(y[test], predicted, labels=present, average="macro", zero_division=0))
    return result


def _decisions(pairs: np.ndarray, n_classes: int) -> np.ndarray:
    """Soft votes of scikit-learn's pairwise decisions, which for two classes are a vector."""
    return soft_votes(pairs.reshape(len(pairs), -1), n_classes)


def _from_sklearn(fitted: Any, rows: np.ndarray, chosen: Mapping[str, Any]) -> SvmModel:
    scaler, _, machine = (step for _, step in fitted.estimator.steps)
    return SvmModel(
        classes_=np.array([str(name) for name in fitted.classes]),
        mean=scaler.mean_,
        scale=scaler.scale_,
        support=rows[machine.support_],
        dual=machine.dual_coef_,
        n_support=machine.n_support_.astype(np.int64),
        intercept=machine.intercept_,
        gamma=float(machine.gamma),
        beta=float(fitted.calibrators[0].beta_),
        chosen=chosen,
    )


def _checked(x: np.ndarray, labels: Sequence[str] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(x, np.float64), np.asarray(labels, dtype=str)
    if x.ndim != 2 or len(x) != len(y) or not x.shape[1]:
        raise DataError(f"features of shape {x.shape} and {len(y)} labels do not fit")
    if not np.isfinite(x).all():
        raise DataError("some features are not finite numbers")
    if len(np.unique(y)) < 2:
        raise DataError("a training part has a single class; at least two are needed")
    return x, y


def _rooted(z: np.ndarray) -> np.ndarray:
    """Square root with the sign kept."""
    rooted: np.ndarray = np.sign(z) * np.sqrt(np.abs(z))
    return rooted


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances, shape (len(a), len(b))."""
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * (a @ b.T)
    return np.asarray(np.maximum(squares, 0))


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

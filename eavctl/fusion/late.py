"""Late fusion: the class probabilities of several models become those of one.

Tables meet by ``sample_id``, never by position, and classes by name. What is learned is learned on
out-of-fold rows: each fold is fused by a fuser that has seen the other folds alone, which hold other
speakers; the fuser that is kept has seen all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from eavctl import registry
from eavctl.errors import DataError, UsageError
from eavctl.evaluation import leakage
from eavctl.evaluation.metrics import indices
from eavctl.fusion.joining import Joined, join, merged_meta
from eavctl.registry import register
from eavctl.tables import PredictionTable

SMALLEST = 1e-6  # probabilities below are taken as this where a logarithm is needed
STACKING_C = 0.1  # inverse of the ridge; with some 700 rows of 8 classes, 0.03 to 1 do equally well
EM_STEPS = 1000
EM_CLOSE = 1e-10


class LateFuser:
    """Base of the fusers: joins and checks; a method adds how it combines and, perhaps, learns.

    Attributes
    ----------
    classes_ : names of the classes, shape (n_classes,), in the order of the probabilities.
    inputs : names of the tables, in the order in which they must come.
    arrays : what was learned.
    """

    method: ClassVar[str]
    learned: ClassVar[bool] = False
    kind = "fuse"

    def __init__(self) -> None:
        self.classes_: np.ndarray = np.array([], dtype=str)
        self.inputs: tuple[str, ...] = ()
        self.arrays: dict[str, np.ndarray] = {}

    def fit(self, tables: Sequence[PredictionTable], names: Sequence[str] | None = None) -> LateFuser:
        """Learn from all labelled rows that the tables have in common, and return self.

        Raises
        ------
        DataError : the tables do not fit together; or, where something is learned, they are not out of
            fold or have no labels.
        """
        joined = join(tables, names)
        if self.learned:
            for table, name in zip(tables, joined.names, strict=True):
                leakage.assert_out_of_fold(table.keys, table.meta, name)
        return self._fit_rows(joined, joined.labelled)

    def fuse(self, tables: Sequence[PredictionTable], names: Sequence[str] | None = None) -> PredictionTable:
        """Fuse the rows that the tables have in common, given in the order of `inputs`.

        Raises
        ------
        DataError : the tables do not fit together, or not this fuser.
        """
        joined = join(tables, names)
        if len(tables) != len(self.inputs):
            raise DataError(
                f"{len(tables)} tables, but this fuser was made for {len(self.inputs)}: {self.inputs}"
            )
        if set(joined.classes) != set(self.classes_.tolist()):
            raise DataError(f"the tables have the classes {joined.classes}, the fuser {tuple(self.classes_)}")
        order = [joined.classes.index(name) for name in self.classes_]
        proba = self.predict_proba(joined.stack[:, :, order])
        meta = self._meta(joined, tables)
        meta["out_of_fold"] = meta["out_of_fold"] and not self.learned
        return PredictionTable(joined.keys, proba, tuple(self.classes_.tolist()), meta)

    def predict_proba(self, stack: np.ndarray) -> np.ndarray:
        """Fuse probabilities, shape (n_rows, n_tables, n_classes), to (n_rows, n_classes)."""
        fused = self._combine(np.asarray(stack, dtype=np.float64))
        return np.asarray(fused / fused.sum(axis=1, keepdims=True))

    @property
    def weights(self) -> tuple[float, ...] | None:
        """The share of each table, summing to 1; None where the method has no such thing."""
        return (1 / len(self.inputs),) * len(self.inputs)

    def to_meta(self) -> dict[str, Any]:
        """What a model file keeps, JSON-able, beside `to_arrays`."""
        return {"method": self.method, "classes": self.classes_.tolist(), "inputs": list(self.inputs)}

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays that a model file keeps."""
        return dict(self.arrays)

    @staticmethod
    def from_parts(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> LateFuser:
        """Rebuild a fuser from `to_arrays` and `to_meta`.

        Raises
        ------
        UsageError : no such method.
        ValueError : the arrays do not fit the method.
        """
        fuser = new(str(meta["method"]))
        fuser.classes_, fuser.inputs = np.array(meta["classes"], dtype=str), tuple(meta["inputs"])
        fuser.arrays = {name: np.asarray(array, dtype=np.float64) for name, array in arrays.items()}
        fuser.predict_proba(np.full((1, len(fuser.inputs), len(fuser.classes_)), 1 / len(fuser.classes_)))
        return fuser

    def _fit_rows(self, joined: Joined, rows: np.ndarray) -> LateFuser:
        self.classes_, self.inputs = np.array(joined.classes, dtype=str), joined.names
        if self.learned:
            if not len(rows):
                raise DataError(
                    f"fusion by {self.method} learns from labels, and the tables have none in common"
                )
            labels = joined.keys["label"].to_numpy(dtype=object)[rows]
            unknown = sorted(set(labels) - set(joined.classes))
            if unknown:
                raise DataError(
                    f"some rows have the label {unknown[0]!r}, which is none of the tables' classes"
                )
            self._learn(joined.stack[rows], indices(labels, joined.classes))
        return self

    def _meta(self, joined: Joined, tables: Sequence[PredictionTable]) -> dict[str, Any]:
        meta = merged_meta(joined, tables)
        meta["name"] = f"{self.method} fusion"
        weights = None if self.weights is None else dict(zip(joined.names, self.weights, strict=True))
        meta["fusion"] = {
            "method": self.method,
            "inputs": list(joined.names),
            "weights": weights,
            "left_out": joined.left_out,
        }
        return meta

    def _learn(self, stack: np.ndarray, truth: np.ndarray) -> None:
        raise NotImplementedError

    def _combine(self, stack: np.ndarray) -> np.ndarray:
        raise NotImplementedError


@register("fusers", "mean")
class Mean(LateFuser):
    """The mean of the probabilities."""

    method = "mean"

    def _combine(self, stack: np.ndarray) -> np.ndarray:
        return np.asarray(stack.mean(axis=1))


@register("fusers", "weighted")
class Weighted(LateFuser):
    """A weighted mean; the weights sum to 1 and make the log loss least.

    Found by expectation maximisation for the weights of a mixture of fixed parts [1]_, which never makes
    the log loss worse and needs no step size.

    References
    ----------
    .. [1] Dempster, Laird, Rubin: Maximum likelihood from incomplete data via the EM algorithm, 1977.
    """

    method, learned = "weighted", True

    def _learn(self, stack: np.ndarray, truth: np.ndarray) -> None:
        likelihood = np.maximum(stack[np.arange(len(truth)), :, truth], SMALLEST)
        weights = np.full(stack.shape[1], 1 / stack.shape[1])
        for _ in range(EM_STEPS):
            shares = weights * likelihood
            updated = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
            moved, weights = np.abs(updated - weights).max(), updated
            if moved < EM_CLOSE:
                break
        self.arrays = {"weights": weights}

    def _combine(self, stack: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("rtc,t->rc", stack, self.arrays["weights"]))

    @property
    def weights(self) -> tuple[float, ...]:
        """The share of each table."""
        return tuple(float(weight) for weight in self.arrays["weights"])


@register("fusers", "product")
class Product(LateFuser):
    """The geometric mean of the probabilities, brought to sum 1."""

    method = "product"

    def _combine(self, stack: np.ndarray) -> np.ndarray:
        return _softmax(np.log(np.maximum(stack, np.finfo(np.float64).tiny)).mean(axis=1))


@register("fusers", "max")
class Maximum(LateFuser):
    """The greatest probability that any model gives to a class, brought to sum 1."""

    method = "max"
    weights = None

    def _combine(self, stack: np.ndarray) -> np.ndarray:
        return np.asarray(stack.max(axis=1))


@register("fusers", "vote")
class Vote(LateFuser):
    """One vote a model; the mean of the probabilities has one vote too, which it may divide.

    So the majority wins, and of two classes with equal votes the one of the higher mean probability.
    """

    method = "vote"

    def _combine(self, stack: np.ndarray) -> np.ndarray:
        n_classes = stack.shape[2]
        votes = (stack.argmax(axis=2)[:, :, None] == np.arange(n_classes)).sum(axis=1)
        return np.asarray(votes + stack.mean(axis=1))


@register("fusers", "stacking")
class Stacking(LateFuser):
    """Multinomial logistic regression on the logarithms of all models' probabilities [1]_.

    References
    ----------
    .. [1] Wolpert: Stacked generalization, Neural Networks 5(2), 1992.
    """

    method, learned = "stacking", True

    def _learn(self, stack: np.ndarray, truth: np.ndarray) -> None:
        from sklearn.linear_model import LogisticRegression

        n_classes = stack.shape[2]
        present = np.unique(truth)
        if len(present) < 2:
            raise DataError("stacking needs rows of two classes at least to learn from")
        fitted = LogisticRegression(C=STACKING_C, max_iter=1000).fit(_logits(stack), truth)
        coef, intercept = fitted.coef_, fitted.intercept_
        if len(present) == 2:  # scikit-learn keeps the second class's half alone
            coef, intercept = np.vstack([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
        self.arrays = {
            "coef": np.zeros((n_classes, coef.shape[1])),
            "intercept": np.full(n_classes, np.log(SMALLEST)),  # a class never seen
        }
        self.arrays["coef"][present], self.arrays["intercept"][present] = coef, intercept

    def _combine(self, stack: np.ndarray) -> np.ndarray:
        return _softmax(_logits(stack) @ self.arrays["coef"].T + self.arrays["intercept"])

    @property
    def weights(self) -> tuple[float, ...]:
        """The share of each table in the sum of the coefficients' sizes."""
        sizes = np.abs(self.arrays["coef"]).reshape(-1, len(self.inputs), len(self.classes_)).sum(axis=(0, 2))
        return tuple(float(size) for size in sizes / max(sizes.sum(), SMALLEST))


@dataclass(frozen=True)
class Fused:
    """What a fusion came to: honest predictions, and the fuser to keep, which has seen all rows."""

    predictions: PredictionTable
    fuser: LateFuser


def new(method: str) -> LateFuser:
    """An unfitted fuser by its registered name.

    Raises
    ------
    UsageError : no such fuser, or not one of probabilities.
    """
    fuser = registry.get("fusers", method).thing()
    if not isinstance(fuser, LateFuser):
        raise UsageError(f"{method!r} does not fuse prediction tables")
    return fuser


def fuse(
    tables: Sequence[PredictionTable], method: str = "mean", names: Sequence[str] | None = None
) -> Fused:
    """Fuse prediction tables, and judge honestly: each fold's rows by a fuser of the other folds' rows.

    Parameters
    ----------
    tables : two or more, of the same classes in any order.
    method : a registered fuser.
    names : what messages and the result's metadata call the tables.

    Raises
    ------
    UsageError : no such method, or fewer than two tables.
    DataError : tables that do not fit together; for a method that learns also tables that are not out of
        fold, that were split into other folds than the first, or into one only.
    LeakError : a speaker stands in two folds, and the tables' protocol does not say so by name.
    """
    fuser = new(method).fit(tables, names)
    if not fuser.learned:
        return Fused(fuser.fuse(tables, names), fuser)
    joined = join(tables, names)
    if not joined.same_folds:
        raise DataError(
            f"fusion by {method} learns from the other folds, and the tables have different folds.\n"
            "Train them with the same --protocol, --folds, --group and --seed, or fuse by mean."
        )
    folds = joined.keys["fold"].to_numpy(dtype=int)
    if len(np.unique(folds)) < 2:
        raise DataError(
            f"fusion by {method} learns from the other folds, and the tables have one fold only.\n"
            "Train with --protocol group-kfold (or stratified), or fuse by mean."
        )
    meta = fuser._meta(joined, tables)
    proba = np.empty((len(joined.keys), len(joined.classes)))
    for fold in np.unique(folds):
        test = np.flatnonzero(folds == fold)
        train = np.setdiff1d(joined.labelled, test)
        _check(joined.keys, train, test, meta["protocol"])
        proba[test] = new(method)._fit_rows(joined, train).predict_proba(joined.stack[test])
    return Fused(PredictionTable(joined.keys, proba, joined.classes, meta), fuser)


def _check(keys: pd.DataFrame, train: np.ndarray, test: np.ndarray, protocol: Mapping[str, Any]) -> None:
    allow = ("subject",) if protocol.get("shares") else ()
    leakage.check(keys, train, test, allow=allow, group=protocol.get("group") or "subject")


def _logits(stack: np.ndarray) -> np.ndarray:
    """Log-probabilities, each table's around 0, shape (n_rows, n_tables * n_classes)."""
    logs = np.log(np.maximum(stack, SMALLEST))
    return np.asarray((logs - logs.mean(axis=2, keepdims=True)).reshape(len(stack), -1))


def _softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))

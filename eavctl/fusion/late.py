"""Late fusion: the class probabilities of several models are fused to those of one.

Tables are joined on ``sample_id``, never by position, and classes by name. A fuser is fitted on out-of-fold
rows only: each fold is fused by one that is fitted on the other folds, whose speakers are others, and the
fuser that is saved is fitted on all folds. The class priors of the decision rule are estimated in the same
way. A saved fuser accepts missing inputs: a row is fused from the inputs that it has, and no placeholder
value stands for the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from eavctl import registry
from eavctl.classifiers.calibration import decide, priors_of
from eavctl.errors import DataError, UsageError
from eavctl.evaluation import leakage
from eavctl.evaluation.metrics import indices
from eavctl.fusion.joining import FuserInputs, JoinedPredictions, hashes_of, join, merged_meta, unite
from eavctl.fusion.subsets import subsets_of, table_of
from eavctl.storage.tables import PredictionTable


class LateFuser:
    """Base of the fusers: joins and checks tables. A method adds `_combine` and, if trainable, `_train`.

    Attributes
    ----------
    classes_ : names of the classes, shape (n_classes,), in the order of the probabilities.
    inputs : names of the tables that it was fitted with.
    hashes : for each input the hashes of the models that made its table, by which tables are matched.
    priors : shares of the classes among the labelled rows that it was fitted on, shape (n_classes,); equal
        shares if there were none.
    arrays : fitted parameters.
    """

    method: ClassVar[str]
    trainable: ClassVar[bool] = False
    kind = "fuse"

    def __init__(self) -> None:
        self.classes_: np.ndarray = np.array([], dtype=str)
        self.inputs: tuple[str, ...] = ()
        self.hashes: tuple[tuple[str, ...], ...] = ()
        self.priors: np.ndarray = np.array([])
        self.arrays: dict[str, np.ndarray] = {}

    def fit(self, tables: Sequence[PredictionTable], names: Sequence[str] | None = None) -> LateFuser:
        """Fit on all labelled rows that the tables have in common, and return self.

        Raises
        ------
        DataError : tables that do not fit together; for a trainable method also tables that are not out of
            fold or have no labels.
        """
        return self._fit(join(tables, names))

    def fuse(self, tables: Sequence[PredictionTable], names: Sequence[str] | None = None) -> PredictionTable:
        """Fuse the rows that any of the tables has, each from the inputs that it has.

        Parameters
        ----------
        tables : for all inputs or some of them, in any order; matched by the models that made them.
        names : of the tables in messages.

        Returns
        -------
        A prediction table whose metadata has under ``fusion`` the number of rows of each set of inputs
        (``used``), and for each input the number of rows without it (``absent``).

        Raises
        ------
        UsageError : no table.
        DataError : tables that do not fit together or do not match the inputs, or a set of inputs that the
            method was not fitted for.
        """
        joined = unite(tables, FuserInputs(self.inputs, self.hashes, tuple(self.classes_.tolist())), names)
        meta = self._meta(joined)
        meta["out_of_fold"] = meta["out_of_fold"] and not self.trainable
        proba = self.predict_proba(joined.stack, joined.present)
        return PredictionTable(joined.keys, proba, joined.classes, meta, self._predicted(proba))

    def predict_proba(self, stack: np.ndarray, present: np.ndarray | None = None) -> np.ndarray:
        """Fuse the probabilities of several models to those of one.

        Parameters
        ----------
        stack : shape (n_rows, n_inputs, n_classes); values of missing inputs are not read.
        present : bool, shape (n_rows, n_inputs); by default all True.

        Returns
        -------
        float64, shape (n_rows, n_classes); each row sums to 1.

        Raises
        ------
        DataError : a row without any input, or with a set of inputs that the method was not fitted for.
        """
        stack = np.asarray(stack, dtype=np.float64)
        here = np.ones(stack.shape[:2], dtype=bool) if present is None else np.asarray(present, dtype=bool)
        if not here.any(axis=1).all():
            raise DataError(
                f"row {here.any(axis=1).argmin()} has none of the inputs {', '.join(self.inputs)}"
            )
        fused = np.empty((len(stack), stack.shape[2]))
        for pattern in np.unique(here, axis=0):
            rows, inputs = np.flatnonzero((here == pattern).all(axis=1)), np.flatnonzero(pattern)
            fused[rows] = self._combine(stack[np.ix_(rows, inputs)], inputs)
        return np.asarray(fused / fused.sum(axis=1, keepdims=True))

    def decide(self, proba: np.ndarray) -> np.ndarray:
        """Indices of the predicted classes: see `eavctl.classifiers.calibration.decide`."""
        return decide(proba, self.priors)

    @property
    def weights(self) -> tuple[float, ...] | None:
        """Weights of the inputs where all are present, summing to 1; None for a method without weights."""
        return (1 / len(self.inputs),) * len(self.inputs)

    def to_meta(self) -> dict[str, Any]:
        """JSON-able part of the model file; see `to_arrays` for the rest."""
        return {
            "method": self.method,
            "classes": self.classes_.tolist(),
            "inputs": list(self.inputs),
            "hashes": [list(each) for each in self.hashes],
            "priors": self.priors.tolist(),
        }

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays of the model file."""
        return dict(self.arrays)

    @staticmethod
    def from_parts(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> LateFuser:
        """Rebuild a fuser from `to_arrays` and `to_meta`.

        Raises
        ------
        UsageError : no such method.
        ValueError : the arrays do not fit the method, or the priors the classes.
        """
        fuser = new(str(meta["method"]))
        fuser.classes_, fuser.inputs = np.array(meta["classes"], dtype=str), tuple(meta["inputs"])
        fuser.priors = priors_of(meta)
        fuser.hashes = tuple(tuple(map(str, each)) for each in meta.get("hashes") or [()] * len(fuser.inputs))
        if len(fuser.hashes) != len(fuser.inputs):
            raise ValueError(f"hashes of {len(fuser.hashes)} inputs for {len(fuser.inputs)}")
        fuser.arrays = {name: np.asarray(array, dtype=np.float64) for name, array in arrays.items()}
        known = [subset for subset in subsets_of(range(len(fuser.inputs))) if fuser._supports(subset)]
        present = np.array([np.isin(range(len(fuser.inputs)), subset) for subset in known])
        fuser.predict_proba(np.full((*present.shape, len(fuser.classes_)), 1 / len(fuser.classes_)), present)
        return fuser

    def _fit(self, joined: JoinedPredictions) -> LateFuser:
        self._check_trainable(joined)
        return self._fit_rows(joined, joined.labelled)

    def _check_trainable(self, joined: JoinedPredictions) -> None:
        """Raise DataError if the method is trainable and cannot be fitted on these rows."""
        if not self.trainable:
            return
        for table, name in zip(joined.tables, joined.names, strict=True):
            leakage.assert_out_of_fold(table.keys, table.meta, name)
        labels = joined.keys["label"].to_numpy(dtype=object)[joined.labelled]
        if not len(labels):
            raise DataError(f"fusion by {self.method} is fitted on labels, and no common row has one")
        unknown = sorted(set(labels) - set(joined.classes))
        if unknown:
            raise DataError(f"some rows have the label {unknown[0]!r}, which is no class of the tables")

    def _fit_rows(self, joined: JoinedPredictions, rows: np.ndarray) -> LateFuser:
        self.classes_, self.inputs = np.array(joined.classes, dtype=str), joined.names
        self.hashes = tuple(hashes_of(table) for table in joined.tables)
        labels = joined.keys["label"].to_numpy(dtype=object)[rows]
        counts = np.array([(labels == name).sum() for name in joined.classes])
        self.priors = counts / counts.sum() if counts.any() else np.full(len(counts), 1 / len(counts))
        if self.trainable:
            self._train(joined.stack[rows], indices(labels, joined.classes))
        return self

    def _meta(self, joined: JoinedPredictions) -> dict[str, Any]:
        meta = merged_meta(joined)
        meta["name"] = f"{self.method} fusion"
        weights = None if self.weights is None else dict(zip(self.inputs, self.weights, strict=True))
        absent = (~joined.present).sum(axis=0).tolist()
        meta["fusion"] = {
            "method": self.method,
            "inputs": list(self.inputs),
            "weights": weights,
            "left_out": joined.left_out,
            "used": _used(joined.present, self.inputs),
            "absent": dict(zip(self.inputs, absent, strict=True)),
        }
        return meta

    def _predicted(self, proba: np.ndarray) -> np.ndarray:
        """Names of the predicted classes, object array (n_rows,)."""
        return np.asarray(self.classes_.astype(object)[self.decide(proba)])

    def _supports(self, inputs: tuple[int, ...]) -> bool:
        """Whether rows with only these inputs can be fused."""
        return True

    def _train(self, stack: np.ndarray, truth: np.ndarray) -> None:
        """Fit ``arrays`` to (n_rows, n_inputs, n_classes) and class indices (n_rows,)."""
        raise NotImplementedError

    def _combine(self, stack: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Fuse (n_rows, n_present, n_classes) to (n_rows, n_classes); ``inputs`` are the indices present."""
        raise NotImplementedError


@dataclass(frozen=True)
class Fused:
    """Result of a late fusion.

    Parameters
    ----------
    predictions : of the rows that all tables have, each fold by a fuser fitted on the other folds.
    fuser : fitted on all rows, to be saved.
    subsets : scores of the folds' fusers for every subset of the inputs, compared with the single tables
        (see `eavctl.fusion.subsets.table_of`); None if no row has a label.
    """

    predictions: PredictionTable
    fuser: LateFuser
    subsets: list[dict[str, Any]] | None


def new(method: str) -> LateFuser:
    """An unfitted fuser by its registered name.

    Raises
    ------
    UsageError : no such fuser, or one that is no `LateFuser`.
    """
    fuser = registry.get("fusers", method).thing()
    if not isinstance(fuser, LateFuser):
        raise UsageError(f"{method!r} does not fuse prediction tables")
    return fuser


def fuse(
    tables: Sequence[PredictionTable], method: str = "mean", names: Sequence[str] | None = None
) -> Fused:
    """Fuse prediction tables, each fold's rows by a fuser that is fitted on the other folds.

    Parameters
    ----------
    tables : two or more, of the same classes in any order.
    method : a registered fuser.
    names : of the tables, in messages and in the result's metadata.

    Raises
    ------
    UsageError : no such method, or fewer than two tables.
    DataError : tables that do not fit together; for a trainable method also tables that are not out of fold,
        or that have different folds or only one.
    LeakError : a speaker in two folds, where the tables' protocol does not allow it by name.
    """
    joined = check(tables, method, names)
    fuser = new(method)._fit(joined)
    meta = fuser._meta(joined)
    fold_fusers = _fold_fusers(fuser, joined)

    def fused(subset: tuple[str, ...]) -> PredictionTable:
        present = np.tile(np.isin(joined.names, subset), (len(joined.keys), 1))
        proba = np.empty((len(joined.keys), len(joined.classes)))
        pred = np.empty(len(joined.keys), dtype=object)
        for each, rows in fold_fusers:
            proba[rows] = each.predict_proba(joined.stack[rows], present[rows])
            pred[rows] = each._predicted(proba[rows])
        return PredictionTable(joined.keys, proba, joined.classes, meta, pred)

    singles = dict(zip(joined.names, joined.tables, strict=True))
    entries = table_of(fused, singles, joined.names) if len(joined.labelled) else None
    return Fused(fused(joined.names), fuser, entries)


def check(
    tables: Sequence[PredictionTable], method: str = "mean", names: Sequence[str] | None = None
) -> JoinedPredictions:
    """Join prediction tables and check that they can be fused.

    Raises
    ------
    UsageError, DataError, LeakError : as `fuse`.
    """
    joined = join(tables, names)
    fuser = new(method)
    fuser._check_trainable(joined)
    if fuser.trainable:
        _require_folds(method, joined)
        check = _leak_check(joined.keys, merged_meta(joined)["protocol"])
        for train, test in _folds(joined):
            if not len(train):
                raise DataError(
                    f"fusion by {method} is fitted on the labels of other folds, and one fold has them all"
                )
            check.check(train, test)
    return joined


def _fold_fusers(fuser: LateFuser, joined: JoinedPredictions) -> list[tuple[LateFuser, np.ndarray]]:
    """For each fold a fuser whose parameters and priors come from the other folds, and the fold's rows.

    Without folds, a method that is not trainable has one fuser with equal priors for all rows.
    """
    method, folds = fuser.method, joined.keys["fold"]
    if not fuser.trainable and (not joined.same_folds or folds.nunique() < 2):
        return [(new(method)._fit_rows(joined, np.arange(0)), np.arange(len(joined.keys)))]
    return [(new(method)._fit_rows(joined, train), test) for train, test in _folds(joined)]


def _folds(joined: JoinedPredictions) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each fold the labelled rows of the other folds, and its own rows."""
    folds = joined.keys["fold"]
    for fold in folds.unique():
        test = np.flatnonzero(folds == fold)
        yield np.setdiff1d(joined.labelled, test), test


def _require_folds(method: str, joined: JoinedPredictions) -> None:
    """Raise DataError if the tables do not have the folds that a trainable method needs."""
    if not joined.same_folds:
        raise DataError(
            f"fusion by {method} is fitted on other folds, and the tables have different folds.\n"
            "Train them with the same --protocol, --folds, --group and --seed, or fuse by mean."
        )
    if joined.keys["fold"].nunique() < 2:
        raise DataError(
            f"fusion by {method} is fitted on other folds, and the tables have one fold only.\n"
            "Train with --protocol group-kfold (or stratified), or fuse by mean."
        )


def _leak_check(keys: pd.DataFrame, protocol: Mapping[str, Any]) -> leakage.LeakCheck:
    allow = ("subject",) if protocol.get("shares") else ()
    return leakage.LeakCheck(keys, allow=allow, group=protocol.get("group") or "subject")


def _used(present: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    """Number of rows of each set of inputs, the largest sets first."""
    patterns, counts = np.unique(present, axis=0, return_counts=True)
    order = sorted(range(len(patterns)), key=lambda i: (-patterns[i].sum(), *(~patterns[i])))
    return {"+".join(np.array(names)[patterns[i]]): int(counts[i]) for i in order}

"""Late fusion: the class probabilities of several models become those of one.

Tables meet by ``sample_id``, never by position, and classes by name. What is learned is learned on
out-of-fold rows: each fold is fused by a fuser that has seen the other folds alone, which hold other
speakers; the fuser that is kept has seen all of them. That holds, too, for the shares of the classes by
which probabilities are made answers. A kept fuser takes what inputs there are: those that
a row lacks are left out of it, and no number stands in for them.
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
from eavctl.fusion.joining import Inputs, Joined, hashes_of, join, merged_meta, unite
from eavctl.fusion.subsets import subsets_of, table_of
from eavctl.storage.tables import PredictionTable


class LateFuser:
    """Base of the fusers: joins and checks; a method adds how it combines and, perhaps, learns.

    Attributes
    ----------
    classes_ : names of the classes, shape (n_classes,), in the order of the probabilities.
    inputs : names of the tables that it was fitted with.
    hashes : for each input the hashes of the models that made its table, by which it is known again.
    priors : shares of the classes among the labelled rows that it was fitted on, shape (n_classes,); equal
        ones where there were none.
    arrays : what was learned.
    """

    method: ClassVar[str]
    learned: ClassVar[bool] = False
    kind = "fuse"

    def __init__(self) -> None:
        self.classes_: np.ndarray = np.array([], dtype=str)
        self.inputs: tuple[str, ...] = ()
        self.hashes: tuple[tuple[str, ...], ...] = ()
        self.priors: np.ndarray = np.array([])
        self.arrays: dict[str, np.ndarray] = {}

    def fit(self, tables: Sequence[PredictionTable], names: Sequence[str] | None = None) -> LateFuser:
        """Learn from all labelled rows that the tables have in common, and return self.

        Raises
        ------
        DataError : the tables do not fit together; or, where something is learned, they are not out of
            fold or have no labels.
        """
        return self._fit(join(tables, names))

    def fuse(self, tables: Sequence[PredictionTable], names: Sequence[str] | None = None) -> PredictionTable:
        """Fuse the rows that any of the tables has, each by the inputs that it has.

        Parameters
        ----------
        tables : for all inputs or some of them, in any order; known by the models that made them.
        names : what messages call the tables.

        Returns
        -------
        A prediction table whose ``fusion`` says how many rows had which inputs (``used``), and how many
        lacked each (``absent``).

        Raises
        ------
        UsageError : no table.
        DataError : the tables do not fit together, or not this fuser; or it has learned nothing for the
            inputs that a row has.
        """
        joined = unite(tables, Inputs(self.inputs, self.hashes, tuple(self.classes_.tolist())), names)
        meta = self._meta(joined)
        meta["out_of_fold"] = meta["out_of_fold"] and not self.learned
        proba = self.predict_proba(joined.stack, joined.present)
        return PredictionTable(joined.keys, proba, joined.classes, meta, self._answers(proba))

    def predict_proba(self, stack: np.ndarray, present: np.ndarray | None = None) -> np.ndarray:
        """Fuse probabilities to those of one model.

        Parameters
        ----------
        stack : shape (n_rows, n_inputs, n_classes); whatever stands where an input is absent is not read.
        present : bool, shape (n_rows, n_inputs); by default all of them.

        Returns
        -------
        float64, shape (n_rows, n_classes); each row sums to 1.

        Raises
        ------
        DataError : a row has no input, or inputs for which nothing was learned.
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
        """The answers to fused probabilities: see `eavctl.classifiers.calibration.decide`."""
        return decide(proba, self.priors)

    @property
    def weights(self) -> tuple[float, ...] | None:
        """The share of each input where all are present, summing to 1; None where there is no such thing."""
        return (1 / len(self.inputs),) * len(self.inputs)

    def to_meta(self) -> dict[str, Any]:
        """What a model file keeps, JSON-able, beside `to_arrays`."""
        return {
            "method": self.method,
            "classes": self.classes_.tolist(),
            "inputs": list(self.inputs),
            "hashes": [list(each) for each in self.hashes],
            "priors": self.priors.tolist(),
        }

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays that a model file keeps."""
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
        known = [subset for subset in subsets_of(range(len(fuser.inputs))) if fuser._serves(subset)]
        present = np.array([np.isin(range(len(fuser.inputs)), subset) for subset in known])
        fuser.predict_proba(np.full((*present.shape, len(fuser.classes_)), 1 / len(fuser.classes_)), present)
        return fuser

    def _fit(self, joined: Joined) -> LateFuser:
        self._require_learnable(joined)
        return self._fit_rows(joined, joined.labelled)

    def _require_learnable(self, joined: Joined) -> None:
        """Raise DataError where something is to be learned and these rows do not allow it."""
        if not self.learned:
            return
        for table, name in zip(joined.tables, joined.names, strict=True):
            leakage.assert_out_of_fold(table.keys, table.meta, name)
        labels = joined.keys["label"].to_numpy(dtype=object)[joined.labelled]
        if not len(labels):
            raise DataError(f"fusion by {self.method} learns from labels, and the tables have none in common")
        unknown = sorted(set(labels) - set(joined.classes))
        if unknown:
            raise DataError(f"some rows have the label {unknown[0]!r}, which is none of the tables' classes")

    def _fit_rows(self, joined: Joined, rows: np.ndarray) -> LateFuser:
        self.classes_, self.inputs = np.array(joined.classes, dtype=str), joined.names
        self.hashes = tuple(hashes_of(table) for table in joined.tables)
        labels = joined.keys["label"].to_numpy(dtype=object)[rows]
        counts = np.array([(labels == name).sum() for name in joined.classes])
        self.priors = counts / counts.sum() if counts.any() else np.full(len(counts), 1 / len(counts))
        if self.learned:
            self._learn(joined.stack[rows], indices(labels, joined.classes))
        return self

    def _meta(self, joined: Joined) -> dict[str, Any]:
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

    def _answers(self, proba: np.ndarray) -> np.ndarray:
        """Names of the answers to fused probabilities, object array (n_rows,)."""
        return np.asarray(self.classes_.astype(object)[self.decide(proba)])

    def _serves(self, inputs: tuple[int, ...]) -> bool:
        """Whether it can do with these inputs alone."""
        return True

    def _learn(self, stack: np.ndarray, truth: np.ndarray) -> None:
        raise NotImplementedError

    def _combine(self, stack: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Fuse (n_rows, n_present, n_classes) to (n_rows, n_classes); ``inputs`` are the numbers of those."""
        raise NotImplementedError


@dataclass(frozen=True)
class Fused:
    """What a fusion came to.

    Parameters
    ----------
    predictions : of the rows that all tables have, each by a fuser that has not learned from its fold.
    fuser : the one to keep, which has seen all rows.
    subsets : scores of those same fusers for every subset of the inputs, beside the tables themselves (see
        `eavctl.fusion.subsets.table_of`); None where no row has a label.
    """

    predictions: PredictionTable
    fuser: LateFuser
    subsets: list[dict[str, Any]] | None


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
    joined = check(tables, method, names)
    fuser = new(method)._fit(joined)
    meta = fuser._meta(joined)
    judges = _judges(fuser, joined)

    def fused(subset: tuple[str, ...]) -> PredictionTable:
        present = np.tile(np.isin(joined.names, subset), (len(joined.keys), 1))
        proba = np.empty((len(joined.keys), len(joined.classes)))
        pred = np.empty(len(joined.keys), dtype=object)
        for judge, rows in judges:
            proba[rows] = judge.predict_proba(joined.stack[rows], present[rows])
            pred[rows] = judge._answers(proba[rows])
        return PredictionTable(joined.keys, proba, joined.classes, meta, pred)

    singles = dict(zip(joined.names, joined.tables, strict=True))
    entries = table_of(fused, singles, joined.names) if len(joined.labelled) else None
    return Fused(fused(joined.names), fuser, entries)


def check(
    tables: Sequence[PredictionTable], method: str = "mean", names: Sequence[str] | None = None
) -> Joined:
    """Join prediction tables, once it is known that nothing stands against fusing them.

    Raises
    ------
    UsageError, DataError, LeakError : as `fuse`.
    """
    joined = join(tables, names)
    fuser = new(method)
    fuser._require_learnable(joined)
    if fuser.learned:
        _require_folds(method, joined)
        protocol = merged_meta(joined)["protocol"]
        for train, test in _folds(joined):
            if not len(train):
                raise DataError(
                    f"fusion by {method} learns from other folds' labels, and one fold has them all"
                )
            _check(joined.keys, train, test, protocol)
    return joined


def _judges(fuser: LateFuser, joined: Joined) -> list[tuple[LateFuser, np.ndarray]]:
    """Fusers and the rows that each may judge: a fold, where weights and priors come from the other folds.

    Without folds, one that has no labels judges all rows, if the method can do without.
    """
    method, folds = fuser.method, joined.keys["fold"]
    if not fuser.learned and (not joined.same_folds or folds.nunique() < 2):
        return [(new(method)._fit_rows(joined, np.arange(0)), np.arange(len(joined.keys)))]
    return [(new(method)._fit_rows(joined, train), test) for train, test in _folds(joined)]


def _folds(joined: Joined) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each fold the labelled rows of the others, from which is learned, and its own rows."""
    folds = joined.keys["fold"]
    for fold in folds.unique():
        test = np.flatnonzero(folds == fold)
        yield np.setdiff1d(joined.labelled, test), test


def _require_folds(method: str, joined: Joined) -> None:
    """Raise DataError where the tables' folds are not enough for a method that learns."""
    if not joined.same_folds:
        raise DataError(
            f"fusion by {method} learns from the other folds, and the tables have different folds.\n"
            "Train them with the same --protocol, --folds, --group and --seed, or fuse by mean."
        )
    if joined.keys["fold"].nunique() < 2:
        raise DataError(
            f"fusion by {method} learns from the other folds, and the tables have one fold only.\n"
            "Train with --protocol group-kfold (or stratified), or fuse by mean."
        )


def _check(keys: pd.DataFrame, train: np.ndarray, test: np.ndarray, protocol: Mapping[str, Any]) -> None:
    allow = ("subject",) if protocol.get("shares") else ()
    leakage.check(keys, train, test, allow=allow, group=protocol.get("group") or "subject")


def _used(present: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    """How many rows have which inputs, those of the most inputs first."""
    patterns, counts = np.unique(present, axis=0, return_counts=True)
    order = sorted(range(len(patterns)), key=lambda i: (-patterns[i].sum(), *(~patterns[i])))
    return {"+".join(np.array(names)[patterns[i]]): int(counts[i]) for i in order}

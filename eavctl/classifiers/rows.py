"""Rows to train on: features, classes, and what a split must keep together."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from eavctl.classifiers import weighting
from eavctl.classifiers.inner_folds import InnerRows, Names
from eavctl.classifiers.streams import Features, Streams, Table, in_memory, pieces, stored, taken
from eavctl.errors import DataError, TrainingWarning

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class KeysOf:
    """Some rows of a key table, which are copied when they are needed: few fits look at keys.

    Parameters
    ----------
    base : the table.
    numbers : of the rows, shape (n_rows,).
    """

    base: pd.DataFrame
    numbers: np.ndarray

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows."""
        return self.base.iloc[self.numbers].reset_index(drop=True)


@dataclass(frozen=True)
class Rows:
    """Rows to train on; `of` checks that the parts fit each other.

    Parameters
    ----------
    x : features, float32 or, for pictures, uint8, shape (n_rows, *shape); an array, what holds them on the
        disk (`eavctl.classifiers.streams.Stored`), `RowsOf` one of both, or `Streams`.
    y : class numbers, int64, shape (n_rows,); all 0 where rows have no labels.
    classes : names of the classes, in the order of their numbers; empty where rows have no labels.
    groups : shape (n_rows,), people, or what else a split keeps apart; None where nothing is known.
    units : shape (n_rows,), clips or trials, which no split divides; None takes each row by itself.
    keys : one row each, with the columns of `eavctl.storage.keys.KEYS` and extra ones, where the rows come
        from a table; `key_frame` gives them.
    weights : float64, shape (n_rows,), mean 1: how much each row counts; None where all count alike. A copy
        has the weight of its clip, and `fit_weights` divides it among both.
    people : shape (n_rows,), where the groups are data sets: the people in them; else None.
    copies : bool, shape (n_rows,), altered copies of other rows, and rows of classes that are not answered,
        which are trained on and neither tested nor counted; None where there are none.
    """

    x: Features
    y: np.ndarray
    classes: tuple[str, ...]
    groups: np.ndarray | None = None
    units: np.ndarray | None = None
    keys: pd.DataFrame | KeysOf | None = None
    weights: np.ndarray | None = None
    people: np.ndarray | None = None
    copies: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        x: Features,
        labels: Sequence[str] | np.ndarray | None,
        groups: Names | None = None,
        classes: Sequence[str] | None = None,
        units: Names | None = None,
        *,
        weights: np.ndarray | None = None,
        copies: np.ndarray | None = None,
    ) -> Rows:
        """Bring features and the names of their classes together.

        Parameters
        ----------
        labels : shape (n_rows,); None where rows have none.
        classes : ordered names; by default the labels, sorted.

        Raises
        ------
        DataError : numbers of rows, labels, groups, units, weights and copies differ, fewer than two classes,
            a label that is not among the classes, or values that are not finite.
        """
        parts = {"labels": labels, "groups": groups, "units": units, "weights": weights, "copies": copies}
        for name, given in parts.items():
            if given is not None and len(given) != len(x):
                raise DataError(f"{len(x)} rows, {len(given)} {name}: these must be equally many")
        known, y = _numbered(labels, classes) if labels is not None else ((), np.zeros(len(x), np.int64))
        if not all(np.isfinite(piece).all() for piece in pieces(x)):
            raise DataError("features that are not finite; extract them again")
        kept, whole = (None if names is None else np.asarray(names) for names in (groups, units))
        return cls(x, y, known, kept, whole, weights=weights, copies=copies)

    def __len__(self) -> int:
        return len(self.y)

    @property
    def labels(self) -> np.ndarray:
        """Name of each row's class, shape (n_rows,)."""
        names: np.ndarray = np.array(self.classes)
        return np.asarray(names[self.y])

    @property
    def table(self) -> Table:
        """The features, where they are of one modality, to be read some rows at a time.

        Raises
        ------
        DataError : they are streams of several modalities.
        """
        if isinstance(self.x, Streams):
            raise DataError("rows of several modalities, and the classifier takes one: use train-fusion")
        return self.x

    @property
    def array(self) -> np.ndarray:
        """The features as one array, which is a copy of rows that were taken from others.

        Raises
        ------
        DataError : they are streams of several modalities, or do not fit in memory.
        """
        return in_memory(self.table)

    @property
    def kept(self) -> Table:
        """The features as one array, or, where they are on the disk, as they are.

        Raises
        ------
        DataError : they are streams of several modalities.
        """
        return self.table if stored(self.table) else self.array

    @property
    def streams(self) -> Streams:
        """The features, where they are streams of several modalities.

        Raises
        ------
        DataError : they are one array.
        """
        if not isinstance(self.x, Streams):
            raise DataError("rows of one modality, and a fusion takes several: use train-svm or train-dnn")
        return self.x

    @property
    def key_frame(self) -> pd.DataFrame:
        """The keys.

        Raises
        ------
        DataError : the rows have none.
        """
        if self.keys is None:
            raise DataError("rows without keys cannot be split: read them from a feature table")
        return self.keys.frame if isinstance(self.keys, KeysOf) else self.keys

    @property
    def inner(self) -> InnerRows:
        """The rows as inner splits take them."""
        return InnerRows(self.y, self.classes, self.groups, self.units, self.copies)

    @property
    def counts(self) -> np.ndarray:
        """Number of rows of each class, or sum of their weights, without copies, shape (n_classes,)."""
        own = self.inner.own
        weights = None if self.weights is None else self.weights[own]
        return np.bincount(self.y[own], weights, minlength=len(self.classes))

    @property
    def answered(self) -> tuple[str, ...]:
        """Names of the classes that a classifier of the rows answers: those of rows that can be tested."""
        return tuple(name for name, count in zip(self.classes, self.counts, strict=True) if count)

    @property
    def fit_weights(self) -> np.ndarray | None:
        """Weights in a fit: `weights`, of clips with copies divided among both, shape (n_rows,)."""
        return self.inner.divided(self.weights)

    @property
    def speakers(self) -> np.ndarray | None:
        """The groups that a network is validated on: people, also where the groups are data sets.

        A network is not trained on the rows that it is validated on, and a data set would be too much to
        lose.
        """
        return self.groups if self.people is None else self.people

    def with_inner_groups(self) -> Rows:
        """The rows with the groups that their inner splits keep whole: data sets where that is possible.

        Where the groups are data sets, but only one, or one that alone has some class, people are kept whole;
        the latter is a `eavctl.errors.TrainingWarning`.
        """
        if self.people is None or self.groups is None:
            return self
        own = self.inner.own
        groups, y = self.groups[own], self.y[own]
        names = [np.unique(groups[y == number]) for number in range(len(self.classes))]
        alone = {name: found[0] for name, found in zip(self.classes, names, strict=True) if len(found) == 1}
        if not alone:
            return self
        if len(np.unique(self.groups)) > 1:
            name, dataset = next(iter(alone.items()))
            more = f", and {len(alone) - 1} more classes in one" if alone.keys() - {name} else ""
            warnings.warn(
                f"settings and calibration were chosen on people held out, not on data sets: class {name!r} "
                f"occurs in one data set only ({dataset}){more}",
                TrainingWarning,
                stacklevel=2,
            )
        return replace(self, groups=self.people)

    def taking(self, rows: np.ndarray) -> Rows:
        """These rows, by their numbers (n_taken,), in that order; those of an array are not copied."""
        if len(rows) == len(self) and np.array_equal(rows, np.arange(len(self))):
            return self
        parts = (self.groups, self.units, self.people, self.copies)
        groups, units, people, copies = (None if part is None else part[rows] for part in parts)
        return replace(
            self,
            x=taken(self.x, rows),
            y=self.y[rows],
            keys=None if self.keys is None else KeysOf(self.key_frame, rows),
            weights=weighting.taken(self.weights, rows),
            groups=groups,
            units=units,
            people=people,
            copies=copies,
        )


def _numbered(
    labels: Sequence[str] | np.ndarray, classes: Sequence[str] | None
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the classes, and the number of each label among them."""
    labels = np.asarray(labels).astype(str)
    known = [str(name) for name in (np.unique(labels) if classes is None else classes)]
    unknown = sorted(set(labels) - set(known))
    if unknown:
        raise DataError(f"labels that are not among the classes: {', '.join(unknown)}")
    if len(np.unique(labels)) < 2:
        raise DataError("a network needs rows of two classes at least")
    number = {name: i for i, name in enumerate(known)}
    return tuple(known), np.array([number[label] for label in labels], np.int64)

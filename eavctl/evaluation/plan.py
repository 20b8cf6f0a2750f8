"""Splits of the rows of a key table, as a protocol made them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from eavctl.evaluation.groups import SUBJECT


@dataclass(frozen=True)
class Split:
    """One fold.

    Parameters
    ----------
    fold : number of the fold, from 1; for ``given``, the number in the table.
    train, test : indices of rows, int, ascending; disjoint.
    """

    fold: int
    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Plan:
    """A protocol applied to one table.

    Parameters
    ----------
    name : name of the protocol.
    group : key column whose values are never divided between training and test rows.
    folds : splits by fold number.
    warnings : warnings that every output of this plan must carry.
    shares : whether the protocol, by its name, allows a subject on both sides of a split.
    groups : shape (n_rows,), object, of str: groups that inner splits keep whole if there are at least two;
        the unit for rows without a group.
    units : shape (n_rows,), int64: numbers of the units, in the order of their names, which are never divided
        (see `eavctl.evaluation.groups.units`).
    people : as ``groups``: of ``lodo``, whose groups are data sets, the subjects; else None.
    """

    name: str
    group: str
    folds: tuple[Split, ...]
    warnings: tuple[str, ...] = field(default=())
    shares: bool = False
    groups: np.ndarray = field(default_factory=lambda: np.array([], dtype=object))
    units: np.ndarray = field(default_factory=lambda: np.array([], dtype=np.int64))
    people: np.ndarray | None = None

    @property
    def allow(self) -> tuple[str, ...]:
        """Keys that `eavctl.evaluation.leakage.LeakCheck` accepts on both sides."""
        return (SUBJECT,) if self.shares else ()

    def describe(self) -> str:
        """Summary of the plan in one line of text."""
        n_test = sum(len(split.test) for split in self.folds)
        folds = f"{len(self.folds)} folds" if len(self.folds) > 1 else "one split"
        return f"{self.name} by {self.group}, {folds}, {n_test} rows tested"

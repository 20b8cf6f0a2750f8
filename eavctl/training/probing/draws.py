"""Draws of labelled rows from the training part of a fold."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from eavctl.classifiers.rows import Rows
from eavctl.errors import UsageError
from eavctl.evaluation.groups import identify

ALL = "all"
TAKES = "--labels takes numbers of rows a class, percentages such as 10%, and all"


@dataclass(frozen=True)
class Share:
    """How many of the training rows are labelled.

    Parameters
    ----------
    text : ``all``, a number of rows of each class, or a percentage of them, such as ``10%``.

    Raises
    ------
    UsageError : another text.
    """

    text: str

    def __post_init__(self) -> None:
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)%|(\d{1,9})", self.text)
        is_valid = found and (0 < float(found[1]) <= 100 if found[1] else int(found[2]))
        if self.text != ALL and not is_valid:
            raise UsageError(f"{TAKES}, not {self.text!r}")

    @property
    def is_all(self) -> bool:
        """All training rows are labelled."""
        return self.text == ALL

    def wanted(self, n_rows: int) -> int:
        """How many of a class's training rows to label at least."""
        if self.is_all:
            return n_rows
        if not self.text.endswith("%"):
            return int(self.text)
        return max(1, round(n_rows * float(self.text[:-1]) / 100))


def draw(rows: Rows, train: np.ndarray, share: Share, seed: tuple[int, ...]) -> np.ndarray:
    """Choose which training rows of a fold are labelled.

    Units, such as clips and their segments, are labelled whole, one after the other, until a class has as
    many rows as are wanted, or no more. All classes walk through the people in one random order, a unit of
    each in turn: with few labels, no class is one of other people than the next. A larger share of the same
    seed labels the same rows and more.

    Parameters
    ----------
    rows : all rows, with units and keys.
    train : numbers of the fold's training rows, ascending.
    seed : of the order.

    Returns
    -------
    Numbers of rows, ascending; copies of labelled rows, such as altered ones, are among them.
    """
    if share.is_all:
        return train
    assert rows.units is not None  # of the plan
    is_own = np.ones(len(rows), bool) if rows.copies is None else ~rows.copies
    own = train[is_own[train]]
    names, unit_of_row = np.unique(rows.units[own], return_inverse=True)
    person_of_unit = _people(rows, own, unit_of_row, len(names))
    rng = np.random.default_rng(seed)
    place_of_person = rng.permutation(person_of_unit.max() + 1)
    order_of_unit = rng.permutation(len(names))
    chosen = np.zeros(len(names), bool)
    y = rows.y[own]
    for number in np.unique(y):
        n_rows = np.bincount(unit_of_row[y == number], minlength=len(names))
        units = np.flatnonzero(n_rows)
        units = units[np.argsort(order_of_unit[units])]
        turn = _turns(person_of_unit[units])
        units = units[np.lexsort((place_of_person[person_of_unit[units]], turn))]
        n_taken = np.searchsorted(n_rows[units].cumsum(), share.wanted(int(n_rows.sum()))) + 1
        chosen[units[:n_taken]] = True
    return train[np.isin(rows.units[train], names[chosen])]


def _people(rows: Rows, own: np.ndarray, unit_of_row: np.ndarray, n_units: int) -> np.ndarray:
    """The number of each unit's person, shape (n_units,); a unit without one is a person of its own."""
    subjects = identify(rows.key_frame.iloc[own], "subject")
    first = np.full(n_units, len(own))
    np.minimum.at(first, unit_of_row, np.arange(len(own)))
    names = [f"unit {unit}" if subjects[row] is None else f"person {subjects[row]}"
             for unit, row in enumerate(first)]  # fmt: skip
    return np.asarray(np.unique(names, return_inverse=True)[1])


def _turns(people: np.ndarray) -> np.ndarray:
    """How often each person has occurred before, shape (n_units,)."""
    order = np.argsort(people, kind="stable")
    starts = np.flatnonzero(np.diff(people[order], prepend=-1))
    turns = np.empty(len(people), int)
    turns[order] = np.arange(len(people)) - np.repeat(starts, np.diff([*starts, len(people)]))
    return turns

"""The rows of a table that a training takes, by the values of their keys."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from eavctl.errors import DataError, UsageError
from eavctl.storage.keys import KEYS

Values = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Selection:
    """Rows to take, and rows to leave out, by values of key columns.

    Parameters
    ----------
    where : for each key, the values of which a row must have one, such as ``{"task": ["speaking"]}``.
    without : for each key, the values of which a row must have none.

    Raises
    ------
    UsageError : an unknown key.
    """

    where: Values = field(default_factory=dict)
    without: Values = field(default_factory=dict)

    def __post_init__(self) -> None:
        for option, values in (("--where", self.where), ("--without", self.without)):
            unknown = sorted(values.keys() - set(KEYS))
            if unknown:
                raise UsageError(f"{option}: unknown key {unknown[0]!r}; known: {', '.join(KEYS)}")

    def __bool__(self) -> bool:
        return bool(self.where or self.without)

    def rows(self, keys: pd.DataFrame) -> np.ndarray:
        """Numbers of the rows of a key table that are taken, in order.

        Raises
        ------
        UsageError : a value that no row has; the message suggests the nearest.
        DataError : no row is left.
        """
        taken = np.ones(len(keys), bool)
        for key, values in self.where.items():
            taken &= _has(keys, "--where", key, values)
        for key, values in self.without.items():
            taken &= ~_has(keys, "--without", key, values)
        if not taken.any():
            raise DataError("--where and --without leave no row of the tables")
        return np.flatnonzero(taken)

    def describe(self) -> dict[str, Any]:
        """JSON-able: with a table, the rows that are taken."""
        named = {"where": self.where, "without": self.without}
        return {name: {key: sorted(map(str, each)) for key, each in v.items()} for name, v in named.items()}


def _has(keys: pd.DataFrame, option: str, key: str, values: Sequence[str]) -> np.ndarray:
    """Whether the rows have one of the values, bool (n_rows,)."""
    column = keys[key].astype(object).where(keys[key].notna(), None)
    texts = np.array([None if value is None else str(value) for value in column], object)
    known = sorted(set(texts) - {None})
    for value in values:
        if value not in known:
            near = difflib.get_close_matches(value, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"{option} {key}={value}: no row of the tables has it{hint}")
    return np.asarray(keys[key].notna()) & np.isin(texts.astype(str), list(values))

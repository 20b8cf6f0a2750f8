"""Bring several prediction tables together: rows by ``sample_id``, classes by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from eavctl.errors import DataError, UsageError
from eavctl.tables import PredictionTable

SHOWN = 3
_MUST_AGREE = ("label", "subject", "clip_id")


@dataclass(frozen=True)
class Joined:
    """The rows that all tables have.

    Parameters
    ----------
    keys : one row a sample, sorted by ``sample_id``; the first table's, with gaps filled from the others.
    stack : float64, shape (n_rows, n_tables, n_classes), the probabilities.
    classes : in the first table's order.
    names : of the tables.
    left_out : for each table, how many of its rows another table lacks.
    same_folds : all tables divide these rows into the same folds; where not, ``keys`` have no ``fold``.
    """

    keys: pd.DataFrame
    stack: np.ndarray
    classes: tuple[str, ...]
    names: tuple[str, ...]
    left_out: dict[str, int]
    same_folds: bool

    @property
    def labelled(self) -> np.ndarray:
        """Indices of the rows that have a label."""
        return np.flatnonzero(self.keys["label"].notna().to_numpy())


def join(tables: Sequence[PredictionTable], names: Sequence[str] | None = None) -> Joined:
    """Join prediction tables on the samples that all of them have.

    Parameters
    ----------
    names : what messages call the tables; by default the ``name`` in their metadata, or their number.

    Raises
    ------
    UsageError : fewer than two tables.
    DataError : other classes, a sample twice in a table, no sample in common, or a sample to which two
        tables give different labels, subjects or clips.
    """
    if len(tables) < 2:
        raise UsageError("fusion needs two prediction tables or more")
    called = _names(tables, names)
    _check_classes(tables, called)
    places = [_places(table, name) for table, name in zip(tables, called, strict=True)]
    common = sorted(set(places[0]).intersection(*places[1:]))
    if not common:
        raise DataError(
            f"{', '.join(called)}: no sample_id in common (for example {next(iter(places[0]), 'none')} and "
            f"{next(iter(places[1]), 'none')}); were they made from the same recordings and segments?"
        )
    rows = [np.array([place[sample] for sample in common]) for place in places]
    keys = tables[0].keys.iloc[rows[0]].reset_index(drop=True)
    for table, row, name in zip(tables[1:], rows[1:], called[1:], strict=True):
        keys = _agreed(keys, table.keys.iloc[row].reset_index(drop=True), called[0], name)
    classes = tables[0].classes
    aligned = [
        t.proba[row][:, [t.classes.index(c) for c in classes]] for t, row in zip(tables, rows, strict=True)
    ]
    left_out = {name: len(place) - len(common) for name, place in zip(called, places, strict=True)}
    same = _same_folds([t.keys["fold"].iloc[row] for t, row in zip(tables, rows, strict=True)])
    keys = keys if same else keys.assign(fold=pd.array([None] * len(keys), dtype="Int64"))
    return Joined(keys, np.stack(aligned, axis=1).astype(np.float64), classes, called, left_out, same)


def merged_meta(joined: Joined, tables: Sequence[PredictionTable]) -> dict[str, Any]:
    """What holds for the fused rows: all modalities, models and warnings; one protocol where it is one."""
    protocols = [table.meta.get("protocol") or {} for table in tables]
    facts = sorted({key for protocol in protocols for key in protocol} - {"warnings", "shares"})
    protocol = {key: _if_same([p.get(key) for p in protocols]) for key in facts}
    warnings = [str(text) for p in protocols for text in p.get("warnings", [])]
    if any(p.get("name") != protocols[0].get("name") for p in protocols):
        warnings.append("the fused models were judged by different protocols")
    for name, count in joined.left_out.items():
        if count:
            warnings.append(f"{count} rows of {name} were left out: another table lacks them")
    return {
        "modalities": sorted({m for table in tables for m in table.meta.get("modalities", [])}),
        "model_hashes": [h for table in tables for h in table.meta.get("model_hashes", [])],
        "protocol": {
            **protocol,
            "shares": any(p.get("shares", False) for p in protocols),
            "warnings": list(dict.fromkeys(warnings)),
        },
        "out_of_fold": all(table.meta.get("out_of_fold") is True for table in tables),
    }


def _if_same(values: list[Any]) -> Any:
    return values[0] if all(value == values[0] for value in values) else None


def _names(tables: Sequence[PredictionTable], names: Sequence[str] | None) -> tuple[str, ...]:
    """Different names for different tables."""
    wanted = list(names or [str(t.meta.get("name", f"table {i}")) for i, t in enumerate(tables, start=1)])
    return tuple(
        f"{name} ({i})" if wanted.count(name) > 1 else name for i, name in enumerate(wanted, start=1)
    )


def _check_classes(tables: Sequence[PredictionTable], names: Sequence[str]) -> None:
    first = set(tables[0].classes)
    for table, name in zip(tables, names, strict=True):
        odd = sorted(first ^ set(table.classes))
        if odd:
            raise DataError(
                f"{names[0]} and {name} have different classes: {', '.join(odd[:SHOWN])} "
                f"{'is' if len(odd) == 1 else 'are'} in one of them only"
            )


def _places(table: PredictionTable, name: str) -> dict[str, int]:
    ids = table.keys["sample_id"].tolist()
    places = {sample: i for i, sample in enumerate(ids)}
    if len(places) < len(ids):
        twice = next(sample for i, sample in enumerate(ids) if places[sample] != i)
        raise DataError(f"{name}: the sample {twice} stands in more than one row")
    return places


def _same_folds(folds: Sequence[pd.Series]) -> bool:
    """Whether the rows are divided alike, whatever the numbers of the folds."""
    if any(fold.isna().any() for fold in folds):
        return False
    different = [fold.nunique() for fold in folds]
    return bool(len(set(zip(*folds, strict=True))) == max(different) == min(different))


def _agreed(keys: pd.DataFrame, other: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """The keys with gaps filled from the other table's, which must not contradict them."""
    for column in _MUST_AGREE:
        both = (keys[column].notna() & other[column].notna()).to_numpy()
        odd = np.flatnonzero(both & (keys[column].to_numpy(object) != other[column].to_numpy(object)))
        if len(odd):
            row = odd[0]
            raise DataError(
                f"{first} and {second} contradict each other on the {column} of {len(odd)} samples: "
                f"{keys['sample_id'][row]} is {keys[column][row]!r}, or {other[column][row]!r}"
            )
    filled = {column: keys[column].where(keys[column].notna(), other[column]) for column in _MUST_AGREE}
    return keys.assign(**filled)

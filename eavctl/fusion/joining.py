"""Bring several prediction tables together: rows by ``sample_id``, classes by name, inputs by model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from eavctl.errors import DataError, UsageError
from eavctl.storage.keys import AGREEING_KEYS
from eavctl.storage.tables import PredictionTable

SHOWN = 3


@dataclass(frozen=True)
class Inputs:
    """What a kept fuser takes.

    Parameters
    ----------
    names : of the inputs, in order.
    hashes : for each input the hashes of the models that made its table; empty where they are not known.
    classes : in the order of the fuser's probabilities.
    """

    names: tuple[str, ...]
    hashes: tuple[tuple[str, ...], ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Joined:
    """Rows of several tables, side by side.

    Parameters
    ----------
    tables : those that were joined, in the order of the inputs.
    keys : one row a sample, sorted by ``sample_id``; the first table's, with gaps filled from the others.
    stack : float64, shape (n_rows, n_inputs, n_classes), the probabilities; NaN where an input is absent.
    present : bool, shape (n_rows, n_inputs).
    classes : names of the classes, in the order of the stack.
    names : of the inputs.
    left_out : for each input, how many of its rows were left out because another table lacks them.
    same_folds : all tables divide these rows into the same folds; where not, ``keys`` have no ``fold``.
    notes : what a user should know of the joining, one sentence each.
    """

    tables: tuple[PredictionTable, ...]
    keys: pd.DataFrame
    stack: np.ndarray
    present: np.ndarray
    classes: tuple[str, ...]
    names: tuple[str, ...]
    left_out: dict[str, int]
    same_folds: bool
    notes: tuple[str, ...]

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
    classes = tables[0].classes
    _check_classes(classes, called[0], tables, called)
    places = [_places(table, name) for table, name in zip(tables, called, strict=True)]
    common = sorted(set(places[0]).intersection(*places[1:]))
    if not common:
        raise DataError(
            f"{', '.join(called)}: no sample_id in common (for example {next(iter(places[0]), 'none')} and "
            f"{next(iter(places[1]), 'none')}); were they made from the same recordings and segments?"
        )
    rows = _rows(places, common)
    keys, same = _keys(tables, rows, called)
    left_out = {name: len(place) - len(common) for name, place in zip(called, places, strict=True)}
    return Joined(
        tables=tuple(tables),
        keys=keys,
        stack=_stack(tables, rows, classes),
        present=(rows >= 0).T,
        classes=classes,
        names=called,
        left_out=left_out,
        same_folds=same,
        notes=tuple(
            f"{count} rows of {name} were left out: another table lacks them"
            for name, count in left_out.items()
            if count
        ),
    )


def unite(tables: Sequence[PredictionTable], inputs: Inputs, names: Sequence[str] | None = None) -> Joined:
    """Join prediction tables on the samples that any of them has, each table in the place of its input.

    Parameters
    ----------
    tables : one for each input, or for some of them; which is which see `match`.
    inputs : what the fuser takes.
    names : what messages call the tables.

    Raises
    ------
    UsageError : no table.
    DataError : a table that is none of the inputs, or an input twice; other classes than the fuser's, a
        sample twice in a table, no row at all, or a sample on which two tables contradict each other.
    """
    if not tables:
        raise UsageError("fusion needs a prediction table")
    called = _names(tables, names)
    places = match(tables, called, inputs)
    _check_classes(inputs.classes, "the fuser", tables, called)
    order = np.argsort(places)
    ours, called = tuple(tables[i] for i in order), tuple(called[i] for i in order)
    at = [places[i] for i in order]
    of_sample = [_places(table, name) for table, name in zip(ours, called, strict=True)]
    samples = sorted(set().union(*of_sample))
    if not samples:
        raise DataError(f"{', '.join(called)}: no rows to fuse")
    rows = _rows(of_sample, samples)
    keys, same = _keys(ours, rows, called)
    stack = np.full((len(samples), len(inputs.names), len(inputs.classes)), np.nan)
    stack[:, at] = _stack(ours, rows, inputs.classes)
    present = np.zeros(stack.shape[:2], dtype=bool)
    present[:, at] = (rows >= 0).T
    return Joined(
        tables=ours,
        keys=keys,
        stack=stack,
        present=present,
        classes=inputs.classes,
        names=inputs.names,
        left_out=dict.fromkeys(inputs.names, 0),
        same_folds=same,
        notes=(*_strangers(ours, called, at, inputs), *_absences(present, inputs.names)),
    )


def match(tables: Sequence[PredictionTable], called: Sequence[str], inputs: Inputs) -> list[int]:
    """Number of the input that each table is, told by the models that made it, and not by position.

    A table of models that the fuser does not know goes by its name, where there are as many tables as
    inputs and they have the same names. A fuser that knows no models, as those of older versions, takes
    its tables in order.

    Raises
    ------
    DataError : a table is none of the inputs, could be several, or is one that another table is.
    """
    n_inputs, listed = len(inputs.names), ", ".join(inputs.names)
    if len(tables) > n_inputs or (len(tables) < n_inputs and not any(inputs.hashes)):
        raise DataError(f"{len(tables)} tables, but this fuser was made for {n_inputs}: {listed}")
    if not any(inputs.hashes):
        return list(range(n_inputs))
    same_names = sorted(called) == sorted(inputs.names)
    places: list[int] = []
    for table, name in zip(tables, called, strict=True):
        made = [i for i, hashes in enumerate(inputs.hashes) if hashes and _is_of(table, hashes)]
        named = [i for i in made if inputs.names[i] == name]
        if not made and not same_names:
            raise DataError(
                f"{name} was not made by a model of this fuser, whose inputs are {listed}.\n"
                "Predict with the models that it was fitted with, or fuse anew."
            )
        if len(made) > 1 and not named:
            several = ", ".join(inputs.names[i] for i in made)
            raise DataError(f"{name} could be any of these inputs: {several}; give it the name of one")
        place = (named or made or [inputs.names.index(name)])[0]
        if place in places:
            raise DataError(
                f"{called[places.index(place)]} and {name} are both the fuser's input {inputs.names[place]}; "
                "give one of them"
            )
        places.append(place)
    return places


def merged_meta(joined: Joined) -> dict[str, Any]:
    """What holds for the fused rows: all modalities, models and warnings; one protocol where it is one."""
    tables = joined.tables
    protocols = [table.meta.get("protocol") or {} for table in tables]
    facts = sorted({key for protocol in protocols for key in protocol} - {"warnings", "shares"})
    protocol = {key: _if_same([p.get(key) for p in protocols]) for key in facts}
    warnings = [str(text) for p in protocols for text in p.get("warnings", [])]
    if any(p.get("name") != protocols[0].get("name") for p in protocols):
        warnings.append("the fused models were judged by different protocols")
    return {
        "modalities": sorted({m for table in tables for m in table.meta.get("modalities", [])}),
        "model_hashes": [h for table in tables for h in hashes_of(table)],
        "protocol": {
            **protocol,
            "shares": any(p.get("shares", False) for p in protocols),
            "warnings": list(dict.fromkeys([*warnings, *joined.notes])),
        },
        "out_of_fold": all(table.meta.get("out_of_fold") is True for table in tables),
    }


def hashes_of(table: PredictionTable) -> tuple[str, ...]:
    """Hashes of the models that made a table; empty where it does not say."""
    return tuple(str(each) for each in table.meta.get("model_hashes") or ())


def _is_of(table: PredictionTable, hashes: Sequence[str]) -> bool:
    return sorted(hashes_of(table)) == sorted(hashes)


def _strangers(
    tables: Sequence[PredictionTable], called: Sequence[str], places: Sequence[int], inputs: Inputs
) -> list[str]:
    """A word on each table that stands where it does by its name alone."""
    return [
        f"{name} was made by another model than the one this fuser was fitted with, and goes by its name"
        for table, name, place in zip(tables, called, places, strict=True)
        if any(inputs.hashes) and not _is_of(table, inputs.hashes[place])
    ]


def _absences(present: np.ndarray, names: Sequence[str]) -> list[str]:
    counts = (~present).sum(axis=0)
    return [
        f"{count} of {len(present)} rows were fused without {name}"
        for name, count in zip(names, counts, strict=True)
        if count
    ]


def _if_same(values: list[Any]) -> Any:
    return values[0] if all(value == values[0] for value in values) else None


def _names(tables: Sequence[PredictionTable], names: Sequence[str] | None) -> tuple[str, ...]:
    """Different names for different tables."""
    wanted = list(names or [str(t.meta.get("name", f"table {i}")) for i, t in enumerate(tables, start=1)])
    return tuple(
        f"{name} ({i})" if wanted.count(name) > 1 else name for i, name in enumerate(wanted, start=1)
    )


def _check_classes(
    classes: Sequence[str], owner: str, tables: Sequence[PredictionTable], names: Sequence[str]
) -> None:
    for table, name in zip(tables, names, strict=True):
        odd = sorted(set(classes) ^ set(table.classes))
        if odd:
            raise DataError(
                f"{owner} and {name} have different classes: {', '.join(odd[:SHOWN])} "
                f"{'is' if len(odd) == 1 else 'are'} in one of them only"
            )


def _places(table: PredictionTable, name: str) -> dict[str, int]:
    ids = table.keys["sample_id"].tolist()
    places = {sample: i for i, sample in enumerate(ids)}
    if len(places) < len(ids):
        twice = next(sample for i, sample in enumerate(ids) if places[sample] != i)
        raise DataError(f"{name}: the sample {twice} stands in more than one row")
    return places


def _rows(places: Sequence[dict[str, int]], samples: Sequence[str]) -> np.ndarray:
    """Row of each sample in each table, int, shape (n_tables, n_samples); -1 where the table lacks it."""
    return np.array([[place.get(sample, -1) for sample in samples] for place in places])


def _stack(tables: Sequence[PredictionTable], rows: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Probabilities, shape (n_samples, n_tables, n_classes), of the classes in this order."""
    stack = np.full((rows.shape[1], len(tables), len(classes)), np.nan)
    for i, (table, row) in enumerate(zip(tables, rows, strict=True)):
        here = row >= 0
        stack[here, i] = table.proba[row[here]][:, [table.classes.index(name) for name in classes]]
    return stack


def _keys(
    tables: Sequence[PredictionTable], rows: np.ndarray, names: Sequence[str]
) -> tuple[pd.DataFrame, bool]:
    """Keys of the samples, each from the first table that has it, and whether all have the same folds."""
    first = (rows >= 0).argmax(axis=0)
    begins = np.cumsum([0, *(len(table) for table in tables[:-1])])
    homes = begins[first] + rows[first, np.arange(rows.shape[1])]
    keys = pd.concat([table.keys for table in tables], ignore_index=True).iloc[homes].reset_index(drop=True)
    for table, row, name in zip(tables, rows, names, strict=True):
        keys = _agreed(keys, table.keys, row, [names[i] for i in first], name)
    same = _same_folds([table.keys["fold"] for table in tables], rows)
    return keys if same else keys.assign(fold=pd.array([None] * len(keys), dtype="Int64")), same


def _agreed(
    keys: pd.DataFrame, other: pd.DataFrame, row: np.ndarray, firsts: Sequence[str], second: str
) -> pd.DataFrame:
    """The keys with gaps filled from the other table's, which must not contradict them."""
    here, filled = row >= 0, {}
    for column in AGREEING_KEYS:
        ours, theirs = keys[column].to_numpy(object), np.full(len(keys), None, dtype=object)
        theirs[here] = other[column].to_numpy(object)[row[here]]
        known = pd.notna(ours)
        odd = np.flatnonzero(known & pd.notna(theirs) & (ours != theirs))
        if len(odd):
            at = odd[0]
            raise DataError(
                f"{firsts[at]} and {second} contradict each other on the {column} of {len(odd)} samples: "
                f"{keys['sample_id'][at]} is {ours[at]!r}, or {theirs[at]!r}"
            )
        filled[column] = np.where(known, ours, theirs)
    return keys.assign(**filled)


def _same_folds(folds: Sequence[pd.Series], rows: np.ndarray) -> bool:
    """Whether the tables divide the rows alike; whatever the numbers of the folds, if all have all rows."""
    numbers = np.full(rows.shape, np.nan)
    for mine, fold, row in zip(numbers, folds, rows, strict=True):
        mine[row >= 0] = fold.astype("Float64").to_numpy(float, na_value=np.nan)[row[row >= 0]]
    if np.isnan(numbers[rows >= 0]).any():
        return False
    if (rows < 0).any():
        return bool((np.nanmin(numbers, axis=0) == np.nanmax(numbers, axis=0)).all())
    different = [len(np.unique(mine)) for mine in numbers]
    return len(np.unique(numbers, axis=1).T) == max(different) == min(different)

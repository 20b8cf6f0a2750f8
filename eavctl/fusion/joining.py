"""Join prediction tables: rows by ``sample_id``, classes by name, inputs by the models that made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from eavctl.errors import DataError, UsageError
from eavctl.storage.keys import AGREEING_KEYS, extras
from eavctl.storage.tables import PredictionTable

SHOWN = 3  # classes in an error message


@dataclass(frozen=True)
class FuserInputs:
    """The inputs of a fitted fuser.

    Parameters
    ----------
    names : one an input, in order.
    hashes : for each input the hashes of the models that made its table; empty where they are not known.
    classes : in the order of the fuser's probabilities.
    """

    names: tuple[str, ...]
    hashes: tuple[tuple[str, ...], ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class JoinedPredictions:
    """Prediction tables joined on ``sample_id``.

    Parameters
    ----------
    tables : the tables, in the order of the inputs.
    keys : one row a sample, sorted by ``sample_id``; the first table's, with gaps filled from the others.
    stack : float64, shape (n_rows, n_inputs, n_classes), the probabilities; NaN where an input is missing.
    present : bool, shape (n_rows, n_inputs).
    classes : names of the classes, in the order of the stack.
    names : of the inputs.
    left_out : for each input, how many of its rows were left out because another table lacks them.
    same_folds : all tables have the same folds; if not, ``keys`` have no ``fold``.
    notes : warnings about the joining, one sentence each.
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


def join(tables: Sequence[PredictionTable], names: Sequence[str] | None = None) -> JoinedPredictions:
    """Join prediction tables on the samples that all of them have.

    Parameters
    ----------
    names : of the tables in messages; by default the ``name`` in their metadata, or their number.

    Raises
    ------
    UsageError : fewer than two tables.
    DataError : different classes, a sample twice in a table, no sample in common, or a sample with different
        labels, subjects or clips in two tables.
    """
    if len(tables) < 2:
        raise UsageError("fusion needs two prediction tables or more")
    called = table_names(tables, names)
    classes = tables[0].classes
    _check_classes(classes, called[0], tables, called)
    positions = [_positions(table, name) for table, name in zip(tables, called, strict=True)]
    common = sorted(set(positions[0]).intersection(*positions[1:]))
    if not common:
        raise DataError(
            f"{', '.join(called)}: no sample_id in common (for example {next(iter(positions[0]), 'none')} "
            f"and {next(iter(positions[1]), 'none')}); were they made from the same recordings and segments?"
        )
    rows = _rows(positions, common)
    keys, same = _keys(tables, rows, called)
    left_out = {name: len(each) - len(common) for name, each in zip(called, positions, strict=True)}
    return JoinedPredictions(
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


def unite(
    tables: Sequence[PredictionTable], inputs: FuserInputs, names: Sequence[str] | None = None
) -> JoinedPredictions:
    """Join prediction tables on the samples that any of them has, in the order of a fuser's inputs.

    Parameters
    ----------
    tables : one for each input or for some of them, in any order: see `match`.
    inputs : of the fuser.
    names : of the tables in messages.

    Raises
    ------
    UsageError : no table.
    DataError : a table that is none of the inputs, or an input twice; other classes than the fuser's, a
        sample twice in a table, no row at all, or a sample with different keys in two tables.
    """
    if not tables:
        raise UsageError("fusion needs a prediction table")
    called = table_names(tables, names)
    matched = match(tables, called, inputs)
    _check_classes(inputs.classes, "the fuser", tables, called)
    order = np.argsort(matched)
    ordered, called = tuple(tables[i] for i in order), tuple(called[i] for i in order)
    given = [matched[i] for i in order]
    positions = [_positions(table, name) for table, name in zip(ordered, called, strict=True)]
    samples = sorted(set().union(*positions))
    if not samples:
        raise DataError(f"{', '.join(called)}: no rows to fuse")
    rows = _rows(positions, samples)
    keys, same = _keys(ordered, rows, called)
    stack = np.full((len(samples), len(inputs.names), len(inputs.classes)), np.nan)
    stack[:, given] = _stack(ordered, rows, inputs.classes)
    present = np.zeros(stack.shape[:2], dtype=bool)
    present[:, given] = (rows >= 0).T
    return JoinedPredictions(
        tables=ordered,
        keys=keys,
        stack=stack,
        present=present,
        classes=inputs.classes,
        names=inputs.names,
        left_out=dict.fromkeys(inputs.names, 0),
        same_folds=same,
        notes=(
            *_matched_by_name(ordered, called, given, inputs),
            *_missing(present, inputs.names),
        ),
    )


def match(tables: Sequence[PredictionTable], called: Sequence[str], inputs: FuserInputs) -> list[int]:
    """Match each table to an input of a fuser by the models that made it; return the inputs' indices.

    A table of other models is matched by its name, if there is one table for each input and the names are
    the same. A fuser without model hashes, written by an older version, takes its tables in order.

    Raises
    ------
    DataError : a table matches no input, several, or the same input as another table.
    """
    n_inputs, listed = len(inputs.names), ", ".join(inputs.names)
    if len(tables) > n_inputs or (len(tables) < n_inputs and not any(inputs.hashes)):
        raise DataError(f"{len(tables)} tables, but this fuser was made for {n_inputs}: {listed}")
    if not any(inputs.hashes):
        return list(range(n_inputs))
    same_names = sorted(called) == sorted(inputs.names)
    matched: list[int] = []
    for table, name in zip(tables, called, strict=True):
        by_model = [i for i, hashes in enumerate(inputs.hashes) if hashes and _is_of(table, hashes)]
        by_both = [i for i in by_model if inputs.names[i] == name]
        if not by_model and not same_names:
            raise DataError(
                f"{name} was not made by a model of this fuser, whose inputs are {listed}.\n"
                "Predict with the models that it was fitted with, or fit a fuser anew."
            )
        if len(by_model) > 1 and not by_both:
            several = ", ".join(inputs.names[i] for i in by_model)
            raise DataError(f"{name} could be any of these inputs: {several}; give it the name of one")
        index = (by_both or by_model or [inputs.names.index(name)])[0]
        if index in matched:
            raise DataError(
                f"{called[matched.index(index)]} and {name} are both the fuser's input "
                f"{inputs.names[index]}; give one of them"
            )
        matched.append(index)
    return matched


def merged_meta(joined: JoinedPredictions) -> dict[str, Any]:
    """Metadata of the fused rows: all modalities, models and warnings, and the protocol if it is the same."""
    tables = joined.tables
    protocols = [table.meta.get("protocol") or {} for table in tables]
    facts = sorted({key for protocol in protocols for key in protocol} - {"warnings", "shares"})
    protocol = {key: _if_same([p.get(key) for p in protocols]) for key in facts}
    warnings = [str(text) for p in protocols for text in p.get("warnings", [])]
    if any(p.get("name") != protocols[0].get("name") for p in protocols):
        warnings.append("the fused models were evaluated with different protocols")
    return {
        "modalities": sorted({m for table in tables for m in table.about.modalities}),
        "model_hashes": [h for table in tables for h in hashes_of(table)],
        "protocol": {
            **protocol,
            "shares": any(p.get("shares", False) for p in protocols),
            "warnings": list(dict.fromkeys([*warnings, *joined.notes])),
        },
        "out_of_fold": all(table.about.out_of_fold for table in tables),
    }


def hashes_of(table: PredictionTable) -> tuple[str, ...]:
    """Hashes of the models that made a table; empty if its metadata has none."""
    return tuple(map(str, table.about.model_hashes))


def _is_of(table: PredictionTable, hashes: Sequence[str]) -> bool:
    return sorted(hashes_of(table)) == sorted(hashes)


def _matched_by_name(
    tables: Sequence[PredictionTable], called: Sequence[str], indices: Sequence[int], inputs: FuserInputs
) -> list[str]:
    """A warning for each table that was matched to its input by name only."""
    return [
        f"{name} was made by another model than this fuser was fitted with; it was matched by its name"
        for table, name, index in zip(tables, called, indices, strict=True)
        if any(inputs.hashes) and not _is_of(table, inputs.hashes[index])
    ]


def _missing(present: np.ndarray, names: Sequence[str]) -> list[str]:
    """A warning for each input that some rows lack."""
    counts = (~present).sum(axis=0)
    return [
        f"{count} of {len(present)} rows were fused without {name}"
        for name, count in zip(names, counts, strict=True)
        if count
    ]


def _if_same(values: list[Any]) -> Any:
    return values[0] if all(value == values[0] for value in values) else None


def table_names(tables: Sequence[PredictionTable], names: Sequence[str] | None) -> tuple[str, ...]:
    """Names of prediction tables, made distinct: those given, or those of their metadata."""
    wanted = list(names or [t.about.name or f"table {i}" for i, t in enumerate(tables, start=1)])
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


def _positions(table: PredictionTable, name: str) -> dict[str, int]:
    """The row of each ``sample_id``."""
    ids = table.keys["sample_id"].tolist()
    positions = {sample: i for i, sample in enumerate(ids)}
    if len(positions) < len(ids):
        twice = next(sample for i, sample in enumerate(ids) if positions[sample] != i)
        raise DataError(f"{name}: the sample {twice} is in more than one row")
    return positions


def _rows(positions: Sequence[dict[str, int]], samples: Sequence[str]) -> np.ndarray:
    """Row of each sample in each table, int, shape (n_tables, n_samples); -1 where the table lacks it."""
    return np.array([[each.get(sample, -1) for sample in samples] for each in positions])


def _stack(tables: Sequence[PredictionTable], rows: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Probabilities, shape (n_samples, n_tables, n_classes), with the classes in this order."""
    stack = np.full((rows.shape[1], len(tables), len(classes)), np.nan)
    for i, (table, row) in enumerate(zip(tables, rows, strict=True)):
        here = row >= 0
        stack[here, i] = table.proba[row[here]][:, [table.classes.index(name) for name in classes]]
    return stack


def _keys(
    tables: Sequence[PredictionTable], rows: np.ndarray, names: Sequence[str]
) -> tuple[pd.DataFrame, bool]:
    """Keys of each sample from the first table that has it, and whether all tables have the same folds."""
    first = (rows >= 0).argmax(axis=0)
    offsets = np.cumsum([0, *(len(table) for table in tables[:-1])])
    taken = offsets[first] + rows[first, np.arange(rows.shape[1])]
    keys = pd.concat([table.keys for table in tables], ignore_index=True).iloc[taken].reset_index(drop=True)
    for table, row, name in zip(tables, rows, names, strict=True):
        keys = _agreed(keys, table.keys, row, [names[i] for i in first], name)
    same = _same_folds([table.keys["fold"] for table in tables], rows)
    return keys if same else keys.assign(fold=pd.array([None] * len(keys), dtype="Int64")), same


def _agreed(
    keys: pd.DataFrame, other: pd.DataFrame, row: np.ndarray, firsts: Sequence[str], second: str
) -> pd.DataFrame:
    """The keys, with gaps filled from another table's keys; known values of `AGREEING_KEYS` must agree."""
    here, filled = row >= 0, {}
    for column in (*AGREEING_KEYS, *extras(other)):
        ours, theirs = keys[column].to_numpy(object), np.full(len(keys), None, dtype=object)
        theirs[here] = other[column].to_numpy(object)[row[here]]
        known = pd.notna(ours)
        odd = np.flatnonzero(known & pd.notna(theirs) & (ours != theirs))
        if len(odd) and column in AGREEING_KEYS:
            at = odd[0]
            raise DataError(
                f"{firsts[at]} and {second} contradict each other on the {column} of {len(odd)} samples: "
                f"{keys['sample_id'][at]} is {ours[at]!r}, or {theirs[at]!r}"
            )
        filled[column] = np.where(known, ours, theirs)
    return keys.assign(**filled)


def _same_folds(folds: Sequence[pd.Series], rows: np.ndarray) -> bool:
    """Whether the tables have the same folds; where all have all rows, whatever the folds' numbers."""
    numbers = np.full(rows.shape, np.nan)
    for line, fold, row in zip(numbers, folds, rows, strict=True):
        line[row >= 0] = fold.astype("Float64").to_numpy(float, na_value=np.nan)[row[row >= 0]]
    if np.isnan(numbers[rows >= 0]).any():
        return False
    if (rows < 0).any():
        return bool((np.nanmin(numbers, axis=0) == np.nanmax(numbers, axis=0)).all())
    n_folds = [len(np.unique(line)) for line in numbers]
    return len(np.unique(numbers, axis=1).T) == max(n_folds) == min(n_folds)

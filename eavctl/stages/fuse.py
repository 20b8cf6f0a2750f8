"""Prediction tables of several models to one, and an honest word on whether it was worth it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from eavctl.errors import DataError
from eavctl.evaluation.summary import compare, corrected, summarize
from eavctl.fusion import late
from eavctl.storage import artifacts, files, tables
from eavctl.storage.ownership import Output, guard
from eavctl.storage.paths import Paths, named
from eavctl.storage.provenance import hash_json, versions
from eavctl.storage.tables import PredictionTable


@dataclass(frozen=True)
class FusionResult:
    """What a fusion came to; ``scores`` is None where rows have no labels.

    The metadata of ``predictions`` has under ``fusion``: the weights, ``subsets``, the scores of every subset
    of the inputs (see `eavctl.fusion.subsets.table_of`), and ``versus``, the comparison with the best of the
    inputs on the rows that they share, corrected for the number of inputs that it was picked from (see
    `eavctl.evaluation.summary.corrected`), and its ``name``.
    """

    predictions: PredictionTable
    scores: dict[str, Any] | None


def fuse(
    inputs: Paths,
    out: str | os.PathLike[str],
    *,
    method: str = "weighted",
    save: str | os.PathLike[str] | None = None,
    use: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> FusionResult:
    """Fuse prediction tables and write the result.

    Parameters
    ----------
    inputs : two or more prediction tables, joined on ``sample_id``.
    out : the prediction table to write, or ``-``.
    method : a registered fuser; what it learns it learns on out-of-fold rows of other folds.
    save : also write the fuser, fitted on all rows, to this model file.
    use : apply the fuser of this file in place of ``method``.

    Raises
    ------
    DataError, LeakError : an input that is not there; or see `eavctl.fusion.late.fuse`.
    """
    ready = _prepared(inputs, out, save, use, force)
    read, names = ready.tables, ready.names
    if ready.fuser:
        fused = _judged(ready.fuser.fuse(read, names), read, names, None)
    else:
        made = late.fuse(read, method, names)
        fused = _judged(made.predictions, read, names, made.subsets)
        if save:
            artifacts.save(save, made.fuser, _model_meta(made.fuser, fused, method))
    tables.write_predictions(fused, out)
    return FusionResult(fused, summarize(fused) if _has_labels(fused) else None)


def plan(
    inputs: Paths,
    out: str | os.PathLike[str],
    *,
    method: str = "weighted",
    save: str | os.PathLike[str] | None = None,
    use: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> int:
    """How many rows `fuse` would write of the same parameters; nothing is fitted or written.

    Raises
    ------
    DataError, LeakError, UsageError : where `fuse` raises them.
    """
    ready = _prepared(inputs, out, save, use, force)
    if ready.fuser:  # it is fitted already, and applying it takes no time
        return len(ready.fuser.fuse(ready.tables, ready.names))
    return len(late.check(ready.tables, method, ready.names).keys)


@dataclass(frozen=True)
class _Ready:
    """Tables that were read, what they are called, and the fuser to apply, if one is there."""

    tables: list[PredictionTable]
    names: list[str]
    fuser: late.LateFuser | None


def _prepared(
    inputs: Paths,
    out: str | os.PathLike[str],
    save: str | os.PathLike[str] | None,
    use: str | os.PathLike[str] | None,
    force: bool,
) -> _Ready:
    """See that the outputs can be written, and read what there is to fuse."""
    inputs = named(inputs)
    outputs = [Output(out, "predictions"), *([Output(save, "model")] if save else [])]
    guard(outputs, [*inputs, *([use] if use else [])], force=force)
    if save:
        artifacts.check_name(save, "fuse")
    read = [tables.read_predictions(path) for path in inputs]
    model = artifacts.load(use) if use else None
    if model and model.meta["kind"] != "fuse":
        raise DataError(f"{use}: a model of kind {model.meta['kind']!r} does not fuse; make one with --save")
    return _Ready(read, _names(inputs), model.predictor if model else None)


def _names(inputs: Sequence[str | os.PathLike[str]]) -> list[str]:
    """File names without endings, or whole paths where these are the same."""
    stems = [files.stem(path) for path in inputs]
    return stems if len(set(stems)) == len(stems) else [os.fspath(path) for path in inputs]


def _model_meta(fuser: late.LateFuser, fused: PredictionTable, method: str) -> dict[str, Any]:
    identity = {"method": method, "models": fused.meta["model_hashes"], "versions": versions("numpy")}
    return {
        "kind": "fuse",
        "method": method,
        "inputs": list(fuser.inputs),
        "classes": fuser.classes_.tolist(),
        "modalities": fused.meta["modalities"],
        "protocol": fused.meta["protocol"],
        "model_hashes": fused.meta["model_hashes"],
        "training_hash": hash_json(identity),
        "out_of_fold": summarize(fused) if _has_labels(fused) else None,
        "fusion": fused.meta["fusion"],
        "versions": identity["versions"],
    }


def _has_labels(table: PredictionTable) -> bool:
    return bool(table.keys["label"].notna().any())


def _judged(
    fused: PredictionTable,
    inputs: Sequence[PredictionTable],
    names: Sequence[str],
    subsets: list[dict[str, Any]] | None,
) -> PredictionTable:
    """The fusion with its account in the metadata, where rows have labels.

    It is compared with the input of the highest UAR: picking it by its score is to the fusion's disadvantage.
    """
    known = set(fused.keys["sample_id"][fused.keys["label"].notna()])
    compared = [
        {"name": name, **compare(fused, table)}
        for name, table in zip(names, inputs, strict=True)
        if not known.isdisjoint(table.keys["sample_id"])
    ]
    best = [max(compared, key=lambda each: each["second"])] if compared else []
    versus = corrected(best, [len(compared)] * len(best))
    account = {**fused.meta["fusion"], "subsets": subsets, "versus": versus}
    return replace(fused, meta={**fused.meta, "fusion": account})

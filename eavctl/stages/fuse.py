"""Prediction tables of several models to one (late fusion), compared with the best of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from eavctl import registry
from eavctl.errors import DataError, UsageError
from eavctl.evaluation.summary import compare, corrected, summarize
from eavctl.fusion import late
from eavctl.storage import artifacts, files
from eavctl.storage.ownership import NAMES, Output, guard, kind_of
from eavctl.storage.paths import Paths, named
from eavctl.storage.provenance import hash_json, versions
from eavctl.storage.tables import PredictionTable, read_predictions, write_predictions
from eavctl.training.sources import file_name
from eavctl.training.told import command

METHOD = "weighted"  # the default


@dataclass(frozen=True)
class FusionResult:
    """Result of a late fusion.

    Parameters
    ----------
    predictions : the fused rows. Their metadata has under ``fusion`` the weights; ``subsets``, the scores of
        every subset of the inputs (see `eavctl.fusion.subsets.table_of`); and ``versus``, the comparison with
        the best input on shared rows, corrected for the number of inputs that it was picked from (see
        `eavctl.evaluation.summary.corrected`).
    scores : see `eavctl.evaluation.summary.summarize`; None where no row has a label.
    """

    predictions: PredictionTable
    scores: dict[str, Any] | None


def fuse(
    tables: Paths,
    out: str | os.PathLike[str],
    *,
    method: str = METHOD,
    save: str | os.PathLike[str] | None = None,
    use: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> FusionResult:
    """Fuse prediction tables and write the result.

    Parameters
    ----------
    tables : two or more prediction tables, joined on ``sample_id``; with ``use``, one or more.
    out : the prediction table to write, or ``-``.
    method : a registered fuser; one that is fitted is fitted, for each fold, on the other folds' out-of-fold
        rows.
    save : also write the fuser, fitted on all rows, to this model file (.joblib).
    use : apply the fuser in this model file instead of fitting one.
    force : overwrite files not written by eavctl.

    Raises
    ------
    UsageError : no such method, ``save`` with ``use``, or an output that must not be overwritten.
    DataError, LeakError : a file that does not exist or is no prediction table; or as
        `eavctl.fusion.late.fuse`.
    """
    inputs = _read(tables, out, method, save, use, force)
    if inputs.fuser:
        fused = _with_comparison(inputs.fuser.fuse(inputs.tables, inputs.names), inputs, None)
    else:
        fitted = late.fuse(inputs.tables, method, inputs.names)
        fused = _with_comparison(fitted.predictions, inputs, fitted.subsets)
        if save:
            artifacts.save(save, fitted.fuser, _model_meta(fitted.fuser, fused, method))
    fused = replace(fused, meta={**fused.meta, "training": _told(inputs, tables, method, use)})
    write_predictions(fused, out)
    return FusionResult(fused, summarize(fused) if _has_labels(fused) else None)


def plan(
    tables: Paths,
    out: str | os.PathLike[str],
    *,
    method: str = METHOD,
    save: str | os.PathLike[str] | None = None,
    use: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> int:
    """Number of rows that `fuse` would write with the same parameters; nothing is fitted or written.

    Raises
    ------
    DataError, LeakError, UsageError : where `fuse` raises them.
    """
    inputs = _read(tables, out, method, save, use, force)
    if inputs.fuser:  # already fitted, and quick to apply
        return len(inputs.fuser.fuse(inputs.tables, inputs.names))
    return len(late.check(inputs.tables, method, inputs.names).keys)


@dataclass(frozen=True)
class _LateInputs:
    """Prediction tables, their names in messages, and the fuser to apply, if it is read from a file."""

    tables: list[PredictionTable]
    names: list[str]
    fuser: late.LateFuser | None


def _read(
    tables: Paths,
    out: str | os.PathLike[str],
    method: str,
    save: str | os.PathLike[str] | None,
    use: str | os.PathLike[str] | None,
    force: bool,
) -> _LateInputs:
    """Check the outputs and read the inputs."""
    if use and save:
        raise UsageError("--use applies a fitted fuser and --save keeps a new one: give one of them")
    if method in registry.names("fusion networks"):
        raise UsageError(
            f"{method!r} is a network on feature tables, which 'eavctl train-fusion' trains; choose one of "
            f"{', '.join(registry.names('fusers'))}"
        )
    paths = named(tables)
    outputs = [Output(out, "predictions"), *([Output(save, "model")] if save else [])]
    guard(outputs, [*paths, *([use] if use else [])], force=force)
    if save:
        artifacts.check_name(save, "fuse")
    read = [_read_predictions(path) for path in paths]
    model = artifacts.load(use) if use else None
    if model and model.meta.kind != "fuse":
        raise DataError(f"{use}: a model of kind {model.meta.kind!r} does not fuse; make one with --save")
    return _LateInputs(read, _names(paths), model.predictor if model else None)


def _read_predictions(path: str) -> PredictionTable:
    if kind_of(path) == "features":
        raise DataError(
            f"{path}: this is {NAMES['features']}; {NAMES['predictions']} is wanted here.\n"
            "Train a network on feature tables with 'eavctl train-fusion'."
        )
    return read_predictions(path)


def _names(paths: Sequence[str]) -> list[str]:
    """File names without endings, or whole paths where these are the same."""
    stems = [files.stem(path) for path in paths]
    return stems if len(set(stems)) == len(stems) else list(paths)


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


def _told(
    inputs: _LateInputs, tables: Paths, method: str, use: str | os.PathLike[str] | None
) -> dict[str, Any]:
    """What the fused table tells of its making; of the inputs, what each of them tells."""
    fuser = inputs.fuser.method if inputs.fuser else method
    asked = command(
        "fuse",
        tables,
        None,
        use=use and file_name(use),
        method=method if not use and method != METHOD else None,
    )
    told = [
        {"name": name, "training": each.meta.get("training"), "versions": each.meta.get("versions")}
        for name, each in zip(inputs.names, inputs.tables, strict=True)
    ]
    return {
        "kind": "fuse",
        "method": fuser,
        "fused": told,
        "command": asked,
    }


def _has_labels(table: PredictionTable) -> bool:
    return bool(table.keys["label"].notna().any())


def _with_comparison(
    fused: PredictionTable, inputs: _LateInputs, subsets: list[dict[str, Any]] | None
) -> PredictionTable:
    """The fused rows, with ``subsets`` and the comparison with the best input in the metadata.

    The best input has the highest UAR on the compared rows, which is to the fusion's disadvantage.
    """
    labelled = set(fused.keys["sample_id"][fused.keys["label"].notna()])
    compared = [
        {"name": name, **compare(fused, table)}
        for name, table in zip(inputs.names, inputs.tables, strict=True)
        if not labelled.isdisjoint(table.keys["sample_id"])
    ]
    best = [max(compared, key=lambda each: each["second"])] if compared else []
    versus = corrected(best, [len(compared)] * len(best))
    fusion = {**fused.meta["fusion"], "subsets": subsets, "versus": versus}
    return replace(fused, meta={**fused.meta, "fusion": fusion})

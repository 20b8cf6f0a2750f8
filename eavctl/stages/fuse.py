"""Prediction tables of several models to one, and an honest word on whether it was worth it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eavctl import artifacts, files, tables
from eavctl.errors import DataError
from eavctl.evaluation.summary import compare, summarize
from eavctl.fusion import late
from eavctl.provenance import hash_json, versions
from eavctl.tables import PredictionTable


@dataclass(frozen=True)
class FusionResult:
    """What a fusion came to; ``scores`` and ``versus`` are None where rows have no labels.

    ``versus`` compares the fusion with the best of its inputs on the rows that they share: see
    `eavctl.evaluation.summary.compare`, and ``name``, what that input is called.
    """

    predictions: PredictionTable
    scores: dict[str, Any] | None
    versus: dict[str, Any] | None


def fuse(
    inputs: Sequence[str | os.PathLike[str]],
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
    DataError, LeakError : see `eavctl.fusion.late.fuse`.
    """
    for target in [out, *([save] if save else [])]:
        files.guard(target, force=force)
    if save:
        artifacts.check_name(save, "fuse")
    read = [tables.read_predictions(path) for path in inputs]
    names = _names(inputs)
    if use:
        model = artifacts.load(use)
        if model.meta["kind"] != "fuse":
            raise DataError(
                f"{use}: a model of kind {model.meta['kind']!r} does not fuse; make one with --save"
            )
        fused: PredictionTable = model.predictor.fuse(read, names)
    else:
        made = late.fuse(read, method, names)
        fused = made.predictions
        if save:
            artifacts.save(save, made.fuser, _model_meta(made.fuser, fused, method))
    result = _judge(fused, read, names)
    tables.write_predictions(fused, out)
    return result


def _names(inputs: Sequence[str | os.PathLike[str]]) -> list[str]:
    """File names without endings, or whole paths where these are the same."""
    stems = [Path(path).stem for path in inputs]
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
        "out_of_fold": summarize(fused) if fused.keys["label"].notna().any() else None,
        "versions": identity["versions"],
    }


def _judge(fused: PredictionTable, inputs: Sequence[PredictionTable], names: Sequence[str]) -> FusionResult:
    """Compare with the input of the highest UAR: picking it by its score is to the fusion's disadvantage."""
    if not fused.keys["label"].notna().any():
        return FusionResult(fused, None, None)
    compared = [{"name": name, **compare(fused, table)} for table, name in zip(inputs, names, strict=True)]
    return FusionResult(fused, summarize(fused), max(compared, key=lambda each: each["second"]))

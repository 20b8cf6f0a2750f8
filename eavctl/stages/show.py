"""What a table or a model file is, where it comes from, and what it was trained on."""

from __future__ import annotations

import os
from typing import Any

from eavctl.errors import DataError, UsageError
from eavctl.packaged.models import PackagedModel, find
from eavctl.storage import artifacts
from eavctl.storage.ownership import describe, kind_of


def show(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Describe a file that eavctl wrote, as JSON-able facts; ``kind`` is always among them.

    Parameters
    ----------
    path : a table, a model, the name of a packaged model, or ``-`` for stdin.

    Raises
    ------
    DataError : no such file, a damaged one, or neither a table nor a model of eavctl.
    """
    path = find(path)
    kind = kind_of(path)
    if kind == "model":
        return _model(path)
    if kind in (None, "report", "probe", "picture", "weights"):
        raise DataError(f"{path}: this is {describe(path)}; a table or a model is wanted here")
    return _table(path)


def card(path: str | os.PathLike[str]) -> str:
    """The card of a model or encoder, as markdown (see `eavctl.report.model_card`).

    Parameters
    ----------
    path : a model, or the name of a packaged model, or ``-`` for stdin.

    Raises
    ------
    UsageError : a file that is no model of eavctl.
    DataError : no such file, or a damaged one.
    """
    from eavctl.report.encoder_card import encoder_card
    from eavctl.report.model_card import model_card

    path = find(path)
    if kind_of(path) != "model":
        raise UsageError(f"{path}: this is {describe(path)}, and --markdown is for models")
    meta = artifacts.read_meta(path)
    if meta.kind == artifacts.ENCODER:
        return encoder_card(meta, path)
    if meta.kind == artifacts.GROUNDING:
        raise UsageError(f"{path}: finds phrases in pictures, and --markdown is for models of emotion")
    return model_card(meta, path, path.card if isinstance(path, PackagedModel) else {})


def _table(path: str | os.PathLike[str]) -> dict[str, Any]:
    from eavctl.evaluation.groups import copies, identify, named
    from eavctl.storage import grounding_tables, tables

    meta = tables.read_meta(path)
    keys = tables.read_keys(path) if meta["kind"] in ("features", "predictions") else None
    facts: dict[str, Any] = {"file": str(path), "kind": f"table of {meta['kind']}"}
    if meta["kind"] == grounding_tables.KIND:
        facts |= grounding_tables.read_counts(path)
    if keys is not None:
        is_copy = copies(keys)
        keys = keys[~is_copy]
        facts |= {
            "rows": len(keys),
            "copies": int(is_copy.sum()) or None,
            "clips": len(named(identify(keys, "clip_id"))),
            "subjects": len(named(identify(keys, "subject"))),
            "labels": {str(name): int(n) for name, n in keys["label"].value_counts().sort_index().items()},
            "dataset": sorted(keys["dataset"].dropna().unique()),
        }
    return facts | {key: value for key, value in meta.items() if key != "kind"}


def _model(path: str | os.PathLike[str]) -> dict[str, Any]:
    meta = artifacts.read_meta(path).json
    facts: dict[str, Any] = {"file": str(path), "kind": f"model: {meta['kind']}"}
    if isinstance(path, PackagedModel):
        facts |= {"file": os.fspath(path), "card": path.card}
    return facts | {key: value for key, value in meta.items() if key != "kind"}

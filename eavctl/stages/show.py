"""What a table or a model file is, where it comes from, and what it was trained on."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from eavctl.errors import DataError, UsageError
from eavctl.packaged.models import PackagedModel, find
from eavctl.storage import artifacts, files
from eavctl.storage.ownership import describe, kind_of

if TYPE_CHECKING:
    import pandas as pd  # which models do not need

# Keys of lists that grow with the data: of features, recordings, words. `FIRST` names of each are shown.
WIDE, FIRST = ("columns", "clips", "recordings", "groups", "words"), 6


def show(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Describe a file that eavctl wrote, as JSON-able facts; ``kind`` is always among them.

    Facts are the file's metadata, and what its rows say: counts, and the ``scores`` of predictions whose rows
    have labels (see `eavctl.evaluation.summary.summarize`). Lists that grow with the data (`WIDE`) are a
    count and the first names, ``{"count": 2341, "first": ["energy_db_mean", ...]}``; they are whole in
    `eavctl.read_features` and `eavctl.storage.artifacts.read_meta`.

    Parameters
    ----------
    path : a table, a model, the name of a packaged model, the result of a probe, or ``-`` for stdin.

    Raises
    ------
    DataError : no such file, a damaged one, or one of another kind.
    """
    path = find(path)
    kind = kind_of(path)
    readers = {
        **{"model": _model, "probe": _probe, "rejected": _rejected},
        **{"features": _table, "grounding": _table, "predictions": _predictions},
    }
    if kind not in readers:
        raise DataError(f"{path}: this is {describe(path)}; a table, a model or a probe is wanted here")
    facts: dict[str, Any] = _narrowed(readers[kind](path))
    return facts


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


def _narrowed(value: Any) -> Any:
    """The facts with a count and the first names in place of each list that grows with the data."""
    if isinstance(value, list):
        return [_narrowed(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: _few(each) if key in WIDE else _narrowed(each) for key, each in value.items()}


def _few(value: Any) -> Any:
    """A list of names, or one of each data set, narrowed; anything else as `_narrowed` has it."""
    if isinstance(value, list | tuple):
        return {"count": len(value), "first": list(value[:FIRST])}
    if isinstance(value, dict) and all(isinstance(each, list) for each in value.values()):
        return {name: _few(each) for name, each in value.items()}
    return _narrowed(value)


def _table(path: str | os.PathLike[str]) -> dict[str, Any]:
    from eavctl.storage import grounding_tables, tables

    meta = tables.read_meta(path)
    facts: dict[str, Any] = {"file": str(path), "kind": f"table of {meta['kind']}"}
    if meta["kind"] == grounding_tables.KIND:
        facts |= grounding_tables.read_counts(path)
    if meta["kind"] == "features":
        about = tables.read_feature_meta(path)
        facts |= _counts(tables.read_keys(path)) | {"columns": about.columns}
    return facts | {key: value for key, value in meta.items() if key != "kind"}


def _predictions(path: str | os.PathLike[str]) -> dict[str, Any]:
    from eavctl.evaluation.summary import summarize
    from eavctl.storage import tables

    table = tables.read_predictions(path)
    facts = {"file": str(path), "kind": "table of predictions", **_counts(table.keys)}
    scores = summarize(table) if table.keys["label"].notna().any() else None
    return facts | {"scores": scores} | {key: value for key, value in table.meta.items() if key != "kind"}


def _counts(keys: pd.DataFrame) -> dict[str, Any]:
    """Rows, clips, subjects, labels and data sets of a table, altered copies apart."""
    from eavctl.evaluation.groups import copies, n_identities

    is_copy = copies(keys)
    keys = keys[~is_copy]
    return {
        "rows": len(keys),
        "copies": int(is_copy.sum()) or None,
        "clips": n_identities(keys, "clip_id"),
        "subjects": n_identities(keys, "subject"),
        "labels": {str(name): int(n) for name, n in keys["label"].value_counts().sort_index().items()},
        "dataset": sorted(keys["dataset"].dropna().unique()),
    }


def _rejected(path: str | os.PathLike[str]) -> dict[str, Any]:
    from eavctl.storage import foreign_tables

    with foreign_tables.opened(path) as table:
        records: list[dict[str, Any]] = [
            {name: cell or None for name, cell in zip(table.columns, cells, strict=True)}
            for _, cells in table.rows
        ]
    for record in records:
        record["start"] = float(record["start"]) if record.get("start") else None
    return {"file": str(path), "kind": "table of rejected", "rows": len(records), "rejected": records}


def _probe(path: str | os.PathLike[str]) -> dict[str, Any]:
    with files.opened(path) as handle:
        try:
            found = json.load(handle)
        except ValueError as error:
            raise DataError(f"{path}: damaged, probe again ({error})") from error
    facts = {key: value for key, value in found.items() if key not in ("eavctl", "kind", "file")}
    return {"file": str(path), "kind": "result of a probe", **facts}


def _model(path: str | os.PathLike[str]) -> dict[str, Any]:
    meta = artifacts.read_meta(path).json
    facts: dict[str, Any] = {"file": str(path), "kind": f"model: {meta['kind']}"}
    if isinstance(path, PackagedModel):
        facts |= {"file": os.fspath(path), "card": path.card}
    return facts | {key: value for key, value in meta.items() if key != "kind"}

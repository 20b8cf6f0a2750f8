"""What a table or a model file is, where it comes from, and what it was trained on."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

from eavctl import artifacts
from eavctl.errors import DataError


def show(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Describe a file that eavctl wrote, as JSON-able facts; ``kind`` is always among them.

    Raises
    ------
    DataError : no such file, or not one of eavctl's tables or models.
    """
    target = Path(path)
    if not target.is_file():
        raise DataError(f"{target}: no such file")
    with open(target, "rb") as handle:
        start = handle.read(4)
    if start == b"PAR1":
        return _table(target)
    if zipfile.is_zipfile(target) or start[:1] == b"\x80":  # torch's archive, a pickle
        return _model(target)
    raise DataError(f"{target}: neither a table nor a model of eavctl's")


def _table(path: Path) -> dict[str, Any]:
    from eavctl import tables
    from eavctl.evaluation.groups import identify, named

    meta = tables.read_meta(path)
    if not meta:
        raise DataError(f"{path}: a Parquet file that eavctl did not write")
    keys = tables.read_keys(path) if meta["kind"] in ("features", "predictions") else None
    facts: dict[str, Any] = {"file": str(path), "kind": f"table of {meta['kind']}"}
    if keys is not None:
        facts |= {
            "rows": len(keys),
            "clips": len(named(identify(keys, "clip_id"))),
            "subjects": len(named(identify(keys, "subject"))),
            "labels": {str(name): int(n) for name, n in keys["label"].value_counts().sort_index().items()},
            "dataset": sorted(keys["dataset"].dropna().unique()),
        }
    return facts | {key: value for key, value in meta.items() if key != "kind"}


def _model(path: Path) -> dict[str, Any]:
    meta = artifacts.read_meta(path)
    facts = {"file": str(path), "kind": f"model: {meta['kind']}"}
    return facts | {key: value for key, value in meta.items() if key != "kind"}

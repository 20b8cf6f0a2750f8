"""What outputs of a training tell of each feature table that was read: small, and JSON-able."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eavctl import registry
from eavctl.errors import UsageError
from eavctl.storage import files
from eavctl.storage.tables import read_meta

FIRST = 3  # rejected recordings that are named; the others are counted
_KEPT = (
    "layout",
    "modality",
    "features",
    "features_version",
    "segment",
    "shape",
    "n_rows",
    "n_recordings",
    "n_without",
    "versions",
)
_ASKED = (
    "who",
    "augment",
    "layout_settings",
    "where",
    "events",
    "epoch",
    "distinct_names",
)  # kept where they are not empty


def file_name(path: str | os.PathLike[str]) -> str:
    """The name of a file without its folders, which are those of one machine; ``-`` for a stream."""
    return files.STDIO if files.is_stream(path) else Path(path).name


def source_of(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What is told of a feature table.

    Returns
    -------
    JSON-able dictionary: ``table``, the name of the file; the feature set with the ``settings`` that differ
    from its defaults; how many rows, recordings, and recordings without the modality; ``rejected``, how many
    recordings or segments could not be used, and the ``first_rejected`` with ``path`` and ``reason``; what
    was asked for besides; and the ``versions`` of the extraction.

    Raises
    ------
    DataError : no such table, or it is damaged.
    """
    meta = read_meta(path)
    rejected = meta.get("rejected") or []
    return {
        "table": file_name(path),
        **{key: meta[key] for key in _KEPT if meta.get(key) is not None},
        **{key: meta[key] for key in _ASKED if meta.get(key)},
        "settings": changed("features", str(meta.get("features")), meta.get("settings") or {}),
        "rejected": len(rejected),
        "first_rejected": [
            {"path": str(each.get("path")), "reason": str(each.get("reason"))} for each in rejected[:FIRST]
        ],
    }


def changed(kind: str, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a registered thing that differ from its defaults; all, where it is not known."""
    try:
        defaults = registry.get(kind, name).with_defaults({})
    except UsageError:  # of another eavctl, or of a package that is not there
        return dict(settings)
    return {key: value for key, value in settings.items() if key not in defaults or value != defaults[key]}

"""The manifest: one row a recording, whatever the data set, and the way to find its layout."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from eavctl import registry
from eavctl.errors import DataError
from eavctl.tables import MANIFEST_COLUMNS, key_frame

AUDIO_ENDINGS = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aiff", ".aif"})
VIDEO_ENDINGS = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"})


@dataclass(frozen=True)
class Manifest:
    """Recordings of a data set.

    Parameters
    ----------
    rows : the columns of `MANIFEST_COLUMNS`, sorted by ``clip_id``; paths are relative to ``root``.
    root : folder that the paths start from.
    layout : name of the layout that was read.
    classes : labels in the data set's own order.
    rejected : recordings that were found but cannot be rows, with ``path`` and ``reason``.
    """

    rows: pd.DataFrame
    root: Path
    layout: str
    classes: tuple[str, ...] = ()
    rejected: tuple[dict[str, str], ...] = field(default=())

    def __len__(self) -> int:
        return len(self.rows)


def build(
    records: Sequence[Mapping[str, object]],
    root: Path,
    layout: str,
    *,
    classes: tuple[str, ...] | None = None,
) -> Manifest:
    """Make a manifest of records; of two recordings with one name, the second is rejected.

    Raises
    ------
    DataError : there are no records.
    """
    if not records:
        raise DataError(f"{root}: no recordings found for the layout {layout!r}")
    unique: dict[object, Mapping[str, object]] = {}
    rejected = []
    for record in records:
        clip = record["clip_id"]
        if clip in unique:
            path = next(str(record[key]) for key in record if key.endswith("_path"))
            rejected.append(
                {"clip_id": str(clip), "path": path, "reason": "a recording of this name came before"}
            )
        else:
            unique[clip] = record
    rows = pd.DataFrame([unique[clip] for clip in sorted(unique, key=str)])
    rows["sample_id"] = rows["clip_id"]
    labels = {str(label) for label in rows.get("label", pd.Series(dtype=object)).dropna()}
    order = tuple(c for c in classes or () if c in labels)
    order += tuple(sorted(labels - set(order)))
    return Manifest(key_frame(rows, MANIFEST_COLUMNS), root, layout, order, tuple(rejected))


def find(source: str | os.PathLike[str], layout: str | None = None) -> Manifest:
    """Scan a data set by the layout named, or by the one that recognises it.

    Raises
    ------
    DataError : nothing is there, or no layout recognises it.
    UsageError : no layout has that name.
    """
    root = Path(source)
    if not root.exists():
        raise DataError(f"{root}: no such file or folder")
    if layout:
        found: Manifest = registry.get("layouts", layout).thing(root)
        return found
    entries = [registry.get("layouts", name) for name in registry.names("layouts")]
    for entry in sorted(entries, key=lambda e: e.facts["priority"]):
        if entry.facts["recognise"](root):
            found = entry.thing(root)
            return found
    known = ", ".join(entry.name for entry in entries)
    raise DataError(
        f"{root}: none of the layouts ({known}) recognises it.\n"
        "Put the recordings in one folder a class, or name a layout with --layout."
    )


def media_files(root: Path, endings: frozenset[str] = AUDIO_ENDINGS | VIDEO_ENDINGS) -> Iterator[Path]:
    """Yield recordings below ``root``, sorted; hidden files, and folders seen before, are passed over."""
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in endings:
                yield Path(folder, name)


def paths_of(path: Path, root: Path) -> dict[str, str]:
    """Manifest columns that a recording fills: a video file holds sound too."""
    relative = path.relative_to(root).as_posix()
    if path.suffix.lower() in VIDEO_ENDINGS:
        return {"audio_path": relative, "video_path": relative}
    return {"audio_path": relative}

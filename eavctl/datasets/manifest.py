"""The manifest: one row a recording, whatever the data set, and the way to find its layout."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from eavctl import registry
from eavctl.errors import DataError, UsageError
from eavctl.tables import KEYS, MANIFEST_COLUMNS, PATHS, key_frame

AUDIO_ENDINGS = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aiff", ".aif"})
VIDEO_ENDINGS = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"})
EEG_ENDINGS = frozenset({".edf", ".bdf", ".vhdr", ".set", ".fif", ".mat"})
MEDIA_ENDINGS = AUDIO_ENDINGS | VIDEO_ENDINGS | EEG_ENDINGS


@dataclass(frozen=True)
class Manifest:
    """Recordings of a data set.

    Parameters
    ----------
    rows : the columns of `MANIFEST_COLUMNS`, sorted by ``clip_id``; paths are relative to ``root``.
    root : folder that the paths start from.
    layout : name of the layout that was read.
    classes : labels in the data set's own order.
    rejected : recordings that were found, or missed, but cannot be rows, with ``path`` and ``reason``, keys
        that they have, and ``modality`` where only one is concerned.
    """

    rows: pd.DataFrame
    root: Path
    layout: str
    classes: tuple[str, ...] = ()
    rejected: tuple[dict[str, str], ...] = field(default=())

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, wanted: Mapping[str, str]) -> Manifest:
        """The recordings whose keys are all as wanted, such as ``{"task": "speaking"}``.

        Raises
        ------
        UsageError : no such key.
        DataError : no recording is so.
        """
        unknown = sorted(wanted.keys() - set(KEYS))
        if unknown:
            raise UsageError(f"no key is named {unknown[0]!r}; known: {', '.join(KEYS)}")
        rows, rejected = self.rows, list(self.rejected)
        for key, value in wanted.items():
            kept = rows[rows[key].astype(str) == value]
            if kept.empty:
                found = ", ".join(sorted(set(rows[key].dropna().astype(str)))[:8]) or "none"
                raise DataError(f"{self.root}: no recording has {key} {value!r}; found: {found}")
            rows, rejected = kept, [bad for bad in rejected if bad.get(key, value) == value]
        return replace(self, rows=rows.reset_index(drop=True), rejected=tuple(rejected))

    def holding(self, modality: str) -> Manifest:
        """The recordings that have a modality, and of those rejected the ones that concern it.

        Raises
        ------
        DataError : none has it.
        """
        rows = self.rows[self.rows[f"{modality}_path"].notna()].reset_index(drop=True)
        rejected = tuple(bad for bad in self.rejected if bad.get("modality", modality) == modality)
        if rows.empty and not rejected:
            has = [path.removesuffix("_path") for path in PATHS if self.rows[path].notna().any()]
            raise DataError(
                f"{self.root}: none of the {len(self)} recordings has {modality}, only {', '.join(has)}; "
                "choose other features"
            )
        return replace(self, rows=rows, rejected=rejected)


def build(
    records: Sequence[Mapping[str, object]],
    root: Path,
    layout: str,
    *,
    classes: tuple[str, ...] | None = None,
    rejected: Sequence[Mapping[str, str]] = (),
) -> Manifest:
    """Make a manifest of records; of two recordings with one name, the second is rejected.

    ``rejected`` are others that cannot be records.

    Raises
    ------
    DataError : there are no records.
    """
    if not records:
        why = f"; {rejected[0]['path']}: {rejected[0]['reason']}" if rejected else ""
        raise DataError(f"{root}: no recordings found for the layout {layout!r}{why}")
    unique: dict[object, Mapping[str, object]] = {}
    refused = [dict(bad) for bad in rejected]
    for record in records:
        clip = record["clip_id"]
        if clip in unique:
            path = next(str(record[key]) for key in record if key.endswith("_path"))
            refused.append(
                {"clip_id": str(clip), "path": path, "reason": "a recording of this name came before"}
            )
        else:
            unique[clip] = record
    rows = pd.DataFrame([unique[clip] for clip in sorted(unique, key=str)])
    rows["sample_id"] = rows["clip_id"]
    labels = {str(label) for label in rows.get("label", pd.Series(dtype=object)).dropna()}
    order = tuple(c for c in classes or () if c in labels)
    order += tuple(sorted(labels - set(order)))
    return Manifest(key_frame(rows, MANIFEST_COLUMNS), root, layout, order, tuple(refused))


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


def media_files(root: Path, endings: frozenset[str] = MEDIA_ENDINGS) -> Iterator[Path]:
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
    """Manifest columns that a recording fills."""
    relative = path.relative_to(root).as_posix()
    return dict.fromkeys(columns_of(path.suffix), relative)


def columns_of(ending: str) -> tuple[str, ...]:
    """Manifest columns that a file of this ending fills: a video holds sound too; none if it is unknown."""
    ending = ending.lower()
    if ending in VIDEO_ENDINGS:
        return "audio_path", "video_path"
    return ("audio_path",) * (ending in AUDIO_ENDINGS) + ("eeg_path",) * (ending in EEG_ENDINGS)

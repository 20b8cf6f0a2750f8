"""Layout ``pattern``: recordings whose names carry labels, by a pattern that the user gives."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from eavctl.datasets.column_names import shown
from eavctl.datasets.folder import clips
from eavctl.datasets.manifest import Manifest, build, media_folders
from eavctl.datasets.name_inference import suggested
from eavctl.datasets.name_patterns import NamePattern
from eavctl.errors import DataError
from eavctl.registry import register
from eavctl.signals.endings import MEDIA_ENDINGS, PICTURE_ENDINGS
from eavctl.storage.keys import KINDS, clean
from eavctl.storage.tables import check_extra


def recognise(root: Path) -> bool:
    """Never: what names mean, only the user can say."""
    return False


@register("layouts", "pattern", recognise=recognise, priority=99)
def scan(root: Path, *, pattern: str = "*") -> Manifest:
    """Read every recording below ``root`` whose name fits a pattern; where there is none, every picture.

    Fields with the name of a key, or with another name of it (see `eavctl.datasets.column_names`), give that
    key; other fields are extra columns. The name of a clip is its path without the ending; files with the
    same name and different modalities are one clip. Recordings whose names do not fit are rejected.

    Parameters
    ----------
    pattern : see `eavctl.datasets.name_patterns.NamePattern`, such as ``{subject}_{label}_{take}``; the
        default fits every name.

    Raises
    ------
    DataError : not a folder, no recordings, no name fits, or a field has the name of a column in eavctl's
        tables.
    UsageError : not a pattern.
    """
    names = NamePattern(pattern)
    check_extra(names.fields, (), f"--pattern {pattern}")
    if not root.is_dir():
        raise DataError(f"{root}: no folder; --pattern reads the names of the recordings in one")
    rejected: list[dict[str, str]] = []
    endings = MEDIA_ENDINGS if next(media_folders(root), None) else PICTURE_ENDINGS
    records = _records(root, names, endings, rejected)  # as they are needed: there can be a million
    first_record = next(records, None)
    if rejected and first_record is None:
        first = " and ".join(repr(bad["path"]) for bad in rejected[:2])
        advice = suggested([bad["clip_id"] for bad in rejected])
        raise DataError(
            f"{root}: none of {len(rejected)} names fits the pattern {pattern!r}, such as {first}"
            + (f".\n{advice}" if advice else "")
        )
    found = build(itertools.chain(filter(None, [first_record]), records), root, "pattern", rejected=rejected)
    return replace(found, understood=_understood(found, names, len(found) + len(found.rejected)))


def _records(
    root: Path, names: NamePattern, endings: frozenset[str], rejected: list[dict[str, str]]
) -> Iterator[dict[str, Any]]:
    """Yield the clips whose names fit, and add the others to those that are rejected."""
    dataset = root.resolve().name
    for clip, paths in clips(root, endings):
        reason = f"the name does not fit the pattern {names.text!r}"
        keys = names.match(clip)
        try:
            for key in KINDS.keys() & (keys or {}).keys():
                clean(key, keys and keys[key])
        except ValueError:
            keys, reason = None, f"its {key} is no number"
        if keys is None:
            rejected.append({"clip_id": clip, "path": next(iter(paths.values())), "reason": reason})
        else:
            yield {"clip_id": clip, "dataset": dataset, **keys, **paths}


def _understood(found: Manifest, names: NamePattern, n: int) -> str:
    """How many names fit, and how many values each field has."""
    counts = [f"{name}: {len(found.distinct(name))}" for name in names.fields if name != "label"]
    labels = [f"label: {shown(found.classes)}"] if "label" in names.fields else []
    fit = f"{len(found)} of {n} names fit {names.text!r}"
    return "; ".join([f"{found.root.resolve().name}: {fit}", *labels, *counts])

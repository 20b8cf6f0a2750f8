"""Layout ``csv``: a manifest written by hand or by another program, as CSV, TSV or Parquet."""

from __future__ import annotations

import math
import os
import posixpath
import reprlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eavctl.datasets.manifest import Manifest, build
from eavctl.errors import DataError
from eavctl.registry import register
from eavctl.signals.endings import columns_of, split_ending
from eavctl.signals.idx import index_of
from eavctl.storage.keys import KINDS, MANIFEST_COLUMNS, PATHS, clean
from eavctl.storage.tables import read_frame

ENDINGS = (".csv", ".tsv", ".parquet")
LARGEST = 2**31 - 1  # largest integer accepted: above any number of trials or folds


def recognise(root: Path) -> bool:
    """Whether ``root`` is a table and not a folder."""
    return root.is_file() and root.suffix.lower() in ENDINGS


@register("layouts", "csv", recognise=recognise, priority=0)
def scan(root: Path) -> Manifest:
    """Read a manifest, whose columns are identified by name; at least one path column is required.

    A column ``path`` may replace the path columns; the ending of each file gives its modality. Paths are
    relative to the folder of the manifest. A missing ``clip_id`` is the path without its ending, followed by
    the number of the trial or the times of the segment if several rows use the same file. Segments with the
    same given ``clip_id`` are samples of that clip. If several rows name the same segment of the same file,
    only the first is used, or none if their labels differ.

    Raises
    ------
    DataError : not a table, no path column, an unknown or repeated column, a row without a path, or a value
        of the wrong type for its column.
    """
    frame = read_frame(root)
    unknown = [name for name in frame.columns if name not in (*MANIFEST_COLUMNS, "path")]
    if unknown:
        raise DataError(f"{root}: unknown column {unknown[0]!r}; known: {', '.join(MANIFEST_COLUMNS)}")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"{root}: two columns are named {twice!r}; keep one")
    if not {"path", *PATHS} & set(frame.columns):
        raise DataError(f"{root}: the manifest has no path column; name one path or {', '.join(PATHS)}")
    if frame.empty:
        raise DataError(f"{root}: lists no recordings; write a row for each: {', '.join(frame.columns)}")
    known = frame.astype(object).where(frame.notna(), None)
    rows = [_row(cells, root, line) for line, cells in enumerate(known.to_dict("records"), start=2)]
    kept, rejected = _without_duplicates(rows)
    return build(_named(kept), root.parent, "csv", rejected=rejected)


@dataclass(frozen=True)
class _Row:
    """A line of the table: its number, the record of the manifest, and its files with links resolved."""

    line: int
    record: dict[str, Any]
    files: tuple[str, ...]

    @property
    def part(self) -> tuple[Any, ...]:
        """Index, start and end in the files; None where not given."""
        index = self.record.get("eeg_index")
        if index is None:
            index = index_of(self.record.get("video_path", ""), self.record.get("trial"))
        return index, self.record.get("start"), self.record.get("end")

    @property
    def path(self) -> str:
        return next(str(self.record[key]) for key in PATHS if key in self.record)

    @property
    def times(self) -> str:
        """Suffix of the name of a segment; empty for a whole recording."""
        _, start, end = self.part
        if start is None and end is None:
            return ""
        return f":{start or 0.0:09.3f}-" + ("" if end is None else f"{end:09.3f}")


def _row(row: Mapping[Hashable, Any], root: Path, line: int) -> _Row:
    cells = {str(key): _clean(str(key), value, root, line) for key, value in row.items()}
    record = {key: value for key, value in cells.items() if value is not None}
    if "path" in record:
        record |= _by_ending(str(record.pop("path")), root, line)
    if invalid := [key for key in PATHS if "\0" in str(record.get(key, ""))]:
        raise DataError(f"{root}: line {line}: {invalid[0]} holds a null byte, which no file name may hold")
    files = tuple(os.path.realpath(root.parent / str(record[key])) for key in PATHS if key in record)
    if not files:
        raise DataError(f"{root}: line {line} names no recording")
    start, end = record.get("start", 0.0), record.get("end", math.inf)
    if start < 0 or end <= start:
        raise DataError(f"{root}: line {line}: a segment from {start} to {end} s must end after it starts")
    record.setdefault("dataset", root.stem)
    return _Row(line, record, files)


def _without_duplicates(rows: Sequence[_Row]) -> tuple[list[_Row], list[dict[str, str]]]:
    """Separate the rows to keep from those that name the same part of the same files as another row."""
    groups: dict[tuple[Any, ...], list[_Row]] = {}
    for row in rows:
        groups.setdefault((row.files, row.part), []).append(row)
    kept, rejected = [], []
    for same in groups.values():
        labels = sorted({row.record["label"] for row in same if "label" in row.record})
        n_kept = 1 if len(labels) < 2 else 0
        kept += same[:n_kept]
        for row in same[n_kept:]:
            others = ", ".join(str(other.line) for other in same if other is not row)
            reason = f"line {row.line} names the same recording as line {others}"
            reason += f", with contradicting labels: {', '.join(labels)}" if len(labels) > 1 else ""
            rejected.append(
                {"clip_id": row.record.get("clip_id", row.path), "path": row.path, "reason": reason}
            )
    return kept, rejected


def _named(rows: Sequence[_Row]) -> Iterator[dict[str, Any]]:
    """Yield the records with unique names: with the times of segments and the numbers of trials if needed."""
    trials, parts = defaultdict(set), defaultdict(set)
    of_clip = Counter(row.record["clip_id"] for row in rows if "clip_id" in row.record)
    for row in rows:
        trials[row.files].add(row.part[0])
        parts[row.files, row.part[0]].add(row.part)
    for row in rows:
        index = row.part[0]
        times = row.times if len(parts[row.files, index]) > 1 else ""
        if "clip_id" in row.record:
            clip = row.record["clip_id"]
            yield {"sample_id": clip + (row.times if of_clip[clip] > 1 else ""), **row.record}
        else:
            stem, _ = split_ending(posixpath.normpath(row.path))
            trial = f"/{index + 1:03d}" if len(trials[row.files]) > 1 and index is not None else ""
            yield {**row.record, "clip_id": stem + trial + times}


def _clean(key: str, value: object, root: Path, line: int) -> Any:
    kind = KINDS.get(key, str)
    try:
        if value is None:
            return None
        if not isinstance(value, str | int | float) or (isinstance(value, bool) and kind is not str):
            raise ValueError("of another type")
        found = clean(key, value)
        if kind is int and found is not None and (found != float(value) or abs(found) > LARGEST):
            raise ValueError("a fraction, or too large")
    except (ValueError, OverflowError):
        what = {str: "text", int: "whole number", float: "number"}[kind]
        shown = reprlib.repr(value)
        raise DataError(f"{root}: line {line}: {key} is {shown}, not a {what}") from None
    return found


def _by_ending(path: str, root: Path, line: int) -> dict[str, str]:
    columns = columns_of(path)
    if not columns:
        raise DataError(
            f"{root}: line {line}: {path!r} is not EEG, audio or video by its ending; "
            f"name the column {', '.join(PATHS)}"
        )
    return dict.fromkeys(columns, path)

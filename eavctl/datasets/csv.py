"""Layout ``csv``: a manifest written by hand or by another program, as text, Excel, JSON lines or Parquet."""

from __future__ import annotations

import math
import os
import posixpath
import re
import reprlib
import stat
import sys
import unicodedata
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from eavctl.datasets.column_names import DURATION, PATH, SHOWN, Meaning, is_table, shown, understand
from eavctl.datasets.manifest import Manifest, build
from eavctl.errors import DataError, RecordingWarning
from eavctl.registry import register
from eavctl.signals.endings import columns_of, split_ending
from eavctl.signals.idx import index_of
from eavctl.storage import foreign_tables
from eavctl.storage.keys import KINDS, PATHS, clean
from eavctl.storage.tables import check_extra

LARGEST = 2**31 - 1  # largest integer accepted: above any number of trials or folds
DECIMAL_COMMA = re.compile(r"\s*[-+]?\d*,\d+\s*")


@register("layouts", "csv", recognise=is_table, priority=0)
def scan(root: Path, *, columns: Mapping[str, str] | None = None) -> Manifest:
    """Read a manifest, whose columns are identified by name; at least one path column is required.

    A column ``path`` may replace the path columns; the ending of each file gives its modality. Paths are
    relative to the folder of the manifest, or else to the working folder. A missing ``clip_id`` is the path
    without its ending, followed by the number of the trial or the times of the segment if several rows use
    the same file. Segments with the same given ``clip_id`` are samples of that clip. If several rows name the
    same segment of the same file, only the first is used, or none if their labels differ. Columns of other
    names are extra columns.

    Parameters
    ----------
    columns : the key of each column whose name does not tell it, or a new name under which it is kept; see
        `eavctl.datasets.column_names.understand`.

    Raises
    ------
    DataError : not a table, no path column, two columns of one meaning, an extra column that has the name of
        one in eavctl's tables, a row without a path, or a value of the wrong type for its column.
    UsageError : ``columns`` names no column, or gives two columns one name.
    """
    places = _Places(root.parent)
    with foreign_tables.opened(root) as table:
        meaning = understand(table.columns, columns or {}, root)
        check_extra([*meaning.extra.values()], (), str(root))
        for note in meaning.doubts():
            warnings.warn(f"{root}: {note}", RecordingWarning, stacklevel=2)
        reader = _Reader(root, meaning, places, has_decimal_comma=table.has_decimal_comma)
        rows = [reader.row(cells, line) for line, cells in table.rows]
    if not rows:
        raise DataError(f"{root}: lists no recordings, only a header; write a row for each")
    kept, rejected = _without_duplicates(rows)
    elsewhere = f"; {places.n_elsewhere} from the working folder" if places.n_elsewhere else ""
    n_rows = f"{len(rows)} row{'s' if len(rows) > 1 else ''}"
    understood = f"{root.name}: {n_rows}{elsewhere}; {table.form}; {meaning}"
    return build(_named(kept), root.parent, "csv", rejected=rejected, understood=understood)


class _Row(NamedTuple):
    """A row of the table.

    Parameters
    ----------
    line : its number in the file.
    record : of the manifest.
    files : the recordings, with links resolved.
    path : of the first recording, as the table names it.
    part : index, start and end in the files; None where not given.
    """

    line: int
    record: dict[str, Any]
    files: tuple[str, ...]
    path: str
    part: tuple[Any, ...]

    @property
    def times(self) -> str:
        """Suffix of the name of a segment; empty for a whole recording."""
        _, start, end = self.part
        if start is None and end is None:
            return ""
        return f":{start or 0.0:09.3f}-" + ("" if end is None else f"{end:09.3f}")


class _Places:
    """Finds the recordings that a manifest names.

    Parameters
    ----------
    folder : that of the manifest, from which paths start, or else from the working folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = os.fspath(folder)
        self._resolved: dict[str, str] = {}  # by folder, for most recordings share one
        self.n_elsewhere = 0  # recordings that were found from the working folder

    def find(self, path: str) -> tuple[str, str, str]:
        """A recording's path as the manifest means it, from the manifest's folder, and with links resolved.

        Of a recording that is nowhere, it is the last spelling.
        """
        spellings = _spellings(path)
        for spelling in spellings:
            real, exists = self._resolve(os.path.join(self._folder, spelling))
            if exists:
                return spelling, spelling, real
        for spelling in spellings:
            if not os.path.isabs(spelling) and (there := self._resolve(os.path.abspath(spelling)))[1]:
                self.n_elsewhere += 1
                return spelling, os.path.relpath(spelling, self._folder), there[0]
        return spellings[-1], spellings[-1], real

    def _resolve(self, path: str) -> tuple[str, bool]:
        """The path without links, and whether there is such a file."""
        folder, name = os.path.split(path)
        if folder not in self._resolved:
            self._resolved[folder] = os.path.realpath(folder)
        real = os.path.join(self._resolved[folder], name)
        try:
            is_plain = not stat.S_ISLNK(os.lstat(real).st_mode) and name not in ("", ".", "..")
        except (OSError, ValueError):  # a ValueError: a null byte
            return real, False
        return (real if is_plain else os.path.realpath(real)), True


def _spellings(path: str) -> list[str]:
    """The path as it stands, and as it may be meant.

    Spaces can surround it, backslashes separate its folders, and systems write accents in either form.
    """
    found = [path, path.strip()]
    if "\\" in path and not re.match(r"\s*[A-Za-z]:", path):
        found += [each.replace("\\", "/") for each in found]
    if not path.isascii():
        found = [unicodedata.normalize(form, each) for form in ("NFD", "NFC") for each in found]
        found.insert(0, path)
    return list(dict.fromkeys(found))


class _Reader:
    """Reads the rows of a manifest.

    Parameters
    ----------
    root : the manifest.
    meaning : of its columns.
    places : where its recordings are.
    has_decimal_comma : whether ``0,5`` is a number.
    """

    def __init__(self, root: Path, meaning: Meaning, places: _Places, *, has_decimal_comma: bool) -> None:
        self._root, self._meaning, self._places = root, meaning, places
        self._has_decimal_comma = has_decimal_comma
        self._spacers = [i for i in meaning.unnamed if i]

    def row(self, cells: Sequence[str | None], line: int) -> _Row:
        """The row of these cells."""
        for i in self._spacers:
            if (cells[i] or "").strip():
                self._fail(line, f"column {i + 1} holds {reprlib.repr(cells[i])} and has no name")
        given = {key: cells[i] for i, key in self._meaning.keys.items() if cells[i]}
        record: dict[str, Any] = {name: _shared(cells[i]) for i, name in self._meaning.extra.items()}
        paths = self._paths(given, line)
        for key in given.keys() - {PATH, *PATHS}:
            if (value := self._value(key, given[key], line)) is not None:
                record[key] = value
        if DURATION in record:
            record["end"] = record.get("start", 0.0) + record.pop(DURATION)
        start, end = record.get("start", 0.0), record.get("end", math.inf)
        if start < 0 or end <= start:
            self._fail(line, f"a segment from {start} to {end} s must end after it starts")
        record.setdefault("dataset", self._root.stem)
        found = [(key, *self._places.find(paths[key])) for key in PATHS if key in paths]
        record |= {key: stored for key, _, stored, _ in found}
        return _Row(line, record, tuple(real for *_, real in found), found[0][1], _part(record))

    def _paths(self, given: Mapping[str, str | None], line: int) -> dict[str, str]:
        """The path of each modality, by its column."""
        named = {key: path for key in (PATH, *PATHS) if (path := given.get(key)) and path.strip()}
        if invalid := [key for key, path in named.items() if "\0" in path]:
            self._fail(line, f"{invalid[0]} holds a null byte, which no file name may hold")
        path, paths = named.pop(PATH, None), named
        if path is not None:
            columns = columns_of(path.strip())
            if not columns:
                self._fail(
                    line,
                    f"{path!r} is not EEG, audio or video by its ending; name the column {', '.join(PATHS)}",
                )
            paths = dict.fromkeys(columns, path) | paths
        if not paths:
            self._fail(line, "names no recording")
        return paths

    def _value(self, key: str, text: str | None, line: int) -> Any:
        kind = float if key == DURATION else KINDS.get(key, str)
        if kind is str:
            return _shared(text)
        assert text is not None  # empty cells are not given
        number = text.replace(",", ".") if self._has_decimal_comma and DECIMAL_COMMA.fullmatch(text) else text
        try:
            found = clean("start", number)  # a float, whatever the key
            if kind is float or found is None:
                return found
            if found.is_integer() and abs(found) <= LARGEST:
                return int(found)
        except ValueError:
            pass
        what = "number" if kind is float else "whole number"
        self._fail(line, f"{key} is {reprlib.repr(text.strip())}, not a {what}")

    def _fail(self, line: int, reason: str) -> NoReturn:
        raise DataError(f"{self._root}: line {line}: {reason}")


def _part(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """Index, start and end of a record in its files; None where not given."""
    index = record.get("eeg_index")
    if index is None and "trial" in record:
        index = index_of(record.get("video_path", ""), record["trial"])
    return index, record.get("start"), record.get("end")


def _shared(text: str | None) -> str | None:
    """A text without spaces at its ends, None if empty; equal texts share memory."""
    trimmed = text.strip() if text else ""
    return sys.intern(trimmed) if trimmed else None


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
            others = [str(other.line) for other in same[: SHOWN + 1] if other is not row]
            reason = f"line {row.line} names the same recording as line {shown(others, len(same) - 1)}"
            reason += f", with contradicting labels: {shown(labels)}" if len(labels) > 1 else ""
            path = next(row.record[key] for key in PATHS if key in row.record)
            rejected.append({"clip_id": row.record.get("clip_id", path), "path": path, "reason": reason})
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

"""Tables that other programs wrote: text with separated columns, Excel, JSON lines and Parquet.

What a file is, is found from its first bytes. All values become text; rows keep the numbers of their lines.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from eavctl.errors import DataError
from eavctl.storage import delimited, files
from eavctl.storage.cell_text import as_text
from eavctl.storage.ownership import ARCHIVE, PARQUET

OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
START = 4096  # bytes, to find out what a file is

Row = tuple[int, Sequence[str | None]]


@dataclass(frozen=True)
class ForeignTable:
    """A table that another program wrote.

    Parameters
    ----------
    columns : the header, trimmed; empty for a column without a name, but not for the last.
    rows : the number of each row's line in the file, and as many cells as columns; they can be read once.
    form : how the file was read, such as ``cp1252, ';'``.
    has_decimal_comma : whether ``0,5`` can be a number.
    """

    columns: tuple[str, ...]
    rows: Iterator[Row]
    form: str
    has_decimal_comma: bool = False


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[ForeignTable]:
    """Open a table of any of the formats; the rows are read while they are taken.

    Raises
    ------
    DataError : no such file, not a table, or no row; and from the block, for a row that cannot be read.
    ModuleNotFoundError : a workbook, and openpyxl is not installed.
    """
    with files.opened(path) as handle:
        start = handle.read(START)
    if start.startswith(PARQUET):
        yield _parquet(path)
    elif start.startswith(ARCHIVE):
        from eavctl.storage.workbooks import read_sheet

        sheet, rows = read_sheet(path)
        yield _with_header(path, iter(rows), f"Excel, {sheet}" if sheet else "Excel")
    elif start.startswith(OLD_OFFICE):
        raise DataError(f"{path}: a workbook of the old format; save it as .xlsx or .csv")
    else:
        codec, name = delimited.encoding_of(path)
        text = start.decode(codec, "ignore").lstrip("\ufeff \t\r\n")
        if re.match(r"\[\s*[{\]]", text):
            raise DataError(f"{path}: a JSON list; write JSON lines, one object a line, without the list")
        is_json = text.startswith("{")
        columns = _json_columns(path, codec) if is_json else ()
        with delimited.opened_lines(path, codec) as lines:
            if is_json:
                yield ForeignTable(columns, _json_rows(lines, columns, path), f"JSON lines, {name}")
            else:
                separator, records = delimited.records(lines, path)
                shown = "tab" if separator == "\t" else repr(separator)
                yield _with_header(path, records, f"{name}, {shown}", has_decimal_comma=separator != ",")


def header_of(path: str | os.PathLike[str]) -> list[str]:
    """The cells of a text file's first line; empty for any other file, or a line of more than 4 kB.

    Raises
    ------
    DataError : the file cannot be read.
    """
    with files.opened(path) as handle:
        start = handle.read(START)
    marked = (codec for mark, codec, _ in delimited.BOMS if start.startswith(mark))
    text = start.decode(next(marked, "latin-1"), "ignore").lstrip("\r\n")
    line, ended, _ = text.partition("\n")
    if not ended or "\0" in line:
        return []
    _, records = delimited.records(iter([line]), path)
    with contextlib.suppress(DataError):
        for _, cells in records:
            return cells
    return []


def _with_header(
    path: str | os.PathLike[str],
    records: Iterator[tuple[int, Sequence[str | None]]],
    form: str,
    *,
    has_decimal_comma: bool = False,
) -> ForeignTable:
    """The table whose first row names the columns."""
    _, header = next(records, (0, ()))
    names = [re.sub(r"\s+", " ", name or "").strip() for name in header]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise DataError(f"{path}: an empty table; its first line must name the columns")
    return ForeignTable(tuple(names), _fitted(records, len(names), path), form, has_decimal_comma)


def _fitted(records: Iterator[Row], n_columns: int, path: str | os.PathLike[str]) -> Iterator[Row]:
    """Rows with one cell for each column."""
    for line, cells in records:
        if len(cells) > n_columns:
            if any(text and text.strip() for text in cells[n_columns:]):
                raise DataError(
                    f"{path}: line {line} has more cells than the header, which names {n_columns} columns; "
                    'write a cell that holds the separator in quotes (")'
                )
            cells = cells[:n_columns]
        yield line, (*cells, *[None] * (n_columns - len(cells)))


def _json_columns(path: str | os.PathLike[str], codec: str) -> tuple[str, ...]:
    """The names of all objects, in the order in which they come."""
    names: dict[str, None] = {}
    with delimited.opened_lines(path, codec) as lines:
        for _, record in _objects(lines, path):
            names.update(dict.fromkeys(record))
    return tuple(names)


def _json_rows(lines: Iterator[str], columns: Sequence[str], path: str | os.PathLike[str]) -> Iterator[Row]:
    for line, record in _objects(lines, path):
        values = [record.get(name) for name in columns]
        yield line, _texts([json.dumps(v) if isinstance(v, bool) else v for v in values], columns, line, path)


def _objects(lines: Iterator[str], path: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        try:
            record = json.loads(text, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: line {number} is not JSON ({error}); write one object a line") from None
        if not isinstance(record, dict):
            raise DataError(f"{path}: line {number} is not a JSON object; write one object a line")
        yield number, record


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice")
    return found


def _parquet(path: str | os.PathLike[str]) -> ForeignTable:
    from eavctl.storage import parquet

    with parquet.opened(path, "a table (.parquet)") as source:
        names = tuple(source.schema_arrow.names)
        columns = [each.to_pylist() for each in source.read().columns]
    rows = enumerate(zip(*columns, strict=True), start=2)  # as if a header came first
    return ForeignTable(names, ((line, _texts(cells, names, line, path)) for line, cells in rows), "Parquet")


def _texts(
    values: Sequence[Any], names: Sequence[str], line: int, path: str | os.PathLike[str]
) -> list[str | None]:
    try:
        return [as_text(value) for value in values]
    except TypeError:
        name = next(name for name, value in zip(names, values, strict=True) if not _is_text(value))
        raise DataError(
            f"{path}: line {line}: {name} is not text, a number, a date or a time, which a manifest can "
            "hold; write it as text, or leave it out"
        ) from None


def _is_text(value: Any) -> bool:
    with contextlib.suppress(TypeError):
        as_text(value)
        return True
    return False

"""Tables for other programs: CSV, TSV, JSON lines and Excel, written batch by batch and never read again.

Numbers are the shortest decimals that read back to the same bits. Missing values are empty cells, or null in
JSON lines. The metadata of a table are left out: no such file has a place for them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from eavctl.errors import DataError
from eavctl.storage import files
from eavctl.storage.cells import decimals, joined, nested, pour
from eavctl.storage.feature_columns import holds_tensors
from eavctl.storage.ownership import check_columns

CELLS_AT_ONCE = 1 << 19  # that are text in memory together: about 10 MB


class Rows(Protocol):
    """How one kind of file holds a table's rows."""

    def begin(self) -> None:
        """Write what comes before the rows."""

    def write(self, cells: Sequence[pa.Array]) -> None:
        """Write rows, by their columns: texts and numbers as strings, null where they are missing."""

    def end(self) -> None:
        """Write what comes after the rows."""

    def text(self, value: str) -> str:
        """A text as the cell holds it."""


class TableWriter:
    """Writer of a table's rows for other programs; it takes the calls of `pyarrow.parquet.ParquetWriter`.

    Parameters
    ----------
    path : names the file in errors.
    handle : to write bytes to.
    schema : texts, numbers, and tensors of numbers.
    kind : of the table, a key of `eavctl.storage.ownership.NAMES`.
    ending : a key of `eavctl.storage.ownership.FOR_OTHERS`; by default that of the path.

    Raises
    ------
    UsageError : the kind cannot hold the columns.
    """

    def __init__(
        self, path: str | os.PathLike[str], handle: IO[bytes], schema: pa.Schema, kind: str, ending: str = ""
    ) -> None:
        self.path, self.schema = path, schema
        ending = ending or Path(path).suffix
        check_columns(path, any(holds_tensors(field) for field in schema), ending)
        self._rows = _rows_of(ending, path, handle, schema, kind)
        self._rows.begin()

    def write_table(self, table: pa.Table) -> None:
        """Append rows.

        Raises
        ------
        DataError : a number is not finite, or the kind cannot hold so many rows or so long a text.
        """
        step = max(1, CELLS_AT_ONCE // len(self.schema))
        for start in range(0, len(table), step):
            self._rows.write(self._cells(table[start : start + step].combine_chunks()))

    def _cells(self, part: pa.Table) -> list[pa.Array]:
        """The columns as strings; numbers of one type together, as a call for each takes most of the time."""
        cells: dict[str, pa.Array] = {}
        numeric: dict[pa.DataType, list[str]] = {}
        for field in self.schema:
            if pa.types.is_string(field.type):
                found = part[field.name].to_pylist()
                texts = [None if text is None else self._rows.text(text) for text in found]
                cells[field.name] = pa.array(texts, pa.string())
            elif holds_tensors(field):
                cells[field.name] = nested(_whole(part[field.name]), field)
            else:
                numeric.setdefault(field.type, []).append(field.name)
        for names in numeric.values():
            values = pa.concat_arrays([_whole(part[name]) for name in names])
            if pa.types.is_floating(values.type):
                self._check_finite(values, names)
            numbers = decimals(values)
            cells |= {name: numbers.slice(i * len(part), len(part)) for i, name in enumerate(names)}
        return [cells[name] for name in self.schema.names]

    def _check_finite(self, values: pa.Array, names: Sequence[str]) -> None:
        """Check the numbers of columns that follow each other."""
        is_finite = pc.is_finite(values)
        if not pc.all(is_finite, min_count=0).as_py():
            name = names[pc.index(is_finite, False).as_py() // (len(values) // len(names))]
            raise DataError(
                f"{self.path}: column {name!r} holds a number that is not finite; make the table again"
            )

    def add_key_value_metadata(self, metadata: dict[bytes, bytes]) -> None:
        """Leave the metadata out."""

    def close(self) -> None:
        """Write what comes after the rows."""
        self._rows.end()


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """A column of at most one chunk as an array."""
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


@contextlib.contextmanager
def opened_writer(
    path: str | os.PathLike[str], schema: pa.Schema, kind: str, ending: str = ""
) -> Iterator[TableWriter]:
    """Write a table for other programs; the file is complete or absent, and stdout gets rows as they come.

    Parameters
    ----------
    ending : of the kind, for stdout (``-``).

    Raises
    ------
    DataError, UsageError : as `TableWriter` and `eavctl.storage.files.atomic_write`.
    """
    ending = ending or Path(path).suffix
    is_text_stream = files.is_stream(path) and ending != ".xlsx"  # which needs to seek
    with files.streamed(path) if is_text_stream else files.atomic_write(path) as handle:
        writer = TableWriter(path, handle, schema, kind, ending)
        try:
            yield writer
        finally:
            writer.close()


def _rows_of(
    ending: str, path: str | os.PathLike[str], handle: IO[bytes], schema: pa.Schema, kind: str
) -> Rows:
    if ending == ".xlsx":
        from eavctl.storage.excel import ExcelRows

        return ExcelRows(path, handle, schema, kind)
    if ending == ".jsonl":
        return _JsonRows(handle, schema.names)
    return _SeparatedRows(handle, schema.names, {".csv": ",", ".tsv": "\t"}[ending])


class _SeparatedRows:
    """CSV and TSV (RFC 4180): a text is quoted where it holds the separator, a quote or a line break."""

    def __init__(self, handle: IO[bytes], names: Sequence[str], separator: str) -> None:
        self._handle, self._names, self._separator = handle, names, separator
        self._special = re.compile(f'[{separator}"\r\n]')

    def begin(self) -> None:
        header = self._separator.join(map(self.text, self._names))
        self._handle.write(f"{header}\n".encode())

    def write(self, cells: Sequence[pa.Array]) -> None:
        filled = [pc.fill_null(each, "") if each.null_count else each for each in cells]
        rows = pc.binary_join_element_wise(*filled, self._separator)
        pour(self._handle, joined([rows, "\n"]))

    def end(self) -> None:
        pass

    def text(self, value: str) -> str:
        quoted = value.replace('"', '""')
        return f'"{quoted}"' if self._special.search(value) else value


class _JsonRows:
    """One JSON object a line; tensors are nested lists."""

    def __init__(self, handle: IO[bytes], names: Sequence[str]) -> None:
        self._handle = handle
        self._before = [f"{', ' if i else '{'}{self.text(name)}: " for i, name in enumerate(names)]

    def begin(self) -> None:
        pass

    def write(self, cells: Sequence[pa.Array]) -> None:
        pairs: list[Any] = []
        for name, values in zip(self._before, cells, strict=True):
            pairs += [name, pc.fill_null(values, "null") if values.null_count else values]
        pour(self._handle, joined([*pairs, "}\n"]))

    def end(self) -> None:
        pass

    def text(self, value: str) -> str:
        return json.dumps(value)

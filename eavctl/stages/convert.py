"""Convert a table to a file for other programs: CSV, TSV, JSON lines or Excel."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from eavctl.errors import DataError, UsageError
from eavctl.storage import parquet, tables
from eavctl.storage.feature_columns import holds_tensors
from eavctl.storage.ownership import ENDINGS, FOR_OTHERS, NAMES, Output, check_columns, describe, guard
from eavctl.storage.text_tables import opened_writer

FORMATS = tuple(ending.removeprefix(".") for ending in FOR_OTHERS)


class Converted(NamedTuple):
    """What a conversion wrote, or would write.

    Parameters
    ----------
    kind : of the table, a key of `eavctl.storage.ownership.NAMES`.
    n_rows, n_columns : its size.
    """

    kind: str
    n_rows: int
    n_columns: int


def convert(
    table: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    to: str | None = None,
    force: bool = False,
) -> Converted:
    """Write the rows of a table for other programs, a row group at a time.

    Numbers read back to the same bits; missing values are empty cells, or null in JSON lines. The metadata,
    such as the classes and the protocol, are left out: eavctl does not read such files.

    Parameters
    ----------
    table : of features, predictions or rejected recordings (.parquet), or ``-``.
    out : the file to write (.csv, .tsv, .jsonl, .xlsx), or ``-``.
    to : one of `FORMATS`, where ``out`` has no ending.
    force : overwrite files not written by eavctl.

    Raises
    ------
    UsageError : an output that must not be overwritten, no such format, tensors for a format that holds one
        number a cell, or more columns than Excel has.
    DataError : no such table or a damaged one, a number that is not finite, or more rows or longer texts than
        Excel holds.
    """
    ending = _ending(out, to)
    with _opened(table, out, ending, force) as (source, found):
        with opened_writer(out, source.schema_arrow, found.kind, ending) as writer:
            for number in range(source.num_row_groups):
                with parquet.damage_named(table):
                    rows = source.read_row_group(number)
                writer.write_table(rows)
        return found


def plan(
    table: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    to: str | None = None,
    force: bool = False,
) -> Converted:
    """What `convert` would write with the same parameters; it raises the same errors, but those of rows."""
    with _opened(table, out, _ending(out, to), force) as (_, found):
        return found


def _ending(out: str | os.PathLike[str], to: str | None) -> str:
    """The ending that says the format."""
    named = Path(out).suffix
    ending = f".{to}" if to else named
    if ending not in FOR_OTHERS or (to and named and named != ending):
        known = ", ".join(FOR_OTHERS)
        what = f"--to {to}" if to else out
        raise UsageError(f"{what}: name a file that ends with {known}, or - with --to {FORMATS[0]}")
    return ending


@contextlib.contextmanager
def _opened(
    table: str | os.PathLike[str], out: str | os.PathLike[str], ending: str, force: bool
) -> Iterator[tuple[pq.ParquetFile, Converted]]:
    """Open the table, and check that it can be written."""
    with tables.opened(table) as source:
        kind = parquet.meta_of(source).get("kind")
        if kind not in NAMES:
            raise DataError(f"{table}: this is {describe(table)}; a table of eavctl is needed")
        if ending not in ENDINGS[kind]:
            raise UsageError(
                f"{table}: {NAMES[kind]} holds pictures, which no other program's table can hold"
            )
        guard([Output(out, kind)], [table], force=force)
        check_columns(out, any(holds_tensors(field) for field in source.schema_arrow), ending)
        yield source, Converted(kind, source.metadata.num_rows, len(source.schema_arrow))

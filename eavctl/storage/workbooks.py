"""Sheets of Excel workbooks (.xlsx, Office Open XML, ECMA-376), read as text as people see it."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

from eavctl.errors import DataError
from eavctl.storage import files
from eavctl.storage.cell_text import as_text

MOST_ROWS = 1_048_576  # of a sheet: support.microsoft.com, "Excel specifications and limits"
MOST_BYTES = 1 << 30  # of an unpacked workbook


def read_sheet(path: str | os.PathLike[str]) -> tuple[str, list[tuple[int, list[str | None]]]]:
    """The rows of the first visible sheet that has text in two rows, or else in one.

    Formulas have the values that Excel has computed, dates are ISO 8601, whole numbers have no fraction, and
    numbers shown with leading zeros have these.

    Returns
    -------
    Which sheet it is, if there are several, else an empty text; and its rows: each the number of the row, and
    its cells; those without text are left out.

    Raises
    ------
    DataError : not a workbook that can be read, an error such as ``#N/A`` in a cell, or no sheet has text.
    ModuleNotFoundError : openpyxl is not installed.
    """
    with _opened(path) as book:
        sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        most, found = "", list[Any]()
        for sheet in sheets:
            rows = list(_rows(sheet, path))
            if len(rows) > min(len(found), 1):
                most, found = sheet.title, rows
            if len(found) > 1:
                break
    if not found:
        raise DataError(f"{path}: no visible sheet has any text")
    return (f"sheet {most!r} of {len(sheets)}" if len(sheets) > 1 else ""), found


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    import openpyxl

    with files.opened(path) as handle, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of validation and other things that are not read
        try:
            with zipfile.ZipFile(handle) as archive:
                size = sum(part.file_size for part in archive.infolist())
            if size > MOST_BYTES:
                raise DataError(
                    f"{path}: unpacks to {size:,} bytes, too much for a workbook; save it as .csv"
                )
            book = openpyxl.load_workbook(handle, read_only=True, data_only=True, keep_links=False)
            try:
                yield book
            finally:
                book.close()
        except DataError:
            raise
        except Exception as error:  # openpyxl fails in many ways on what is damaged
            reason = str(error).split("\n")[0] or type(error).__name__
            raise DataError(f"{path}: no Excel workbook (.xlsx) that can be read ({reason})") from error


def _rows(sheet: Any, path: str | os.PathLike[str]) -> Iterator[tuple[int, list[str | None]]]:
    sheet.reset_dimensions()  # the file can give wrong ones
    for number, row in enumerate(sheet.iter_rows(), start=1):
        if number > MOST_ROWS:
            raise DataError(f"{path}: the sheet {sheet.title!r} has more than {MOST_ROWS:,} rows")
        cells = [None if cell.value is None else _text(cell, sheet, path) for cell in row]
        if any(text and text.strip() for text in cells):
            yield number, cells


def _text(cell: Any, sheet: Any, path: str | os.PathLike[str]) -> str | None:
    value = cell.value
    if cell.data_type == "e":
        raise DataError(f"{path}: sheet {sheet.title!r}, cell {cell.coordinate} holds the error {value}")
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int) and re.fullmatch("0+", cell.number_format or ""):
        return str(value).zfill(len(cell.number_format))
    return as_text(value)

"""Sheets of Excel workbooks (.xlsx, Office Open XML, ECMA-376), read as text as people see it."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
import zipfile
from collections.abc import Collection, Iterator
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
    DataError : not a workbook that can be read, an error such as ``#N/A`` in a cell, a formula without a
        value, or no sheet has text.
    ModuleNotFoundError : openpyxl is not installed.
    """
    with _opened(path) as book:
        sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        most, found, blank = "", list[Any](), set[str]()
        for sheet in sheets:
            without_value = set[str]()
            rows = list(_rows(sheet, path, without_value))
            if len(rows) > min(len(found), 1):
                most, found, blank = sheet.title, rows, without_value
            if len(found) > 1:
                break
    if not found:
        raise DataError(f"{path}: no visible sheet has any text")
    if blank:
        _check_computed(path, most, blank)
    return (f"sheet {most!r} of {len(sheets)}" if len(sheets) > 1 else ""), found


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str], *, data_only: bool = True) -> Iterator[Any]:
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
            book = openpyxl.load_workbook(handle, read_only=True, data_only=data_only, keep_links=False)
            try:
                yield book
            finally:
                book.close()
        except DataError:
            raise
        except Exception as error:  # openpyxl fails in many ways on what is damaged
            reason = str(error).split("\n")[0] or type(error).__name__
            raise DataError(f"{path}: no Excel workbook (.xlsx) that can be read ({reason})") from error


def _check_computed(path: str | os.PathLike[str], title: str, blank: Collection[str]) -> None:
    """Check that no formula is in these cells: programs that only write workbooks compute none."""
    with _opened(path, data_only=False) as book:
        for row in book[title].iter_rows():
            for cell in row:
                if cell.data_type == "f" and cell.coordinate in blank:
                    raise DataError(
                        f"{path}: sheet {title!r}, cell {cell.coordinate} holds a formula without its value; "
                        "open the workbook in a spreadsheet program and save it"
                    )


def _rows(
    sheet: Any, path: str | os.PathLike[str], blank: set[str]
) -> Iterator[tuple[int, list[str | None]]]:
    """The rows with text; cells that the file has without a value are added to ``blank``."""
    from openpyxl.cell.read_only import ReadOnlyCell

    sheet.reset_dimensions()  # the file can give wrong ones
    for number, row in enumerate(sheet.iter_rows(), start=1):
        if number > MOST_ROWS:
            raise DataError(f"{path}: the sheet {sheet.title!r} has more than {MOST_ROWS:,} rows")
        blank |= {
            cell.coordinate
            for cell in row
            if cell.value is None and cell.data_type == "n" and isinstance(cell, ReadOnlyCell)
        }
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

"""Rows of a table as a workbook of Excel (.xlsx, Office Open XML, ECMA-376) with one sheet.

It is written here and not by openpyxl, whose files hold the time of writing, so that the same table would not
give the same bytes; openpyxl also takes four times as long. Texts are inline strings, which Excel never reads
as formulas.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Sequence
from typing import IO
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.compute as pc

from eavctl.errors import DataError, UsageError
from eavctl.storage.cells import joined, pour
from eavctl.storage.ownership import EXCEL_NAME, EXCEL_START

# Limits of Excel: support.microsoft.com, "Excel specifications and limits".
MOST_ROWS, MOST_COLUMNS, LONGEST_TEXT = 1_048_576, 16_384, 32_767
MOST_BYTES = 2_000_000_000  # of a sheet as XML; a zip archive of more needs an extension of the format
DATE = (1980, 1, 1, 0, 0, 0)  # the first of a zip archive: the same table gives the same bytes

_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_OFFICE = "http://schemas.openxmlformats.org"
_MAIN = f"{_OFFICE}/spreadsheetml/2006/main"
_RELATIONS, _OF_DOCUMENT = (
    f"{_OFFICE}/package/2006/relationships",
    f"{_OFFICE}/officeDocument/2006/relationships",
)
_TYPE = "application/vnd.openxmlformats-officedocument"
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_OFFICE}/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/{EXCEL_NAME}" ContentType="{_TYPE}.extended-properties+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.spreadsheetml.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.spreadsheetml.worksheet+xml"/>'
    "</Types>",
    "_rels/.rels": f'<Relationships xmlns="{_RELATIONS}">'
    f'<Relationship Id="rId1" Type="{_OF_DOCUMENT}/officeDocument" Target="xl/workbook.xml"/>'
    f'<Relationship Id="rId2" Type="{_OF_DOCUMENT}/extended-properties" Target="{EXCEL_NAME}"/>'
    "</Relationships>",
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OF_DOCUMENT}">'
    '<sheets><sheet name="{kind}" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_RELATIONS}">'
    f'<Relationship Id="rId1" Type="{_OF_DOCUMENT}/worksheet" Target="worksheets/sheet1.xml"/>'
    "</Relationships>",
}
_TEXT = '" t="inlineStr"><is><t xml:space="preserve">', "</t></is></c>"  # before and after a value
_NUMBER = '"><v>', "</v></c>"
_ELSE = "name a file that ends with .csv"
_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9a-fA-F]{4}_)")


class ExcelRows:
    """Rows of a sheet; see `eavctl.storage.text_tables.Rows`.

    Parameters
    ----------
    path : names the file in errors.
    schema : of the table.
    kind : of the table, a key of `eavctl.storage.ownership.NAMES`.

    Raises
    ------
    UsageError : more columns than Excel has.
    """

    def __init__(self, path: str | os.PathLike[str], handle: IO[bytes], schema: pa.Schema, kind: str) -> None:
        if len(schema) > MOST_COLUMNS:
            raise UsageError(f"{path}: {len(schema):,} columns, and Excel has {MOST_COLUMNS:,}; {_ELSE}")
        self._path, self._names, self._kind = path, schema.names, kind
        self._archive = zipfile.ZipFile(handle, "w", zipfile.ZIP_DEFLATED)
        self._n_rows = self._n_bytes = 0
        self._around = [_TEXT if pa.types.is_string(field.type) else _NUMBER for field in schema]
        self._letters = [_letters(number) for number in range(len(schema))]

    def begin(self) -> None:
        """Write the parts before the sheet, and its row of names."""
        mark = zipfile.ZipInfo(EXCEL_NAME, DATE)  # first and not compressed, to be known again
        self._archive.writestr(mark, f"{EXCEL_START}{self._kind}</Application></Properties>")
        for name, content in _PARTS.items():
            info = zipfile.ZipInfo(name, DATE)
            self._archive.writestr(info, _XML + content.replace("{kind}", self._kind))
        info = zipfile.ZipInfo("xl/worksheets/sheet1.xml", DATE)
        info.compress_type = zipfile.ZIP_DEFLATED
        self._sheet = self._archive.open(info, "w")
        self._sheet.write(f'{_XML}<worksheet xmlns="{_MAIN}"><sheetData>'.encode())
        self._write([pa.array([self.text(name)]) for name in self._names], [_TEXT] * len(self._names))

    def write(self, cells: Sequence[pa.Array]) -> None:
        """Write rows.

        Raises
        ------
        DataError : more rows than Excel has.
        """
        self._write(cells, self._around)

    def _write(self, cells: Sequence[pa.Array], around: Sequence[tuple[str, str]]) -> None:
        n_rows = len(cells[0])
        if self._n_rows + n_rows > MOST_ROWS:
            raise DataError(f"{self._path}: more than {MOST_ROWS - 1:,} rows, which Excel holds; {_ELSE}")
        numbers = pc.cast(pa.array(range(self._n_rows + 1, self._n_rows + n_rows + 1)), pa.string())
        self._n_rows += n_rows
        parts: list[pa.Array | str] = ['<row r="', numbers, '">']
        for letters, (before, after), values in zip(self._letters, around, cells, strict=True):
            cell = joined([f'<c r="{letters}', numbers, before, values, after])  # null where the value is
            parts.append(pc.fill_null(cell, ""))
        rows = joined([*parts, "</row>"])
        self._n_bytes += rows.nbytes
        if self._n_bytes > MOST_BYTES:
            raise DataError(f"{self._path}: more than 2 GB, too much for Excel; {_ELSE}")
        pour(self._sheet, rows)

    def end(self) -> None:
        """Close the sheet and the archive."""
        self._sheet.write(b"</sheetData></worksheet>")
        self._sheet.close()
        self._archive.close()

    def text(self, value: str) -> str:
        """Escape a text: XML's characters, and by ``_xHHHH_`` (ECMA-376, ST_Xstring) what XML cannot hold."""
        if len(value.encode("utf-16-le")) > 2 * LONGEST_TEXT:
            raise DataError(
                f"{self._path}: a text of {len(value):,} characters; a cell holds {LONGEST_TEXT:,}; {_ELSE}"
            )
        return escape(_UNWRITABLE.sub(lambda found: f"_x{ord(found[0]):04X}_", value))


def _letters(number: int) -> str:
    """The name of a column, from A."""
    name, left = "", number + 1
    while left:
        left, last = divmod(left - 1, 26)
        name = chr(ord("A") + last) + name
    return name

"""Text with separated columns, as programs write it; encoding and separator are found from the content."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from typing import TextIO

from eavctl.errors import DataError
from eavctl.storage import files

SEPARATORS = (",", ";", "\t", "|")
N_INSPECTED = 200  # lines, to find the separator
CHUNK = 1 << 16  # bytes
LONGEST_LINE = 1 << 20  # characters
LONGEST_CELL = 131_072  # characters, the limit of the module csv
NOT_IN_1252 = b"\x81\x8d\x8f\x90\x9d"  # bytes without a character in cp1252
# First bytes, name of the codec, and its common name; UTF-32 first, for it begins as UTF-16 does.
BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
)
_GIVEN = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # first line by which Excel names the separator


def encoding_of(path: str | os.PathLike[str]) -> tuple[str, str]:
    """The encoding of a text file: the name of its codec, and its common name.

    A byte order mark decides; without one the text is UTF-16 if every second byte of most characters is null,
    UTF-8 if all of it is valid UTF-8, else cp1252, or latin-1 if it holds bytes that cp1252 lacks.

    Raises
    ------
    DataError : the file cannot be read.
    """
    is_utf8, is_1252 = True, True
    decoder = codecs.getincrementaldecoder("utf-8")()
    with files.opened(path) as handle:
        chunk = handle.read(CHUNK)
        if found := _marked(chunk):
            return found
        while True:
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError:
                is_utf8 = False
                decoder.reset()
            is_1252 = is_1252 and len(chunk.translate(None, NOT_IN_1252)) == len(chunk)
            if not chunk:
                break
            chunk = handle.read(CHUNK)
    if is_utf8:
        return "utf-8", "UTF-8"
    return ("cp1252", "cp1252") if is_1252 else ("latin-1", "latin-1")


def _marked(start: bytes) -> tuple[str, str] | None:
    """The encoding, as `encoding_of`, of a text that begins with a mark, or is UTF-16 without one."""
    for mark, codec, name in BOMS:
        if start.startswith(mark):
            return codec, name
    first, second = start[::2].count(0), start[1::2].count(0)
    if min(first, second) == 0 and max(first, second) > len(start) // 4:
        return ("utf-16-le" if second else "utf-16-be"), "UTF-16"
    return None


def codec_of_start(start: bytes) -> str | None:
    """The codec of a text by its first bytes alone; None if they hold null bytes, as no text does."""
    if found := _marked(start):
        return found[0]
    if b"\0" in start:
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


@contextlib.contextmanager
def opened_lines(path: str | os.PathLike[str], codec: str) -> Iterator[Iterator[str]]:
    """Yield the lines of a text file, with their ends.

    Raises
    ------
    DataError : from the block, for a line that is too long, holds a null character, or cannot be decoded.
    """
    with files.opened(path) as raw, io.TextIOWrapper(raw, encoding=codec, newline="") as handle:
        try:
            yield _lines(handle, path)
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: is not valid {error.encoding}: {error.reason}") from None


def _lines(handle: TextIO, path: str | os.PathLike[str]) -> Iterator[str]:
    number = 0
    while line := handle.readline(LONGEST_LINE):
        number += 1
        if "\0" in line:
            raise DataError(f"{path}: line {number} holds a null byte; this is not a table of text")
        if len(line) == LONGEST_LINE:
            raise DataError(
                f"{path}: line {number} has more than {LONGEST_LINE:,} characters; this is no table of text"
            )
        yield line


def records(
    lines: Iterator[str], path: str | os.PathLike[str], separator: str | None = None
) -> tuple[str, Iterator[tuple[int, list[str]]]]:
    """The separator of a table, and its rows: each the number of its first line, and its cells.

    Rows without any text are left out. A ``separator`` that is known is not looked for.

    Raises
    ------
    DataError : while rows are taken, for quotes that do not end, or a cell that is too long.
    """
    first = list(itertools.islice(lines, N_INSPECTED))
    given = _GIVEN.fullmatch(first[0]) if first else None
    n_before = 1 if given else 0
    separator = separator or (given[1] if given else _separator(first))
    return separator, _records(itertools.chain(first[n_before:], lines), separator, n_before, path)


def _records(
    lines: Iterator[str], separator: str, n_before: int, path: str | os.PathLike[str]
) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines, delimiter=separator, strict=True)
    while True:
        line = n_before + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{path}: line {line}: {_reason(str(error))}") from None
        if any(map(str.strip, cells)):
            yield line, cells


def _reason(error: str) -> str:
    if "unexpected end" in error:
        return 'a quote (") begins here and never ends; end it, or write "" for a quote inside a cell'
    if "field larger" in error:
        return f'a cell has more than {LONGEST_CELL:,} characters; does a quote (") that begins here not end?'
    if "expected after" in error:
        return 'text follows the quote (") that ends a cell; write "" for a quote inside a cell'
    return error


def _separator(lines: Sequence[str]) -> str:
    """The separator by which most rows have as many cells as the header, which must have two or more."""
    shares = {separator: _share(lines, separator) for separator in SEPARATORS}
    return max(shares, key=shares.__getitem__)


def _share(lines: Sequence[str], separator: str) -> float:
    """Share of the rows that have as many cells as the header, and two or more; 0 if the header has fewer."""
    widths = []
    with contextlib.suppress(csv.Error):
        for cells in csv.reader(lines, delimiter=separator):
            if any(map(str.strip, cells)):
                widths.append(len(_without_end(cells)))
    if not widths or widths[0] < 2:
        return 0.0
    return sum(2 <= width <= widths[0] for width in widths) / len(widths)


def _without_end(cells: Sequence[str]) -> Sequence[str]:
    """The cells up to the last that holds text."""
    n = len(cells)
    while n and not cells[n - 1].strip():
        n -= 1
    return cells[:n]

"""Recognition of files written by eavctl, by a mark at a fixed offset of each format; overwriting rules."""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from eavctl.errors import DataError, UsageError
from eavctl.storage import files, remote, table_folders
from eavctl.storage.keys import KEYS

NAMES = {
    "features": "a table of features",
    "grounding": "a table of phrases on pictures",
    "predictions": "a table of predictions",
    "rejected": "a table of rejected recordings",
    "model": "a model",
    "weights": "a file of weights",
    "report": "a report",
    "probe": "the result of a probe",
    "picture": "a picture",
}
# Endings of tables for other programs, which eavctl does not read again, and the names of the formats.
FOR_OTHERS = {".csv": "CSV", ".tsv": "TSV", ".jsonl": "JSON lines", ".xlsx": "Excel"}
TABLES = (".parquet", *FOR_OTHERS)
FOLDERS = ("features",)  # kinds of tables that can be a folder
ENDINGS = {
    "features": TABLES,
    "grounding": (".parquet",),
    "predictions": TABLES,
    "rejected": TABLES,
    "model": (".joblib", ".pt", ".onnx"),
    "weights": (".safetensors",),
    "report": (".html", ".md", ".tex", ".csv", ".json"),
    "probe": (".json",),
    "picture": (".png",),
}
PAGE = (".html",)  # the ending of a report that is a page
REJECTED_COLUMNS = ("clip_id", "path", "start", "reason")
REPORT_COLUMNS = (
    "model",
    "dataset",
    "class",
    "metric",
    "value",
    "low",
    "high",
    "level",
    "over",
    "n_clusters",
    "n_rows",
)
REPORT_MARKDOWN, REPORT_LATEX = "<!-- eavctl report -->", "% eavctl report"  # first lines
REPORT_JSON = '{\n "eavctl": "report",'
HTML_START = b'<!doctype html>\n<html lang="en"><head><meta name="generator" content="eavctl">'
# First member of a workbook that eavctl wrote, and the beginning of its content; the kind follows.
EXCEL_NAME = "docProps/app.xml"
EXCEL_START = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<Properties '
    'xmlns="http://schemas.openxmlformats.org/officeDocument/2006/extended-properties"><Application>eavctl '
)
PARQUET, ARCHIVE, PICKLE, ZLIB = b"PAR1", b"PK\x03\x04", b"\x80", b"\x78\x9c"  # first bytes

ONNX_AT, ONNX = 2, b"\x12\x06eavctl"  # offset and bytes of the producer's name

# Kind, offset and bytes of each mark: in a pickle after its frame, in torch's archive after the name of its
# first member, in an ONNX file after the version of the format, in a safetensors file after the length of the
# header, in a PNG after the header.
_MARKS = (
    ("model", 11, b"}\x94(\x8c\x04meta\x94}\x94(\x8c\x06format\x94\x8c\x0ceavctl model\x94"),
    (
        "model",
        64,
        b"\x80\x02}q\x00(X\x04\0\0\0metaq\x01}q\x02(X\x06\0\0\0formatq\x03X\x0c\0\0\0eavctl modelq",
    ),
    ("model", ONNX_AT, ONNX),
    ("weights", 8, b'{"__metadata__":{"eavctl":'),
    ("report", 0, HTML_START),
    ("report", 0, f"{REPORT_MARKDOWN}\n".encode()),
    ("report", 0, f"{REPORT_LATEX}\n".encode()),
    ("report", 0, REPORT_JSON.encode()),
    ("report", 0, ",".join(REPORT_COLUMNS).encode() + b"\n"),
    ("probe", 0, b'{\n "eavctl": "probe",'),
    ("picture", 37, b"tEXtSoftware\0eavctl"),
    *(
        (kind, 30 + len(EXCEL_NAME), f"{EXCEL_START}{kind}<".encode())  # after the header of a zip's member
        for kind, endings in ENDINGS.items()
        if ".xlsx" in endings
    ),
)
HEAD_BYTES = 1024  # a compressed pickle begins with its code table
LONGEST_LINE = 1 << 24  # of a table of text whose names are looked at


class Output(NamedTuple):
    """A file to write.

    Parameters
    ----------
    path : of the file.
    kind : a key of `NAMES`.
    endings : that the file can have; by default all of its kind, see `ENDINGS`.
    """

    path: str | os.PathLike[str]
    kind: str
    endings: tuple[str, ...] = ()


def kind_of(path: str | os.PathLike[str]) -> str | None:
    """The kind of a file, or of a table that is a folder, a key of `NAMES`; None for any not by eavctl.

    Raises
    ------
    DataError : the file cannot be read.
    """
    if table_folders.is_table(path):
        return _kind_of_table(os.path.join(path, table_folders.COMMON))
    with files.opened(path) as handle:
        head = handle.read(HEAD_BYTES)
    if head.startswith(PARQUET):
        return _kind_of_table(path)
    head = _decompressed(head)
    marked = (kind for kind, at, mark in _MARKS if head[at : at + len(mark)] == mark)
    return next(marked, None) or _kind_of_text(path, head)


def _kind_of_text(path: str | os.PathLike[str], head: bytes) -> str | None:
    """The kind of a table of text by its columns, of which the first have names and an order of their own."""
    if not re.match(rb'({")?(sample_id|clip_id)(": |[,\t])', head):
        return None
    with files.opened(path) as handle:
        line = handle.readline(LONGEST_LINE)
    try:
        names = [*json.loads(line)] if line.startswith(b"{") else re.split("[,\t]", line.decode().strip())
    except ValueError:  # not UTF-8, or not the whole of an object
        return None
    if tuple(names) == REJECTED_COLUMNS:
        return "rejected"
    if tuple(names[: len(KEYS)]) != KEYS:
        return None
    return "predictions" if "pred" in names else "features"


def _decompressed(head: bytes) -> bytes:
    """The first bytes of what a file compresses; those of other files are returned as they are."""
    try:
        return zlib.decompressobj().decompress(head, HEAD_BYTES) if head.startswith(ZLIB) else head
    except zlib.error:
        return head


def _kind_of_table(path: str | os.PathLike[str]) -> str | None:
    import pyarrow.parquet as pq

    try:
        with files.opened(path) as handle:
            meta = json.loads((pq.read_metadata(handle).metadata or {}).get(b"eavctl", b"{}"))
    except (OSError, ValueError):  # damaged: not recognised as eavctl's, so never overwritten
        return None
    return meta.get("kind") if isinstance(meta, dict) else None


def describe(path: str | os.PathLike[str]) -> str:
    """Describe a file in a few words, for an error about a wrong kind of file.

    Raises
    ------
    DataError : the file cannot be read.
    """
    if os.fspath(path) != files.STDIO and files.is_folder(path):
        return NAMES.get(kind_of(path) or "", "a folder") if table_folders.is_table(path) else "a folder"
    kind = kind_of(path)
    with files.opened(path) as handle:
        head = handle.read(len(PARQUET))
    if kind is not None:
        name = NAMES.get(kind, f"a table of {kind}")
        return name if head == PARQUET else f"{name}{_format(path)}"
    if head == PARQUET:
        return "a Parquet file that eavctl did not write, or damaged"
    return "empty" if not head else "not a file written by eavctl"


def _format(path: str | os.PathLike[str]) -> str:
    """The format of a table for other programs, in words, by the ending of its name."""
    return f" as {kind}" if (kind := FOR_OTHERS.get(Path(path).suffix)) else ""


def is_for_others(path: str | os.PathLike[str]) -> bool:
    """Whether a file of this name is written for other programs, by its ending."""
    return Path(path).suffix in FOR_OTHERS and not table_folders.is_folder(path)


def check_columns(path: str | os.PathLike[str], has_tensors: bool, ending: str = "") -> None:
    """Check that a kind of file can hold tensors, if there are any; before anything is computed.

    Parameters
    ----------
    ending : of the kind, where the path has none.

    Raises
    ------
    UsageError : it cannot.
    """
    ending = ending or Path(path).suffix
    if has_tensors and (kind := FOR_OTHERS.get(ending)) and ending != ".jsonl":
        raise UsageError(
            f"{path}: {kind} holds one number a cell, and these features are tensors; name a file that ends "
            "with .parquet or .jsonl"
        )


def guard(
    outputs: Iterable[Output], inputs: Sequence[str | os.PathLike[str]] = (), *, force: bool = False
) -> None:
    """Check, before any work, that no output overwrites an input, a file of another kind or origin.

    Parameters
    ----------
    outputs : files to write.
    inputs : files and folders to read; none may be an output, even with ``force``.
    force : overwrite files that eavctl did not write, and files of other kinds.

    Raises
    ------
    UsageError : an output is an input or a folder, is named twice, has a wrong ending, or must not be
        overwritten; or more than one input is stdin.
    DataError : the folder of an output cannot be written, or a URL cannot be reached.
    """
    if [os.fspath(path) for path in inputs].count(files.STDIO) > 1:
        raise UsageError("only one input can be - (stdin)")
    read = {_identity(path): path for path in inputs if os.fspath(path) != files.STDIO}
    written: set[object] = set()
    for path, kind, endings in outputs:
        if files.is_stream(path):
            _check_stream(path, kind)
            continue
        identity = _identity(path)
        if identity in read:
            raise UsageError(f"{path}: is also an input; name another output file")
        if identity in written:
            raise UsageError(f"{path}: two outputs have this name; name different files")
        written.add(identity)
        if (
            kind in FOLDERS
            and not remote.is_url(path)
            and (os.fspath(path).endswith(os.sep) or table_folders.is_table(path))
        ):
            check_folder(path, kind, force=force)
        else:
            _check_target(path, kind, endings or ENDINGS[kind], force)


def _check_stream(path: str | os.PathLike[str], kind: str) -> None:
    if os.fspath(path) == files.STDIO:
        if kind != "report":
            files.refuse_terminal()
    elif not os.path.exists(path):
        raise DataError(f"{path}: cannot be written (no such stream)")


def _check_target(path: str | os.PathLike[str], kind: str, endings: Sequence[str], force: bool) -> None:
    name = remote.url_of(path)
    ending = Path(path).suffix
    if files.is_folder(path) or (remote.is_url(path) and os.fspath(path).endswith("/")):
        raise UsageError(f"{name}: is a folder; name a file")
    if ending not in endings:
        known = " or ".join(endings)
        raise UsageError(f"{name}: {NAMES[kind]} needs the ending {known}")
    if remote.is_url(path):
        remote.check_target(path)
    else:
        _check_place(Path(path))
    if not force and files.is_file(path) and not (ending == ".jsonl" and _is_empty(path)):  # no row, no mark
        found = kind_of(path)
        if found is None:
            raise UsageError(
                f"{name}: exists, and was not written by eavctl or is damaged; use --force to overwrite it"
            )
        if found != kind:
            raise UsageError(
                f"{name}: is {NAMES.get(found, found)}, which {NAMES[kind]} would replace; "
                "name another file, or use --force"
            )
    if not remote.is_url(path):
        _clear_leftovers(Path(path))


def check_folder(path: str | os.PathLike[str], kind: str, *, force: bool) -> None:
    """Check that a table can be written as this folder: none but eavctl's files are ever removed.

    Raises
    ------
    UsageError, DataError : as `guard`.
    """
    target = Path(path)
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target}: is a file, and a name that ends with a slash is a folder's")
    _check_place(target)
    if target.is_dir():
        listed = table_folders.listed(target)
        for name in sorted(table_folders.names_in(target)):
            if name != table_folders.COMMON and name not in listed and not _is_part(target, name):
                raise UsageError(
                    f"{target}: is a folder with files that eavctl did not write, such as {name}; "
                    "name another folder"
                )
        if not force and any(target.iterdir()) and (not listed or kind_of(target) != kind):
            raise UsageError(f"{target}: is a damaged table, or one of another kind; use --force")
    _clear_leftovers(target)


def _is_part(folder: Path, name: str) -> bool:
    """Whether a file in a folder is a part of a table, by its name and its content."""
    path = folder / name
    named = table_folders.PART.fullmatch(name) and not path.is_symlink()
    return bool(named) and _kind_of_table(path) in FOLDERS


def _check_place(target: Path) -> None:
    """Check that there is a folder to write a file or a folder in, which is no table."""
    folder = Path(os.path.realpath(target)).parent
    if not folder.is_dir():
        raise UsageError(f"{target}: there is no folder {folder if target.is_symlink() else target.parent}")
    if not os.access(folder, os.W_OK):
        raise DataError(f"{target}: cannot be written (the folder {target.parent} is read-only)")
    if any(table_folders.is_table(each) for each in (folder, folder.parent)):
        raise UsageError(f"{target}: is in the folder of a table, which holds its parts alone")


def _clear_leftovers(target: Path) -> None:
    place = Path(os.path.realpath(target))
    files.clear_leftovers(place.parent, place.name)


def _is_empty(path: str | os.PathLike[str]) -> bool:
    with files.opened(path) as handle:
        return not handle.read(1)


def _identity(path: str | os.PathLike[str]) -> object:
    """Identity of the file at a path, equal for all its names: device and inode, else the resolved path."""
    if remote.is_url(path):
        return remote.url_of(path)
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return os.path.realpath(path)
    return found.st_dev, found.st_ino

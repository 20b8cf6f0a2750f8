"""Tables that are folders: the names in them, and what in a folder eavctl wrote.

``table/<data set>/part-00000.parquet`` are feature tables of their own. ``table/_common_metadata`` holds the
schema, the metadata of the whole table and the list of the parts. Programs that read a folder of Parquet
files skip names that begin with ``_`` or ``.``, so they read the parts as one table.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from eavctl.storage import files

COMMON = "_common_metadata"  # the name that Parquet's programs give to a file of schema and metadata alone
PARTS_KEY = b"eavctl parts"
PART = re.compile(r"[^/]+/part-\d{5,}\.parquet")
NO_DATASET = "%none"  # no quoted name: a per cent sign is followed by two hexadecimal digits
UNSAFE = re.compile(r"[\x00-\x1f/\\%=]|^[._]")  # "a=b" would be read as a column, and "_a" not at all
LONGEST_NAME = 120  # bytes


class Part(NamedTuple):
    """A part of a table, as the list of the parts has it.

    Parameters
    ----------
    path : in the folder, ``<data set>/part-00000.parquet``.
    n_bytes : size of the file.
    groups : rows of each of its row groups.
    content_hash : of its rows, as its own metadata have it.
    """

    path: str
    n_bytes: int
    groups: tuple[int, ...]
    content_hash: str


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a table of this name is a folder: it ends with a slash, or a folder has this name."""
    name = os.fspath(path)
    return name.endswith(os.sep) or (name != files.STDIO and os.path.isdir(name))


def is_table(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder that holds a table."""
    return os.path.isfile(os.path.join(path, COMMON))


def folder_of(dataset: str | None) -> str:
    """The name of a data set's folder: its own, with the signs that a folder cannot have as ``%2F``."""
    if not dataset:
        return NO_DATASET
    name = UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", dataset)
    if len(name.encode()) <= LONGEST_NAME:
        return name
    import hashlib  # loads OpenSSL, which reading a model does not need

    digest = hashlib.blake2b(dataset.encode(), digest_size=8).hexdigest()
    return f"{name.encode()[:LONGEST_NAME].decode(errors='ignore')}%-{digest}"


def to_json(parts: list[Part]) -> bytes:
    """The list of the parts as bytes."""
    return json.dumps([each._asdict() for each in parts], separators=(",", ":")).encode()


def from_json(content: bytes) -> list[Part]:
    """The list of the parts from `to_json`.

    Raises
    ------
    ValueError, TypeError, LookupError : it is no such list.
    """
    return [Part(**{**each, "groups": tuple(each["groups"])}) for each in json.loads(content)]


def names_in(folder: str | os.PathLike[str]) -> Iterator[str]:
    """The files in a folder and its subfolders, and links, relative to it."""
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        yield from (os.path.relpath(os.path.join(place, name), folder) for name in (*names, *links))


def listed(folder: str | os.PathLike[str]) -> set[str]:
    """The parts that a folder's list names; none where there is no list, or it is damaged."""
    import pyarrow.parquet as pq

    try:
        found = pq.read_metadata(Path(folder, COMMON)).metadata or {}
        return {part.path for part in from_json(found[PARTS_KEY])}
    except (OSError, ValueError, TypeError, LookupError):
        return set()

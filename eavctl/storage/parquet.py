"""Parquet files as eavctl writes them, and folders of them: compression, checksums, and errors on damage."""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from eavctl.errors import DataError, EavctlError
from eavctl.storage import files, remote, table_folders
from eavctl.storage.feature_columns import holds_tensors
from eavctl.storage.ownership import FOR_OTHERS, PARQUET, describe
from eavctl.storage.provenance import canonical_json
from eavctl.storage.table_folders import COMMON, PARTS_KEY, Part

META_KEY, CHECKSUM_KEY = b"eavctl", b"eavctl checksum"
OPEN_COLUMNS = 1 << 16  # columns of row groups in the parts that are open: their footers take a kilobyte each


class Writer(pq.ParquetWriter):  # type: ignore[misc]  # Arrow has no types
    """Arrow's writer, which is closed by its owner alone.

    Arrow's own closes itself when it is collected; of an interrupted one the file is closed by then, and
    Python prints a traceback.
    """

    def __del__(self) -> None:
        """Do nothing."""


def options(schema: pa.Schema, *, repeated: Sequence[str] = ()) -> dict[str, Any]:
    """Options of Parquet: dictionaries and zstd for text, fast lz4 for tensors, which may be padded.

    Parameters
    ----------
    repeated : columns whose values repeat, so that each is stored once a row group.
    """
    texts = [name for name in schema.names if schema.field(name).type == pa.string()]
    packed = {name: "lz4" if holds_tensors(schema.field(name)) else "none" for name in schema.names}
    return {
        "compression": packed | dict.fromkeys(texts, "zstd"),
        "use_dictionary": [*texts, *repeated],
        "write_statistics": texts,
        "store_schema": True,
        "write_page_checksum": True,
    }


def with_checksum(meta: dict[str, Any], schema: pa.Schema, n_rows: int) -> dict[bytes, bytes]:
    """The metadata of a table with their checksum; Parquet's own checksums cover only pages."""
    content = canonical_json(meta).encode()
    return {META_KEY: content, CHECKSUM_KEY: _checksum(content, schema, n_rows)}


def with_parts(meta: dict[str, Any], schema: pa.Schema, parts: list[Part]) -> dict[bytes, bytes]:
    """The metadata of a table in a folder, with the list of its parts and a checksum of both."""
    content, listed = canonical_json(meta).encode(), table_folders.to_json(parts)
    return {META_KEY: content, PARTS_KEY: listed, CHECKSUM_KEY: _checksum(content + listed, schema, 0)}


def meta_of(source: pq.ParquetFile) -> dict[str, Any]:
    """The ``eavctl`` metadata of an open file; empty if it has none."""
    meta = json.loads((source.metadata.metadata or {}).get(META_KEY, b"{}"))
    return meta if isinstance(meta, dict) else {}


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], wanted: str) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file and verify its checksum; exceptions of the block on damage become a DataError.

    A folder of parts is read as one file (`ParquetFolder`).

    Parameters
    ----------
    wanted : what the file should be, for errors.

    Raises
    ------
    DataError : no such file, not a Parquet file, or damaged; or a part is missing, or not in the list.
    """
    if os.fspath(path) != files.STDIO and table_folders.is_table(path):
        with damage_named(path), _opened_folder(path) as folder:
            yield folder
        return
    with files.opened(path) as handle:
        if handle.read(len(PARQUET)) != PARQUET:
            hint = (
                ", as Parquet: give the table of -o FILE.parquet" if Path(path).suffix in FOR_OTHERS else ""
            )
            raise DataError(f"{path}: this is {describe(path)}; {wanted} is needed{hint}")
        handle.seek(0)
        with damage_named(path):
            is_file = os.fspath(path) != files.STDIO  # Arrow reads paths faster
            file = os.fspath(remote.local(path)) if is_file else handle
            with pq.ParquetFile(file, page_checksum_verification=True) as source:
                _verify(source, path)
                yield source


@contextlib.contextmanager
def damage_named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Convert the exceptions of a block that reads a damaged file to a DataError."""
    try:
        yield
    except (EavctlError, BrokenPipeError):  # the latter of what is written in the block
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError, OverflowError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: damaged, create it again ({reason})") from error
    except MemoryError:
        raise DataError(f"{path}: damaged, or too large for this machine's memory") from None


def _verify(source: pq.ParquetFile, path: str | os.PathLike[str]) -> None:
    """Verify the checksum of a file that has one."""
    found = source.metadata.metadata or {}
    if CHECKSUM_KEY not in found:
        return
    content = found[META_KEY] + found.get(PARTS_KEY, b"")
    if found[CHECKSUM_KEY] != _checksum(content, source.schema_arrow, source.metadata.num_rows):
        raise DataError(f"{path}: damaged, create it again (its checksum does not match)")


def _checksum(content: bytes, schema: pa.Schema, n_rows: int) -> bytes:
    """CRC-32 of the metadata, the columns with their types, and the number of rows, as text."""
    columns = [[field.name, str(field.type), *_dtype_and_shape(field)] for field in schema]
    return b"%08x" % zlib.crc32(json.dumps([columns, n_rows]).encode(), zlib.crc32(content))


def _dtype_and_shape(field: pa.Field) -> list[str]:
    """Dtype and shape in the metadata of a tensor field; empty for other fields."""
    about = field.metadata or {}
    return [about[key].decode("latin-1") for key in (b"dtype", b"shape") if key in about]


# --- folders ----------------------------------------------------------------------------------------------


class _Group(NamedTuple):
    num_rows: int


class FolderMetadata:
    """What `ParquetFolder.metadata` says: the rows, and the metadata of the whole table."""

    def __init__(self, metadata: dict[bytes, bytes], groups: Sequence[int]) -> None:
        self.metadata, self.num_rows, self._groups = metadata, sum(groups), groups

    def row_group(self, number: int) -> _Group:
        """The number of rows of a row group, as ``num_rows``."""
        return _Group(self._groups[number])


class ParquetFolder:
    """A folder of parts that is read as one file: the part of `pyarrow.parquet.ParquetFile` that eavctl uses.

    Row groups are numbered through all parts. A part is compared with the list when it is opened, and few
    are open at a time.

    Parameters
    ----------
    folder : of the table.
    common : the open file of the metadata.
    """

    def __init__(self, folder: str | os.PathLike[str], common: pq.ParquetFile) -> None:
        self._folder, self.schema_arrow = folder, common.schema_arrow
        metadata = common.metadata.metadata
        self.parts = table_folders.from_json(metadata[PARTS_KEY])
        self._place = [(part, number) for part in self.parts for number in range(len(part.groups))]
        self.metadata = FolderMetadata(metadata, [n for part in self.parts for n in part.groups])
        self._opened: OrderedDict[str, pq.ParquetFile] = OrderedDict()
        self._check_names()

    @property
    def num_row_groups(self) -> int:
        """Number of row groups of all parts."""
        return len(self._place)

    def read_row_group(self, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        """A row group; by default all of its columns.

        Raises
        ------
        DataError : the part is damaged, or not that of the list.
        """
        part, own = self._place[number]
        with damage_named(self._path(part)):
            return self._open(part).read_row_group(own, columns=columns)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows; by default all columns.

        Raises
        ------
        DataError : a part is damaged, or not that of the list.
        """
        names = self.schema_arrow.names if columns is None else columns
        schema = pa.schema([self.schema_arrow.field(name) for name in names])
        found = [schema.empty_table()]
        for part in self.parts:
            with damage_named(self._path(part)):
                found.append(self._open(part).read(columns=columns).cast(schema))
        return pa.concat_tables(found)

    def close(self) -> None:
        """Close the parts that are open."""
        while self._opened:
            self._opened.popitem()[1].close()

    def _path(self, part: Part) -> str:
        return os.path.join(self._folder, part.path)

    def _check_names(self) -> None:
        """Check that the folder has the parts of the list, of their sizes, and nothing else."""
        known = {part.path: part for part in self.parts}
        hidden = (name for name in table_folders.names_in(self._folder) if not _is_hidden(name))
        for name in sorted(set(hidden) - known.keys()):
            raise DataError(f"{os.path.join(self._folder, name)}: is no part of the table; move it elsewhere")
        for part in self.parts:
            try:
                size = os.stat(self._path(part)).st_size
            except OSError:
                raise DataError(f"{self._path(part)}: this part is missing; create the table again") from None
            if size != part.n_bytes:
                raise DataError(
                    f"{self._path(part)}: damaged, create the table again ({size} bytes, not {part.n_bytes})"
                )

    def _open(self, part: Part) -> pq.ParquetFile:
        """A part, opened and compared with the list, or open already."""
        if part.path in self._opened:
            self._opened.move_to_end(part.path)
            return self._opened[part.path]
        source = pq.ParquetFile(self._path(part), page_checksum_verification=True)
        _verify(source, self._path(part))
        groups = tuple(source.metadata.row_group(n).num_rows for n in range(source.num_row_groups))
        if (groups, meta_of(source).get("content_hash")) != (part.groups, part.content_hash):
            source.close()
            raise DataError(f"{self._path(part)}: is another part than the table's; create the table again")
        size = len(self.schema_arrow) * max(map(len, (each.groups for each in self.parts)))
        while self._opened and (len(self._opened) + 1) * size > OPEN_COLUMNS:
            self._opened.popitem(last=False)[1].close()
        self._opened[part.path] = source
        return source


def _is_hidden(name: str) -> bool:
    """Whether programs that read a folder of Parquet files skip a file of this name."""
    return any(each.startswith((".", "_")) for each in name.split(os.sep))


@contextlib.contextmanager
def _opened_folder(path: str | os.PathLike[str]) -> Iterator[ParquetFolder]:
    with pq.ParquetFile(os.path.join(path, COMMON)) as common:
        _verify(common, path)
        if PARTS_KEY not in (common.metadata.metadata or {}):
            raise DataError(f"{path}: a folder of Parquet files that eavctl did not write; name a file")
        folder = ParquetFolder(path, common)
    with contextlib.closing(folder):
        yield folder

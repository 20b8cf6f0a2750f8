"""Parquet files as eavctl writes them: compression, metadata with a checksum, and errors on damaged files."""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from eavctl.errors import DataError, EavctlError
from eavctl.storage import files, remote
from eavctl.storage.feature_columns import holds_tensors
from eavctl.storage.ownership import FOR_OTHERS, PARQUET, describe
from eavctl.storage.provenance import canonical_json

META_KEY, CHECKSUM_KEY = b"eavctl", b"eavctl checksum"


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


def meta_of(source: pq.ParquetFile) -> dict[str, Any]:
    """The ``eavctl`` metadata of an open file; empty if it has none."""
    meta = json.loads((source.metadata.metadata or {}).get(META_KEY, b"{}"))
    return meta if isinstance(meta, dict) else {}


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], wanted: str) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file and verify its checksum; exceptions of the block on damage become a DataError.

    Parameters
    ----------
    wanted : what the file should be, for errors.

    Raises
    ------
    DataError : no such file, not a Parquet file, or damaged.
    """
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
    if found[CHECKSUM_KEY] != _checksum(found[META_KEY], source.schema_arrow, source.metadata.num_rows):
        raise DataError(f"{path}: damaged, create it again (its checksum does not match)")


def _checksum(content: bytes, schema: pa.Schema, n_rows: int) -> bytes:
    """CRC-32 of the metadata, the columns with their types, and the number of rows, as text."""
    columns = [[field.name, str(field.type), *_dtype_and_shape(field)] for field in schema]
    return b"%08x" % zlib.crc32(json.dumps([columns, n_rows]).encode(), zlib.crc32(content))


def _dtype_and_shape(field: pa.Field) -> list[str]:
    """Dtype and shape in the metadata of a tensor field; empty for other fields."""
    about = field.metadata or {}
    return [about[key].decode("latin-1") for key in (b"dtype", b"shape") if key in about]

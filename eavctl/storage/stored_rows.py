"""Features that stay on the disk: rows of tables, decoded when they are indexed."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import cast

import numpy as np
import pyarrow.parquet as pq

from eavctl.storage import parquet, tables
from eavctl.storage.feature_columns import empty, fill_group
from eavctl.storage.tables import FeatureTable, columns_of, feature_names, keys_of, opened

IN_MEMORY_BYTES = 512 << 20  # of features: tables up to this size are read as a whole
CACHE_BYTES = 128 << 20  # of decoded row groups


def read_stored(path: str | os.PathLike[str]) -> FeatureTable:
    """Read a feature table, whose features stay on the disk where they are larger than `IN_MEMORY_BYTES`.

    Raises
    ------
    DataError : as `eavctl.storage.tables.read_features`.
    """
    rows = stored_if_large([path])
    if rows is None:
        return tables.read_features(path)
    with opened(path, "features") as source:
        keys, columns = keys_of(source), columns_of(source)
        return FeatureTable(keys, cast(np.ndarray, rows), columns, parquet.meta_of(source))


def stored_if_large(paths: Sequence[str | os.PathLike[str]]) -> StoredRows | None:
    """The features of tables, where they are larger than `IN_MEMORY_BYTES`; else None, and nothing is open.

    Raises
    ------
    DataError : as `eavctl.storage.tables.read_features`.
    """
    rows = StoredRows(paths)
    return rows if rows.nbytes > IN_MEMORY_BYTES else None


class StoredRows:
    """The features of one table, or of several of equal features one after the other, as they are indexed.

    Row groups are decoded as a whole, and the last ones are kept: rows should be indexed in the order of the
    tables, or mixed within few row groups. Decoding takes several times as long as reading, so decoded groups
    are written to a temporary file without a name, where the disk has room for it twice. Threads can index
    the rows.

    Parameters
    ----------
    paths : feature tables.
    cache : bytes of decoded row groups that are kept; the last group is kept whatever its size.
    scratch : write decoded groups to a temporary file (`scratch_folder`).

    Attributes
    ----------
    shape : (n_rows, *shape of a row).
    dtype : of the features, float32 or uint8.

    Raises
    ------
    DataError : as `eavctl.storage.tables.read_features`, here or when rows are indexed.
    """

    def __init__(
        self, paths: Sequence[str | os.PathLike[str]], cache: int = CACHE_BYTES, *, scratch: bool = True
    ) -> None:
        with contextlib.ExitStack() as stack:
            self._tables = [_Table(path, stack.enter_context(opened(path, "features"))) for path in paths]
            self._closing = weakref.finalize(self, stack.pop_all().close)
        self._place = [(table, number) for table in self._tables for number in range(len(table.groups))]
        self._ends = np.cumsum([count for table in self._tables for count in table.groups], dtype=np.int64)
        first = self._tables[0].array(0)
        self.shape: tuple[int, ...] = (sum(map(len, self._tables)), *first.shape[1:])
        self.dtype = first.dtype
        self._cache, self._most_bytes = OrderedDict[int, np.ndarray](), cache
        self._lock = threading.Lock()
        self._scratch: _Scratch | None = None
        self._uses_scratch = scratch

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Some rows, by a slice or their numbers, shape (n_rows, *shape)."""
        numbers = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else np.asarray(rows)
        found = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        groups = self.groups_of(numbers)
        for group in dict.fromkeys(groups.tolist()):
            mine = np.flatnonzero(groups == group)
            values = self._decoded(group)
            found[mine] = values[numbers[mine] - (self._ends[group] - len(values))]
        return found

    @property
    def nbytes(self) -> int:
        """Bytes that the rows would take in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def groups_of(self, rows: np.ndarray) -> np.ndarray:
        """The number of each row's row group, through all tables, shape (n_rows,)."""
        return np.searchsorted(self._ends, rows, side="right")

    def _decoded(self, group: int) -> np.ndarray:
        """The rows of a row group, (n_rows, *shape), which are not to be changed."""
        with self._lock:
            if group not in self._cache:
                values = self._read(group)
                kept = sum(each.nbytes for each in self._cache.values())
                while self._cache and kept + values.nbytes > self._most_bytes:
                    kept -= self._cache.popitem(last=False)[1].nbytes
                self._cache[group] = values
            self._cache.move_to_end(group)
            return self._cache[group]

    def _read(self, group: int) -> np.ndarray:
        """The rows of a row group, from the scratch file where they are in it."""
        table, number = self._place[group]
        if self._uses_scratch and self._scratch is None:
            self._scratch = _Scratch(self.nbytes)
        end = int(self._ends[group]) * (self.nbytes // max(len(self), 1))
        if self._scratch and self._scratch.has(group):
            values = table.array(table.groups[number])
            self._scratch.read(values, end - values.nbytes)
        else:
            values = table.decoded(number)
            if self._scratch:
                self._scratch.write(group, values, end - values.nbytes)
        values.flags.writeable = False
        return values


def scratch_folder() -> str:
    """The folder of temporary files: ``TMPDIR``, else ``/var/tmp``, as ``/tmp`` is often in memory."""
    usual = "/var/tmp"
    return usual if "TMPDIR" not in os.environ and os.access(usual, os.W_OK) else tempfile.gettempdir()


class _Scratch:
    """Decoded row groups in a temporary file, which has no name and ends with the process.

    Parameters
    ----------
    n_bytes : of all groups; nothing is written where the disk has not room for them twice.
    """

    def __init__(self, n_bytes: int) -> None:
        folder = scratch_folder()
        self._has_room = shutil.disk_usage(folder).free > 2 * n_bytes
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  # ends with this object
        self._groups: set[int] = set()

    def has(self, group: int) -> bool:
        """Whether a group is in the file."""
        return group in self._groups

    def write(self, group: int, values: np.ndarray, at: int) -> None:
        """Write a group; on a full disk, nothing more is written."""
        if not self._has_room:
            return
        try:
            written = os.pwrite(self._file.fileno(), values.data.cast("B"), at)
        except OSError:
            written = -1
        if written == values.nbytes:
            self._groups.add(group)
        else:
            self._has_room = False

    def read(self, values: np.ndarray, at: int) -> None:
        """Read a group that is in the file."""
        if os.preadv(self._file.fileno(), [values.data.cast("B")], at) != values.nbytes:
            raise OSError("a temporary file cannot be read")


class _Table:
    """An open feature table."""

    def __init__(self, path: str | os.PathLike[str], source: pq.ParquetFile) -> None:
        self._path, self._source, self._names = path, source, feature_names(source)
        self.groups = [source.metadata.row_group(n).num_rows for n in range(source.num_row_groups)]

    def __len__(self) -> int:
        return sum(self.groups)

    def array(self, n_rows: int) -> np.ndarray:
        """An array for so many rows."""
        return empty(self._source, self._names, n_rows)

    def decoded(self, group: int) -> np.ndarray:
        """The rows of a row group, (n_rows, *shape)."""
        values = self.array(self.groups[group])
        with parquet.damage_named(self._path):
            fill_group(self._source, self._names, group, values, np.arange(len(values)))
        return values

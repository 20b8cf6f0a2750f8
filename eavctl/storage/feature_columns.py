"""Features as Arrow columns: one column per feature, or one column with a tensor per row, stored as bytes.

Arrow's fixed-shape tensor type becomes a nested list in Parquet: every number gets two levels, bytes become
int32, and reading takes 14 (float32) to 45 times (bytes) as long as copying. Tables of schema version 1 have
this type, and can still be read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eavctl.errors import DataError
from eavctl.storage.arrow import numbers

COLUMNS_AT_ONCE = 128  # of a row group that are read: all of them would take the memory of thousands of rows


def tensor_field(name: str, dtype: np.dtype[Any], shape: Sequence[int]) -> pa.Field:
    """A column of fixed-size binary values: the numbers of a row in C order, little-endian.

    The metadata of the field hold ``dtype``, such as ``<f4``, and ``shape``, such as ``[64, 300]``.
    """
    about = {"dtype": dtype.newbyteorder("<").str, "shape": json.dumps(list(shape))}
    return pa.field(name, pa.binary(dtype.itemsize * math.prod(shape)), nullable=False, metadata=about)


class RowGroup:
    """Reusable memory for the features of a row group, in Arrow's layout.

    Parameters
    ----------
    fields : the feature columns, or the single column of tensors.
    dtype, shape : type and shape of the features of a row.
    capacity : number of rows.
    """

    def __init__(
        self, fields: Sequence[pa.Field], dtype: np.dtype[Any], shape: Sequence[int], capacity: int
    ) -> None:
        self._fields, self._capacity, self._n_rows = fields, capacity, 0
        self._has_tensors = holds_tensors(fields[0])
        self._x = np.empty((capacity, *shape) if self._has_tensors else (*shape, capacity), dtype)

    @property
    def is_full(self) -> bool:
        """Whether no further row fits."""
        return self._n_rows == self._capacity

    def add(self, x: np.ndarray) -> int:
        """Copy as many rows as fit; returns their number."""
        start = self._n_rows
        self._n_rows = min(start + len(x), self._capacity)
        taken = self._n_rows - start
        if self._has_tensors:
            self._x[start : self._n_rows] = x[:taken]
        else:
            self._x[:, start : self._n_rows] = x[:taken].T
        return taken

    def take(self) -> list[pa.Array]:
        """Return the rows as arrays, which share this memory until the next row is added, and reset."""
        n_rows, self._n_rows = self._n_rows, 0
        if self._has_tensors:
            buffers = [None, pa.py_buffer(self._x[:n_rows])]
            return [pa.FixedSizeBinaryArray.from_buffers(self._fields[0].type, n_rows, buffers)]
        return [numbers(values[:n_rows]) for values in self._x]


def empty(source: pq.ParquetFile, names: Sequence[str], n_rows: int) -> np.ndarray:
    """An array for the features of so many rows, (n_rows, *shape), of the shape and type of a table's.

    Raises
    ------
    DataError : a column of tensors has no dtype and shape, because another program rewrote the table.
    """
    field = source.schema_arrow.field(names[0])
    dtype, shape = _kind(field) if holds_tensors(field) else (np.dtype(np.float32), (len(names),))
    return np.empty((n_rows, *shape), dtype)


def fill(source: pq.ParquetFile, names: Sequence[str], x: np.ndarray, places: np.ndarray) -> None:
    """Read the features of a table into rows of an array, a few megabytes at a time.

    Parameters
    ----------
    source : the table.
    names : of its feature columns.
    x : as `empty` makes it.
    places : the row of ``x`` for each row of the table, shape (n_rows,).
    """
    end = 0
    for number in range(source.num_row_groups):
        start, end = end, end + source.metadata.row_group(number).num_rows
        fill_group(source, names, number, x, places[start:end])


def fill_group(
    source: pq.ParquetFile, names: Sequence[str], number: int, x: np.ndarray, rows: np.ndarray
) -> None:
    """Read the features of a row group, by its number, into these rows of an array; see `fill`."""
    if holds_tensors(source.schema_arrow.field(names[0])):
        _fill_tensors(source.read_row_group(number, columns=names)[names[0]], x, rows)
        return
    for first in range(0, len(names), COLUMNS_AT_ONCE):
        some = names[first : first + COLUMNS_AT_ONCE]
        group = source.read_row_group(number, columns=some)
        values = np.array([group[name].to_numpy() for name in some], np.float32)
        x[rows, first : first + len(some)] = values.T


def _fill_tensors(column: pa.ChunkedArray, x: np.ndarray, rows: np.ndarray) -> None:
    end = 0
    for chunk in column.chunks:
        start, end = end, end + len(chunk)
        x[rows[start:end]] = _numbers(chunk, x.dtype).reshape(-1, *x.shape[1:])


def holds_tensors(field: pa.Field) -> bool:
    """Whether a column holds tensors."""
    return isinstance(field.type, (pa.FixedSizeBinaryType, pa.FixedShapeTensorType))


def tensors_of(values: pa.Array, field: pa.Field) -> np.ndarray:
    """The tensors of some rows of a column, shape (n_rows, *shape).

    Raises
    ------
    DataError : as `empty`.
    """
    dtype, shape = _kind(field)
    return _numbers(values, dtype).reshape(len(values), *shape)


def _kind(field: pa.Field) -> tuple[np.dtype[Any], tuple[int, ...]]:
    if isinstance(field.type, pa.FixedShapeTensorType):
        return np.dtype(field.type.value_type.to_pandas_dtype()), tuple(field.type.shape)
    about = field.metadata or {}
    try:
        return np.dtype(about[b"dtype"].decode()), tuple(json.loads(about[b"shape"]))
    except KeyError as error:
        raise DataError(
            f"column {field.name!r} has no dtype and shape in its metadata; extract the table again"
        ) from error


def _numbers(column: pa.Array, dtype: np.dtype[Any]) -> np.ndarray:
    """All numbers of some rows as a flat array; without a copy if they are stored as bytes."""
    if isinstance(column, pa.ExtensionArray):
        flat: np.ndarray = column.storage.flatten().to_numpy(zero_copy_only=False)
        return flat
    width = column.type.byte_width
    start, end = column.offset * width, (column.offset + len(column)) * width
    return np.frombuffer(memoryview(column.buffers()[1])[start:end], dtype)

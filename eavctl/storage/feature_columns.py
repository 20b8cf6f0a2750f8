"""Features as Arrow columns: one column per feature, or one column with a tensor per row, stored as bytes.

Arrow's fixed-shape tensor type becomes a nested list in Parquet: every number gets two levels, bytes become
int32, and reading takes 14 (float32) to 45 times (bytes) as long as copying. Tables of schema version 1 have
this type, and can still be read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from eavctl.errors import DataError
from eavctl.storage.arrow import numbers


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


def side_by_side(groups: Iterable[pa.Table], n_rows: int, names: Sequence[str]) -> np.ndarray:
    """Read numeric columns into one array, float32 (n_rows, n_columns), group by group."""
    x = np.empty((n_rows, len(names)), np.float32)
    end = 0
    for group in groups:
        start, end = end, end + len(group)
        columns = np.empty((len(names), len(group)), np.float32)
        for values, name in zip(columns, names, strict=True):
            values[:] = group[name].to_numpy()
        x[start:end] = columns.T
    return x


def holds_tensors(field: pa.Field) -> bool:
    """Whether a column holds tensors."""
    return isinstance(field.type, (pa.FixedSizeBinaryType, pa.FixedShapeTensorType))


def stacked(groups: Iterable[pa.Table], n_rows: int, field: pa.Field) -> np.ndarray:
    """Read the tensors of all rows, (n_rows, *shape), group by group, so that memory holds them once.

    Parameters
    ----------
    groups : consecutive row groups with the tensor column.
    n_rows : number of rows in all groups.
    field : the tensor column.

    Raises
    ------
    DataError : the column has no dtype and shape, because another program rewrote the table.
    """
    dtype, shape = _kind(field)
    x = np.empty((n_rows, *shape), dtype)
    end = 0
    for group in groups:
        for chunk in group[field.name].chunks:
            start, end = end, end + len(chunk)
            x[start:end] = _numbers(chunk, dtype).reshape(-1, *shape)
    return x


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

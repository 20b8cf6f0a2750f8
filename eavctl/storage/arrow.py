"""Arrow arrays from buffers, because ``pyarrow.array`` imports pandas, which most commands do not need."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from eavctl.storage.keys import clean

SMALL = 1024  # values of a column whose memory equal ones share
SHARED = 64  # columns of one text that are kept for it
NUMBERS = {pa.float64(): np.float64, pa.int64(): np.int64}


def of_records(records: Sequence[Mapping[str, Any]], kinds: Mapping[str, pa.DataType]) -> pa.Table:
    """Build a table from records, in which unknown values are missing.

    Parameters
    ----------
    records : dictionaries by column.
    kinds : names and types of the columns.

    Raises
    ------
    ValueError : a value is not a number where one is needed, or is not valid Unicode, as file names can be.
    """
    arrays = [column([clean(n, record.get(n)) for record in records], kind) for n, kind in kinds.items()]
    return pa.Table.from_arrays(arrays, schema=pa.schema([*kinds.items()]))


def column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Convert values of one type, or None, to an Arrow array.

    Parameters
    ----------
    values : the values; None becomes null.
    kind : string, float64 or int64.

    Raises
    ------
    UnicodeEncodeError : a text is not valid Unicode.
    """
    is_valid = np.array([value is not None for value in values], bool)
    if not is_valid.any():
        return _nulls(kind)[: len(values)] if len(values) <= SMALL else pa.nulls(len(values), kind)
    validity = None if is_valid.all() else pa.py_buffer(np.packbits(is_valid, bitorder="little"))
    if kind in NUMBERS:
        filled = np.array([0 if value is None else value for value in values], NUMBERS[kind])
        return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(filled)])
    if len(values) <= SMALL and values.count(values[0]) == len(values):
        return _same(values[0], len(values))
    return _texts(values, validity)


def _texts(values: Sequence[str | None], validity: pa.Buffer | None) -> pa.Array:
    texts = [b"" if value is None else value.encode() for value in values]
    offsets = np.zeros(len(texts) + 1, np.int32)
    np.cumsum([len(text) for text in texts], out=offsets[1:])
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(b"".join(texts))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


@functools.lru_cache(SHARED)
def _same(value: str, n: int) -> pa.Array:
    """A text repeated, whose memory the batches of a large table share, as those of one data set or class."""
    return _texts([value] * n, None)


@functools.cache
def _nulls(kind: pa.DataType) -> pa.Array:
    """Nulls whose memory empty columns share: of a million recordings they would take a third."""
    return pa.nulls(SMALL, kind)


def numbers(values: np.ndarray) -> pa.Array:
    """A numeric numpy array (n_values,) as an Arrow array that shares its memory."""
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])

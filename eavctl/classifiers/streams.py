"""Features of rows: an array, some rows of one, or several modalities, any of which a row can lack."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from eavctl.errors import DataError
from eavctl.memory import total_memory

PIECE_ROWS = 256  # looked at together
# What is to be done about rows of another shape.
CUT_ALIKE = "cut recordings as for the training, by --segment, or by --events, --tmin and --tmax"


class Stored(Protocol):
    """Features on the disk, such as `eavctl.storage.stored_rows.StoredRows`, decoded when indexed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that these rows would have as an array."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the numbers."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray: ...

    def groups_of(self, rows: np.ndarray) -> np.ndarray:
        """For each of these rows a number, equal for those that are decoded together, shape (n_rows,)."""
        ...


@dataclass(frozen=True)
class RowsOf:
    """Some rows of a large array, of which only those that are indexed are copied.

    Parameters
    ----------
    base : shape (n_base, *shape).
    numbers : of the rows, shape (n_rows,).
    """

    base: np.ndarray | Stored
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        return np.asarray(self.base[self.numbers[rows]])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array that these rows would be."""
        return len(self), *self.base.shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers."""
        return self.base.dtype


Table = np.ndarray | RowsOf | Stored


@dataclass(frozen=True)
class Streams:
    """Features of several streams, such as EEG, audio and video, of the same samples.

    Parameters
    ----------
    arrays : one a stream, shape (n_rows, *shape of the stream), float32, or uint8 for pictures; `RowsOf`
        where rows share what they hold. Values in a row that lacks the stream are never read.
    present : bool, shape (n_rows, n_streams), which streams a row has.
    """

    arrays: tuple[Any, ...]  # mostly arrays; `Table` would burden those who never meet `RowsOf`
    present: np.ndarray

    def __len__(self) -> int:
        return len(self.present)

    def __getitem__(self, rows: np.ndarray | slice) -> Streams:
        return Streams(tuple(_some(array, rows) for array in self.arrays), self.present[rows])

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of one sample in each stream."""
        return tuple(array.shape[1:] for array in self.arrays)

    def only(self, streams: Sequence[int]) -> Streams:
        """The same rows without the other streams."""
        kept = np.isin(np.arange(self.present.shape[1]), list(streams))
        return replace(self, present=self.present & kept)


Features = Table | Streams


def stored(x: Table | Streams) -> Stored | None:
    """What holds the rows on the disk; None of rows in memory."""
    base = x.base if isinstance(x, RowsOf) else x
    return None if isinstance(base, np.ndarray | Streams | RowsOf) else base


def in_memory(x: Table) -> np.ndarray:
    """The rows as one array, which is a copy of rows that were taken from others.

    Raises
    ------
    DataError : rows on the disk that do not fit in memory.
    """
    if isinstance(x, np.ndarray):
        return x
    if stored(x) and (n_bytes := math.prod(x.shape) * x.dtype.itemsize) > total_memory() / 2:
        raise DataError(
            f"the features take {n_bytes / 1e9:.0f} GB, more than half of this machine's memory, and this "
            "needs all of them at once; train-linear and train-dnn read them from the disk"
        )
    return x[:]


def some_rows(x: Features, rows: np.ndarray) -> Features:
    """Some rows, by their numbers; a copy, but of rows on the disk."""
    if isinstance(x, Streams) or not stored(x):
        return x[rows]
    return _some(x, rows) if isinstance(x, RowsOf) else RowsOf(x, rows)


def _some(x: Table, rows: np.ndarray | slice) -> Table:
    """Some rows; what they share is not copied."""
    return RowsOf(x.base, x.numbers[rows]) if isinstance(x, RowsOf) else x[rows]


def taken(x: Features, rows: np.ndarray) -> Features:
    """Some rows, by their numbers; those of an array are not copied."""
    if isinstance(x, RowsOf):
        return _some(x, rows)
    return x[rows] if isinstance(x, Streams) else RowsOf(x, rows)


def present_rows(x: Features) -> Iterator[tuple[Table, np.ndarray]]:
    """Yield each array of the features, and the numbers of the rows that have it."""
    if isinstance(x, Streams):
        yield from zip(x.arrays, map(np.flatnonzero, x.present.T), strict=True)
    else:
        yield x, np.arange(len(x))


def pieces(x: Features) -> Iterator[np.ndarray]:
    """Yield all features that rows have, a few rows at a time."""
    for array, rows in present_rows(x):
        for start in range(0, len(rows), PIECE_ROWS):
            yield array[rows[start : start + PIECE_ROWS]]

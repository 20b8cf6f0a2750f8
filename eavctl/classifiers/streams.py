"""Features of rows: an array, some rows of one, or several modalities, any of which a row can lack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

PIECE_ROWS = 256  # looked at together
# What is to be done about rows of another shape.
CUT_ALIKE = "cut recordings as for the training, by --segment, or by --events, --tmin and --tmax"


@dataclass(frozen=True)
class RowsOf:
    """Some rows of a large array, of which only those that are indexed are copied.

    Parameters
    ----------
    base : shape (n_base, *shape).
    numbers : of the rows, shape (n_rows,).
    """

    base: np.ndarray
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        return np.asarray(self.base[self.numbers[rows]])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array that these rows would be."""
        return len(self), *self.base.shape[1:]


Table = np.ndarray | RowsOf


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


def _some(x: Table, rows: np.ndarray | slice) -> Table:
    """Some rows; what they share is not copied."""
    return RowsOf(x.base, x.numbers[rows]) if isinstance(x, RowsOf) else x[rows]


def taken(x: Features, rows: np.ndarray) -> Features:
    """Some rows, by their numbers; those of an array are not copied."""
    if isinstance(x, RowsOf):
        return _some(x, rows)
    return RowsOf(x, rows) if isinstance(x, np.ndarray) else x[rows]


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

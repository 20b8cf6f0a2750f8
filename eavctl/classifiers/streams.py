"""Features of several modalities for the same samples, any of which can be missing in a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

PIECE_ROWS = 256  # looked at together


@dataclass(frozen=True)
class Streams:
    """Features of several streams, such as EEG, audio and video, of the same samples.

    Parameters
    ----------
    arrays : one a stream, shape (n_rows, *shape of the stream), float32, or uint8 for pictures. Values in a
        row that lacks the stream are never read.
    present : bool, shape (n_rows, n_streams), which streams a row has.
    """

    arrays: tuple[np.ndarray, ...]
    present: np.ndarray

    def __len__(self) -> int:
        return len(self.present)

    def __getitem__(self, rows: np.ndarray | slice) -> Streams:
        return Streams(tuple(array[rows] for array in self.arrays), self.present[rows])

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of one sample in each stream."""
        return tuple(array.shape[1:] for array in self.arrays)

    def only(self, streams: Sequence[int]) -> Streams:
        """The same rows without the other streams."""
        kept = np.isin(np.arange(self.present.shape[1]), list(streams))
        return replace(self, present=self.present & kept)


Features = np.ndarray | Streams


def present_rows(x: Features) -> Iterator[tuple[np.ndarray, np.ndarray]]:
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

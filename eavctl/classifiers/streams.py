"""Rows of several streams: what each modality knows of the same samples, and which it knows nothing of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Streams:
    """Samples seen by several streams, such as EEG, sound and video.

    Parameters
    ----------
    arrays : one a stream, shape (n_rows, *shape of the stream), float32, or uint8 for pictures. What stands
        in a row that the stream lacks is never read.
    present : bool, shape (n_rows, n_streams).
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
        """The same rows with all other streams absent."""
        kept = np.isin(np.arange(self.present.shape[1]), list(streams))
        return replace(self, present=self.present & kept)


Rows = np.ndarray | Streams


def held(x: Rows) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each array that rows consist of, and the numbers of the rows that have something in it."""
    if isinstance(x, Streams):
        yield from zip(x.arrays, map(np.flatnonzero, x.present.T), strict=True)
    else:
        yield x, np.arange(len(x))

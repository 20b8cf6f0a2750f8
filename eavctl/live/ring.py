"""The newest values of a stream, in memory of a fixed size."""

from __future__ import annotations

import numpy as np


class Ring:
    """The newest values of a stream; the last axis is time.

    Parameters
    ----------
    values : array of the ring's size; its content does not matter.

    Attributes
    ----------
    size : how many values are kept.
    end : number of values that were ever appended.
    """

    def __init__(self, values: np.ndarray) -> None:
        self._values = values
        self.size: int = values.shape[-1]
        self.end = 0

    @property
    def oldest(self) -> int:
        """Number of the oldest value kept."""
        return max(self.end - self.size, 0)

    def append(self, data: np.ndarray) -> None:
        """Append values; the oldest are overwritten."""
        kept = data[..., -self.size :]
        self.end += int(data.shape[-1])
        place = (self.end - kept.shape[-1]) % self.size
        n_before_wrap = min(kept.shape[-1], self.size - place)
        self._values[..., place : place + n_before_wrap] = kept[..., :n_before_wrap]
        self._values[..., : kept.shape[-1] - n_before_wrap] = kept[..., n_before_wrap:]

    def read(self, first: int, n: int) -> np.ndarray:
        """A copy of the values from that number on, up to ``n`` of them."""
        n = min(n, self.end - first)
        place = first % self.size
        n_before_wrap = min(n, self.size - place)
        parts = self._values[..., place : place + n_before_wrap], self._values[..., : n - n_before_wrap]
        return np.concatenate(parts, axis=-1)

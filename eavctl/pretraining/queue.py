"""A queue of the latest rows of earlier batches."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Queue(nn.Module):
    """The latest rows, oldest first; a buffer, which a checkpoint holds.

    Parameters
    ----------
    size : most rows that it holds.
    dim : of a row.
    """

    slots: Tensor
    n_filled: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("slots", torch.zeros(size, dim))
        self.register_buffer("n_filled", torch.zeros((), dtype=torch.long))

    @property
    def rows(self) -> Tensor:
        """The rows held, (n_rows, dim); there are none at first."""
        return self.slots[len(self.slots) - int(self.n_filled) :]

    @torch.no_grad()
    def push(self, rows: Tensor) -> None:
        """Append rows (n_rows, dim); the oldest leave once the queue is full."""
        size = len(self.slots)
        self.slots.copy_(torch.cat([self.slots, rows])[len(rows) :])
        self.n_filled.copy_((self.n_filled + len(rows)).clamp(max=size))

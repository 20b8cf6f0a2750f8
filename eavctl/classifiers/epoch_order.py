"""The order in which an epoch takes its training rows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from eavctl.classifiers.streams import Features, RowsOf, stored
from eavctl.storage.stored_rows import CACHE_BYTES

BUFFER_BYTES = CACHE_BYTES // 2  # so that the row groups of a buffer are decoded once


def epoch_order(x: Features, train: np.ndarray, generator: torch.Generator, device: torch.device) -> Tensor:
    """Draw the order of the training rows, each once: int64 (n_train,), places in ``train``.

    Rows in memory are permuted. Of rows on the disk the row groups are permuted, and the rows of a few groups
    that follow each other, as many as `BUFFER_BYTES` hold, are mixed.

    Parameters
    ----------
    x, train : features of all rows, and the numbers of those to train on.
    generator : of the epoch, on the device.
    """
    base = stored(x)
    if base is None:
        return torch.randperm(len(train), generator=generator, device=device)
    numbers = x.numbers[train] if isinstance(x, RowsOf) else train
    _, group_of, sizes = np.unique(base.groups_of(numbers), return_inverse=True, return_counts=True)
    groups = torch.randperm(len(sizes), generator=generator, device=device).cpu().numpy()
    row_bytes = base.dtype.itemsize * int(np.prod(base.shape[1:]))
    buffer_of = np.empty(len(sizes), np.int64)
    buffer_of[groups] = (np.cumsum(sizes[groups]) - 1) * row_bytes // BUFFER_BYTES
    mixed = torch.randperm(len(train), generator=generator, device=device).cpu().numpy()
    order = mixed[np.argsort(buffer_of[group_of[mixed]], kind="stable")]
    return torch.from_numpy(order).to(device)

"""The statistics by which a network standardises its input, of training rows in memory or on the disk."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from eavctl.classifiers.network import as_batch
from eavctl.classifiers.streams import Features, Streams, Table, stored

PIECE_ROWS = 512
SAMPLE_BYTES = 128 << 20
MOST_VALUES = 16 << 20  # of columns that are taken at once: in double precision they take 128 MB


def fit_input(network: Any, x: Features, train: np.ndarray, device: torch.device) -> None:
    """Fit the input statistics of a network on the training rows; of many in one pass, a few at a time.

    A network that cannot take them piece by piece gets evenly spaced ones of rows on the disk.

    Parameters
    ----------
    network : with ``fit_input``, see `eavctl.classifiers.network.Trainable`.
    x, train : all rows, and the numbers of those to train on.
    """
    if isinstance(x, Streams) or not (stored(x) or _is_large(x)):
        network.fit_input(as_batch(x[train], device))
        return

    def pieces() -> Iterator[Any]:
        for start in range(0, len(train), PIECE_ROWS):
            yield as_batch(x[train[start : start + PIECE_ROWS]], device)

    if (fit_pieces := getattr(network, "fit_input_pieces", None)) and fit_pieces(pieces()):
        return
    step = -(-x[train[:1]].nbytes * len(train) // SAMPLE_BYTES) if stored(x) else 1
    network.fit_input(as_batch(x[train[::step]], device))


def _is_large(x: Table) -> bool:
    return len(x.shape) == 2 and math.prod(x.shape) > MOST_VALUES

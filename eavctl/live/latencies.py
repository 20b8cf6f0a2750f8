"""How long the last answers took, by stage."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

N_KEPT = 512


class Spread(NamedTuple):
    """Median and 95th percentile, in seconds."""

    p50: float
    p95: float


def spread_of(seconds: Sequence[float]) -> Spread:
    """Median and 95th percentile of at least one value."""
    p50, p95 = np.percentile(seconds, (50, 95))
    return Spread(float(p50), float(p95))


class Latencies:
    """Latencies of the last answers, by stage: ``wait``, ``features``, ``model``, ``output``, ``total``.

    Parameters
    ----------
    n_kept : answers that count; memory is bounded by it.
    """

    def __init__(self, n_kept: int = N_KEPT) -> None:
        self._n_kept = n_kept
        self._seconds: dict[str, deque[float]] = {}
        self._changing = threading.Lock()  # a view reads while answers come

    def add(self, seconds: Mapping[str, float]) -> None:
        """Take an answer's seconds by stage."""
        with self._changing:
            for stage, each in seconds.items():
                self._seconds.setdefault(stage, deque(maxlen=self._n_kept)).append(each)

    def spreads(self) -> dict[str, Spread]:
        """Of each stage, in the order in which stages were first seen."""
        with self._changing:
            seconds = {stage: list(each) for stage, each in self._seconds.items()}
        return {stage: spread_of(each) for stage, each in seconds.items()}

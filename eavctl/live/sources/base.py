"""What all sources share: their attributes, and an end that another thread asks for."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from eavctl.live.chunk import Chunk, Clock

POLL_S = 0.1  # before `close` is noticed


class BaseSource(ABC):
    """See `eavctl.live.chunk.Source` for the attributes.

    Parameters
    ----------
    name : as the user gave it.
    """

    modality: str
    rate: float
    ch_names: Sequence[str] = ()
    is_recorded = False
    can_stall = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.lost = 0
        self._closed = threading.Event()

    @abstractmethod
    def chunks(self, clock: Clock, begin: float) -> Iterator[Chunk]:
        """See `eavctl.live.chunk.Source`."""

    def close(self) -> None:
        """Let `chunks` end."""
        self._closed.set()

    def _wait_until(self, clock: Clock, time: float) -> bool:
        """Wait until a time of the session's clock; returns whether it came before `close`."""
        while not self._closed.is_set():
            left = time - clock.now()
            if left <= 0:
                return True
            clock.wait(min(left, POLL_S))
        return False

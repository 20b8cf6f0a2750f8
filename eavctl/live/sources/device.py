"""What sources of devices and network streams share: they are opened at once, and again after a loss."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from eavctl.live.chunk import Chunk, Clock, SourceError

POLL_S = 0.1  # before `close` is noticed
RETRY_S = 1.0

Handle = TypeVar("Handle")


class DeviceSource(ABC, Generic[Handle]):
    """A source that can be lost and come back; see `eavctl.live.chunk.Source` for the attributes.

    Parameters
    ----------
    name : as the user gave it.
    """

    modality: str
    rate: float
    ch_names: Sequence[str] = ()
    is_recorded = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.lost = 0
        self._closed = threading.Event()
        self._handle: Handle | None = self._open()

    def chunks(self, clock: Clock, begin: float) -> Iterator[Chunk]:
        """Yield chunks as they are captured; when called again, wait until the device is back.

        Raises
        ------
        SourceError : unplugged, or lost.
        """
        handle, self._handle = self._handle or self._reopened(), None
        if handle is not None:
            yield from self._read(handle, clock)

    def close(self) -> None:
        """Let `chunks` end."""
        self._closed.set()

    def _reopened(self) -> Handle | None:
        while not self._closed.wait(RETRY_S):
            with suppress(SourceError):
                return self._open()
        return None

    @abstractmethod
    def _open(self) -> Handle:
        """Open the device; raise a SourceError if that fails."""

    @abstractmethod
    def _read(self, handle: Handle, clock: Clock) -> Iterator[Chunk]:
        """Yield its chunks until `close`; then, or at an error, release it."""

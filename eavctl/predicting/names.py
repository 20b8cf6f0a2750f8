"""Names of recordings that come one by one: from a list in a file, or from stdin while it is written."""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO, Protocol

WAKE_S = 0.5  # how often a wait for names ends, to notice a signal
AT_ONCE = 1 << 16  # bytes


class Names(Protocol):
    """Names that can be asked whether the next one is known."""

    def __iter__(self) -> Iterator[str]:
        """Give the names; waits where the next is not known."""

    def is_ready(self) -> bool:
        """Whether the next name, or that there is none, is known without waiting."""


class ListedNames:
    """Names in a list: one a line, or each ended by a null byte where there is one, as ``find -print0`` does.

    Lines without a name are left out.

    Parameters
    ----------
    handle : to read bytes from, as they come.
    """

    def __init__(self, handle: BinaryIO) -> None:
        self._handle, self._is_open = handle, True
        self._rest, self._end = b"", b"\n"
        self._found: deque[str] = deque()

    def __iter__(self) -> Iterator[str]:
        """Give the names; waits for the next."""
        while True:
            while not self._found and self._is_open:
                self._read()
            if not self._found:
                return
            yield self._found.popleft()

    def is_ready(self) -> bool:
        """Whether the next name, or the end of the list, is known without waiting."""
        while not self._found and self._is_open and self._has_bytes():
            self._read()
        return bool(self._found) or not self._is_open

    def _has_bytes(self, seconds: float = 0.0) -> bool:
        """Whether bytes, or the end, come within some seconds."""
        try:
            return bool(select.select([self._handle], [], [], seconds)[0])
        except (OSError, ValueError):  # no file of the system, such as bytes in memory
            return True

    def _read(self) -> None:
        """Read what is there, or wait for some bytes."""
        while not self._has_bytes(WAKE_S):
            pass  # a signal that comes just before a read is noticed here, and would not end the read
        content = self._handle.read1(AT_ONCE)  # type: ignore[attr-defined]  # every buffered reader has it
        self._is_open = bool(content)
        self._rest += content
        if b"\0" in content:
            self._end = b"\0"
        *lines, self._rest = self._rest.split(self._end)
        if not self._is_open:
            lines, self._rest = [*lines, self._rest], b""
        if self._end == b"\n":
            lines = [line.removesuffix(b"\r") for line in lines]
        self._found += [os.fsdecode(line) for line in lines if line.strip()]

"""The callback by which long work reports its progress."""

from __future__ import annotations

from collections.abc import Callable

Tick = Callable[[int, int, str], None]
"""Called with the number of items done, the number of all, and a note."""


def silent(done: int, total: int, note: str = "") -> None:
    """Ignore the progress."""

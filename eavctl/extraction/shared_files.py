"""Check that a worker on another machine sees the files that its calls read and write."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping

from eavctl.errors import DataError


def sizes_of(paths: Iterable[str | os.PathLike[str]]) -> dict[str, int]:
    """Sizes of those files that exist, in bytes, by path."""
    return {os.fspath(path): size for path in paths if (size := _size(path)) is not None}


def _size(path: str | os.PathLike[str]) -> int | None:
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return None


def require_seen(sizes: Mapping[str, int]) -> None:
    """Check in a worker that files have the sizes that they have for the process that asks for the call.

    Without this, a worker that lacks the recordings would reject each of them as missing.

    Raises
    ------
    DataError : one has not.
    """
    for path, size in sizes.items():
        if _size(path) != size:
            raise unseen(path)


def unseen(path: str | os.PathLike[str]) -> DataError:
    """The error for a file that this machine does not see as another does."""
    return DataError(
        f"{path}: another file, or none, on {socket.gethostname()}.\n"
        "Workers need recordings and outputs under the same paths as the command: use a shared file system"
    )

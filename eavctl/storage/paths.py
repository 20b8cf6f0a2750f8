"""Files and folders that a user names, before any of them is read."""

from __future__ import annotations

import os
from collections.abc import Iterable

from eavctl.errors import DataError, UsageError
from eavctl.storage.files import STDIO

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def named(paths: Paths) -> list[str]:
    """The paths as texts; a single path is a list of one, and never taken letter by letter.

    Raises
    ------
    UsageError : an empty name, as an unset variable of the shell leaves it, or no path at all.
    DataError : there is no such file or folder; ``-`` is always there.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    for path in given:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise UsageError(f"{path!r} is not the name of a file or folder; is a variable not set?")
        if os.fspath(path) != STDIO and not os.path.exists(path):
            raise DataError(f"{os.fspath(path)}: no such file or folder")
    return [os.fspath(path) for path in given]

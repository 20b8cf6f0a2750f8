"""Checks of the files and folders that a user names, before any of them is read."""

from __future__ import annotations

import os
from collections.abc import Iterable

from eavctl.errors import DataError, UsageError
from eavctl.storage import remote
from eavctl.storage.files import STDIO

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def listed(paths: Paths) -> list[str | os.PathLike[str]]:
    """Return one or more paths as a list; a single path gives a list of one.

    Raises
    ------
    UsageError : no path.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not given:
        raise UsageError("no file is named")
    return given


def named(paths: Paths) -> list[str]:
    """Return the paths and URLs as a list of str; a single path gives a list of one.

    Raises
    ------
    UsageError : an empty path, such as an unset shell variable gives, or a value that is not a path.
    DataError : no such file or folder, except for ``-``; or a URL that cannot be reached.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    for path in given:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise UsageError(f"{path!r} is not the name of a file or folder; is a variable not set?")
        if os.fspath(path) != STDIO and not _exists(path):
            raise DataError(f"{remote.url_of(path)}: no such file or folder")
    return [remote.url_of(path) if remote.is_url(path) else os.fspath(path) for path in given]


def _exists(path: str | os.PathLike[str]) -> bool:
    return remote.exists(path) if remote.is_url(path) else os.path.exists(path)

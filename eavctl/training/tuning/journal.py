"""Optuna's journal file, shared by processes that may be killed at any time."""

from __future__ import annotations

import fcntl
import json
import os

from eavctl.errors import DataError, UsageError
from eavctl.storage import files

BLOCK = 1 << 16
LONGEST_ENTRY = 1 << 20  # of the first one, which names a study


class JournalLock:
    """An exclusive lock on a journal, which the kernel releases when its process ends.

    Optuna's own locks are files, which a killed process leaves behind. A line that a killed process wrote in
    part is removed before the next one is written.

    Parameters
    ----------
    path : the journal; it exists.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._handle = -1

    def acquire(self) -> bool:
        """Wait for the lock."""
        handle = os.open(self._path, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            _remove_partial_line(handle)
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle
        return True

    def release(self) -> None:
        """Release the lock, also where a forked process has inherited it."""
        fcntl.flock(self._handle, fcntl.LOCK_UN)
        os.close(self._handle)


def _remove_partial_line(handle: int) -> None:
    size = end = os.fstat(handle).st_size
    while end > 0:
        start = max(0, end - BLOCK)
        newline = os.pread(handle, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(handle, end)


def check(path: str) -> None:
    """Check that a file is a journal, or that one can be made there; nothing is written.

    Raises
    ------
    UsageError : a stream or a device.
    DataError : another file, a folder, or it cannot be written.
    """
    if files.is_stream(path):
        raise UsageError(f"{path}: a study is kept in a file or a database; name one with --storage")
    if not os.path.exists(path):
        check_folder(path)
        return
    with files.opened(path) as lines:
        first = lines.readline(LONGEST_ENTRY)
    if first and not _is_entry(first):
        raise DataError(f"{path}: not the journal of a study; name another file with --storage")
    if not os.access(path, os.W_OK):
        raise DataError(f"{path}: the study cannot be written there (Permission denied)")


def check_folder(path: str) -> None:
    """Check that a file can be made in the folder of a path.

    Raises
    ------
    DataError : no such folder, or it cannot be written.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise DataError(f"{path}: the study cannot be written there (no such folder)")
    if not os.access(folder, os.W_OK):
        raise DataError(f"{path}: the study cannot be written there (Permission denied)")


def _is_entry(line: bytes) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:  # one that a killed process wrote in part is a journal's
        return line.startswith(b'{"op_code":') and not line.endswith(b"\n")
    return isinstance(entry, dict) and "op_code" in entry

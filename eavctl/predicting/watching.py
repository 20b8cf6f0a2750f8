"""Names of the recordings that appear in a folder, each once it is closed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections import deque
from collections.abc import Collection, Iterator
from typing import NamedTuple

from eavctl.datasets.column_names import is_recording
from eavctl.errors import DataError
from eavctl.signals.endings import TEXT_ENDINGS, modalities_of, split_ending

# Of the watcher: how long it waits for a change, and for changes that follow each other.
POLL_MS, STEP_MS, TOGETHER_MS = 100, 20, 200
SETTLED_S = 0.2  # for which a closed file has not changed: a recorder can open and close it for each block


class _Stamp(NamedTuple):
    """What changes when a file is written or replaced."""

    inode: int
    n_bytes: int
    modified_ns: int


class WatchedFolder:
    """Names of recordings that are written to a folder, or moved into it, from now on.

    A file is named when no process has it open for writing any more and it does not change, and again when it
    is replaced. Hidden files and folders are left out, as are files without an ending of a recording, such as
    ``.part``; so are empty files, until something is in them.

    Parameters
    ----------
    folder : with all that are in it.
    modalities : of the recordings to name.

    Raises
    ------
    DataError : no such folder.
    """

    def __init__(self, folder: str | os.PathLike[str], modalities: Collection[str]) -> None:
        self._folder, self._modalities = os.fspath(folder), frozenset(modalities)
        if not os.path.isdir(self._folder):
            raise DataError(f"{self._folder}: no such folder; --watch needs one")
        import watchfiles

        self._known = dict(self._files(self._folder))
        self._pending: dict[str, tuple[_Stamp, float]] = {}
        self._settled: deque[str] = deque()
        self._changes = watchfiles.watch(
            self._folder,
            watch_filter=None,
            debounce=TOGETHER_MS,
            step=STEP_MS,
            rust_timeout=POLL_MS,
            yield_on_timeout=True,
        )
        self._poll()
        self._look_at(self._folder)  # what came before the watcher was there

    def __iter__(self) -> Iterator[str]:
        """Give the names, and wait for more; it does not end."""
        while True:
            while not self._settled:
                self._poll()
            yield self._settled.popleft()

    def is_ready(self) -> bool:
        """Whether a recording is closed that has not been named."""
        return bool(self._settled)

    def _poll(self) -> None:
        """Wait a moment for changes, and find the files that are closed."""
        for _, path in sorted(next(self._changes)):
            self._look_at(path)
        if not os.path.isdir(self._folder):
            raise DataError(f"{self._folder}: the folder is gone")
        now = time.monotonic()
        for path, (stamp, since) in list(self._pending.items()):
            found = _stamp(path)
            if found is None:
                del self._pending[path]
            elif found != stamp:
                self._pending[path] = (found, now)
            elif now - since >= SETTLED_S and stamp.n_bytes and not _is_open_for_writing(path):
                del self._pending[path]
                self._known[path] = stamp
                self._settled.append(path)

    def _look_at(self, path: str) -> None:
        """Wait for the changed files at a path, a folder or a file, to be closed."""
        path = os.path.join(self._folder, os.path.relpath(path, self._folder))
        for name, stamp in self._files(os.path.normpath(path)):
            if self._known.get(name) != stamp:
                self._pending.setdefault(name, (stamp, time.monotonic()))

    def _files(self, path: str) -> Iterator[tuple[str, _Stamp]]:
        """The recordings at a path, a folder or a file."""
        parts = os.path.relpath(path, self._folder).split(os.sep)
        if any(part.startswith(".") and part != os.curdir for part in parts):
            return
        if os.path.isdir(path):
            with contextlib.suppress(OSError):  # removed meanwhile, or not to be read
                for name in sorted(os.listdir(path)):
                    yield from self._files(os.path.join(path, name))
        elif self._is_recording(path) and (stamp := _stamp(path)):
            yield path, stamp

    def _is_recording(self, path: str) -> bool:
        """Whether a file is a recording: by its ending, and, of those that tables have too, by its header."""
        if not self._modalities.intersection(modalities_of(path)):
            return False
        return split_ending(path)[1] not in TEXT_ENDINGS or is_recording(path)


def _stamp(path: str) -> _Stamp | None:
    """The stamp of a file; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return _Stamp(found.st_ino, found.st_size, found.st_mtime_ns)


def _is_open_for_writing(path: str) -> bool:
    """Whether any process has a file open for writing; False where the system does not tell.

    Linux grants a lease for reading only where none has (fcntl(2), F_SETLEASE).
    """
    with contextlib.suppress(OSError), open(path, "rb") as handle:
        try:
            fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except OSError as error:
            return error.errno == errno.EAGAIN
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False

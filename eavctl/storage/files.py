"""Atomic writing of files, locks, and reading of standard input."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

from eavctl.errors import BusyError, DataError, NoSpaceError, UsageError
from eavctl.jobs import Outputs
from eavctl.storage import remote

STDIO = "-"
LOCK = "lock"  # a file in the folder of parts
STREAMS = ("/dev/std", "/dev/fd/", "/proc/self/fd/")  # may refer to a regular file that is already open
TEMPORARY = r"(?s)\.(.+)\.[0-9a-f]{8}\.tmp"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, a quota, or a limit of the shell
LOCK_WAIT_S, LOCK_STEP_S = 1.0, 0.05  # workers of a killed process end shortly after it


# --- reading ----------------------------------------------------------------------------------------------

_stdin: tuple[Any, bytes] = (None, b"")


def read_stdin() -> bytes:
    """All bytes of standard input; they are cached, so that they can be read again."""
    global _stdin
    if _stdin[0] is not sys.stdin:
        _stdin = (sys.stdin, sys.stdin.buffer.read())
    return _stdin[1]


def stem(path: str | os.PathLike[str]) -> str:
    """The name of a file without its ending, or ``stdin``."""
    return "stdin" if os.fspath(path) == STDIO else Path(path).stem


def opened(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to read bytes, or standard input for ``-``; of a URL a local copy.

    Raises
    ------
    DataError : no such file, a folder, or it cannot be read.
    """
    if os.fspath(path) == STDIO:
        return io.BytesIO(read_stdin())
    try:
        return open(remote.local(path), "rb")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: a folder; name a file") from None
    except (OSError, ValueError) as error:  # a ValueError: the name holds a null byte
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', error)})") from None


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether there is such a file, here or at a URL.

    Raises
    ------
    DataError : the URL cannot be reached.
    """
    return remote.is_file(path) if remote.is_url(path) else os.path.isfile(path)


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether there is such a folder, here or at a URL; errors as of `is_file`."""
    return remote.is_folder(path) if remote.is_url(path) else os.path.isdir(path)


# --- writing ----------------------------------------------------------------------------------------------


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether a path is stdout, a device or a pipe, which a rename cannot replace."""
    name = os.fspath(path)
    if name == STDIO or name.startswith(STREAMS):
        return True
    if remote.is_url(name):
        return False
    try:
        mode = os.stat(name).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


class _Raw(io.FileIO):
    """A file that keeps the error of a failed write, even if a library converts the exception."""

    failure: OSError | None = None

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except OSError as error:
            self.failure = error
            raise


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], *, sync: bool = True) -> Iterator[IO[bytes]]:
    """Yield a binary handle whose bytes appear under ``path`` only if the block succeeds.

    The bytes are written to a hidden file beside the target, flushed to the disk, and renamed over the
    target, which is unchanged after an exception, a kill or a full disk. If the path is a link, the target
    is the file that it points to. Stdout, devices, pipes and URLs receive the bytes when the block ends.

    Parameters
    ----------
    path : file or URL to write, or ``-`` for stdout.
    sync : wait until the bytes are on the disk, so that they survive a power failure.

    Raises
    ------
    DataError : the folder does not exist or cannot be written, or the disk is full.
    UsageError : ``path`` is a terminal, and the content is not text.
    """
    if is_stream(path) or not Outputs.are_written:
        buffer = io.BytesIO()
        yield buffer
        if Outputs.are_written:
            _pour(path, buffer.getvalue())
        return
    if remote.is_url(path):
        with _uploaded(path) as handle:
            yield handle
        return
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
    try:
        raw = _Raw(temporary, "xb")
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with io.BufferedWriter(raw) as handle:
            _lock(raw)
            yield handle
            handle.flush()
            if target.exists():
                os.fchmod(raw.fileno(), stat.S_IMODE(target.stat().st_mode))
            if sync:
                os.fsync(raw.fileno())
            os.replace(temporary, target)  # before closing, which releases the lock
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        failure = raw.failure or (error if isinstance(error, OSError) and not error.filename else None)
        if failure is not None:
            raise _unwritable(path, failure) from error
        raise
    if sync:
        _sync_folder(target.parent)


@contextlib.contextmanager
def _uploaded(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Yield a handle of a temporary file, whose bytes are sent to a URL if the block succeeds."""
    import tempfile  # slow to import, as shutil below

    with tempfile.TemporaryFile() as handle:
        try:
            yield handle
            handle.flush()
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise _unwritable(tempfile.gettempdir(), error) from error
        remote.upload(handle, path)


def _unwritable(path: str | os.PathLike[str], error: OSError) -> DataError:
    name = "stdout" if os.fspath(path) == STDIO else path
    text = f"{name}: cannot be written ({error.strerror or error})"
    return NoSpaceError(f"{text}; free some space and run again") if error.errno in FULL else DataError(text)


def _pour(path: str | os.PathLike[str], content: bytes) -> None:
    """Write the content to stdout, a device or a pipe."""
    with streamed(path) as handle:
        refuse_terminal(content, None if os.fspath(path) == STDIO else handle)
        handle.write(content)


@contextlib.contextmanager
def streamed(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Yield a handle whose bytes reach stdout, a device or a pipe as they are written.

    Raises
    ------
    DataError : it cannot be written.
    """
    try:
        if os.fspath(path) == STDIO:
            sys.stdout.flush()
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        with open(path, "wb") as handle:
            yield handle
    except BrokenPipeError:  # the reader has closed the pipe
        raise
    except OSError as error:
        raise _unwritable(path, error) from error


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a hidden folder beside ``path`` that takes its name only if the block succeeds.

    A folder of this name is replaced and removed: its files must be eavctl's. After an exception, a kill or a
    full disk it is unchanged; a kill between the two renames leaves no folder of this name.

    Raises
    ------
    DataError : the folder cannot be written, or the disk is full.
    """
    import shutil

    target = Path(os.path.realpath(path))
    temporary, former = (target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp") for _ in range(2))
    try:
        temporary.mkdir()
        descriptor = os.open(temporary, os.O_RDONLY)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        _lock(descriptor)
        yield temporary
        for folder in (temporary, *(each for each in temporary.rglob("*") if each.is_dir())):
            _sync_folder(folder)
        if target.exists():
            os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
            os.rename(target, former)
        os.rename(temporary, target)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if former.exists() and not target.exists():
            os.rename(former, target)
        if isinstance(error, NoSpaceError):  # which names a file in the hidden folder
            raise _unwritable(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) from error
        if isinstance(error, OSError):
            raise _unwritable(path, error) from error
        raise
    finally:
        os.close(descriptor)
    _sync_folder(target.parent)
    shutil.rmtree(former, ignore_errors=True)


def clear_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove the temporary files and folders of killed processes, of all targets or only of ``name``.

    What a running process is writing is locked, and stays.
    """
    with contextlib.suppress(OSError):
        for entry in os.listdir(folder):
            match = re.fullmatch(TEMPORARY, entry)
            if match and name in (None, match[1]):
                with contextlib.suppress(OSError):
                    _remove_leftover(folder / entry)


def _remove_leftover(path: Path) -> None:
    """Remove a temporary file or folder, unless it is locked."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if not _lock(descriptor):
            return
        if path.is_dir():
            import shutil

            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    finally:
        os.close(descriptor)


def _lock(handle: IO[bytes] | int) -> bool:
    """Lock an open file for this process and its forks; False if another process holds the lock."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power failure, if the system supports it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a whole file, or to stdout for ``-``.

    Raises
    ------
    DataError, UsageError : as `atomic_write`.
    """
    with atomic_write(path) as handle:
        handle.write(content)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, if they do not exist.

    Raises
    ------
    DataError : the folder cannot be created.
    UsageError : it is a URL.
    """
    if remote.is_url(folder):
        raise UsageError(f"{remote.url_of(folder)}: a folder of this machine is needed here")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def refuse_terminal(content: bytes = b"\0", handle: IO[Any] | None = None) -> None:
    """Raise a UsageError if binary content would be written to a terminal, by default on stdout."""
    if b"\0" in content and (handle or sys.stdout).isatty():
        raise UsageError("binary output to a terminal: name a file with -o, or use a pipe")


# --- partial results of long runs -------------------------------------------------------------------------


@contextlib.contextmanager
def keeping_parts(target: str | os.PathLike[str], *, afresh: bool = False) -> Iterator[Path | None]:
    """Yield a hidden folder beside ``target`` for finished parts, locked for one process at a time.

    That of a URL is in the user's cache folder. The folder is removed when the block succeeds, when it is
    empty, and when the disk is full. After any other error or a kill it stays, so that the next run on this
    machine can resume.

    Parameters
    ----------
    target : the file that the parts belong to.
    afresh : remove the parts of an earlier run first.

    Yields
    ------
    The folder, or None if ``target`` is stdout, a device or a pipe, or this process writes no outputs.

    Raises
    ------
    BusyError : another process is writing ``target``.
    DataError : the folder cannot be written.
    """
    if is_stream(target) or not Outputs.are_written:
        yield None
        return
    import shutil  # slow to import, and predicting a clip does not need it

    parts = _parts_of(target)
    if remote.is_url(target):
        make_folder(parts.parent)
    with _locked(parts, target):
        if afresh:
            for kept in parts.iterdir():
                if kept.name != LOCK:
                    shutil.rmtree(kept, ignore_errors=True) if kept.is_dir() else kept.unlink()
        for stale in parts.glob(".*.tmp"):
            stale.unlink(missing_ok=True)
        try:
            yield parts
        except NoSpaceError as error:
            shutil.rmtree(parts, ignore_errors=True)
            raise _unwritable(target, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) from error
        except BaseException:
            if [kept.name for kept in parts.iterdir()] == [LOCK]:
                shutil.rmtree(parts, ignore_errors=True)
            raise
        shutil.rmtree(parts, ignore_errors=True)


def touch(target: str | os.PathLike[str]) -> None:
    """Set the modification time of a file that is up to date to now, and remove the parts it was made of.

    A run that is killed after its last write leaves them. Parts younger than the file are of another run,
    which can be resumed: they stay. A URL stays as it is.
    """
    if not Outputs.are_written or remote.is_url(target):  # an object's time is that of its content
        return
    parts, written = _parts_of(target), os.stat(target).st_mtime_ns
    with contextlib.suppress(OSError, BusyError):  # another process is writing the file, or removing them
        kept = [each for each in parts.rglob("*") if each != parts / LOCK]
        if parts.is_dir() and all(each.stat().st_mtime_ns <= written for each in kept):
            with keeping_parts(target):
                pass  # which removes them
    os.utime(target)


def _parts_of(target: str | os.PathLike[str]) -> Path:
    """The hidden folder beside a file, or, for a URL, in the user's cache folder."""
    if remote.is_url(target):
        return remote.cache_folder(target).with_suffix(".parts")
    place = Path(os.path.realpath(target))
    return place.with_name(f".{place.name}.parts")


@contextlib.contextmanager
def _locked(parts: Path, target: str | os.PathLike[str]) -> Iterator[None]:
    until = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            parts.mkdir(exist_ok=True)
            handle = open(parts / LOCK, "ab")  # noqa: SIM115  # held for as long as the lock
        except OSError as error:
            was_removed = isinstance(error, FileNotFoundError)  # by the previous holder, just now
            if was_removed and parts.parent.is_dir() and time.monotonic() < until:
                continue
            raise _unwritable(target, error) from error
        with handle:
            if _lock(handle) and _has_name(parts / LOCK, handle):
                yield
                return
        if time.monotonic() > until:
            raise BusyError(f"{target}: another eavctl process is writing it; wait, or name another file")
        time.sleep(LOCK_STEP_S)


def _has_name(path: Path, handle: IO[bytes]) -> bool:
    """Whether an open file still exists under its path: the previous holder of the lock may remove it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle.fileno()))
    except OSError:
        return False

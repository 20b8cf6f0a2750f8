"""Writing files so that they are whole or absent, and never over somebody else's."""

from __future__ import annotations

import contextlib
import glob
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from eavctl.errors import UsageError

STDIO = "-"


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], *, sync: bool = True) -> Iterator[IO[bytes]]:
    """Yield a binary handle whose bytes appear under ``path`` only if the block ends well.

    The bytes go to a hidden file beside the target, are flushed to the disk and renamed over it; after
    an exception, a kill or a full disk the target is what it was before.

    Parameters
    ----------
    sync : wait until the bytes are on the disk, so that they outlive a power cut too.

    Raises
    ------
    UsageError : the folder does not exist or cannot be written.
    """
    target = Path(path)
    temporary = sibling(target)
    try:
        handle = open(temporary, "xb")  # noqa: SIM115  # closed below, before the rename
    except OSError as error:
        raise UsageError(f"{target}: cannot write here ({error.strerror})") from error
    try:
        with handle:
            yield handle
            handle.flush()
            if sync:
                os.fsync(handle.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(target.parent)


def sibling(target: Path) -> Path:
    """Name a new hidden file beside ``target``, so that a rename stays on one file system."""
    return target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")


def clear_leftovers(target: Path) -> None:
    """Remove what a process that was killed while it wrote ``target`` left beside it."""
    for stale in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        stale.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` outlive a power cut, where the system can."""
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
    UsageError : ``-`` while stdout is a terminal and the content is not text.
    """
    if os.fspath(path) == STDIO:
        refuse_terminal(content)
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    with atomic_write(path) as handle:
        handle.write(content)


def refuse_terminal(content: bytes = b"\0") -> None:
    """Raise UsageError if binary content would land on a terminal."""
    if b"\0" in content and sys.stdout.isatty():
        raise UsageError("binary output to a terminal: name a file with -o, or pipe it on")


def guard(path: str | os.PathLike[str], *, force: bool) -> None:
    """Refuse to overwrite what eavctl did not write.

    Raises
    ------
    UsageError : ``path`` exists, is not eavctl's, and ``force`` is not given; or it is a folder.
    """
    target = Path(path)
    if os.fspath(path) == STDIO:
        return
    if target.is_dir():
        raise UsageError(f"{target}: is a folder; name a file")
    if not target.parent.is_dir():
        raise UsageError(f"{target}: there is no folder {target.parent}; make it first")
    if not force and target.exists() and not is_ours(target):
        raise UsageError(f"{target}: exists and was not written by eavctl; use --force to overwrite it")


def is_ours(path: Path) -> bool:
    """Tell whether eavctl wrote the file: everything it writes names it near its start or its end."""
    size = path.stat().st_size
    with open(path, "rb") as handle:
        head = handle.read(4096)
        handle.seek(max(size - 65536, 0))
        tail = handle.read()
    kind = head[:4]
    if kind == b"PAR1":  # the key stands in the footer, which can be long: ask the table
        from eavctl.tables import read_meta

        try:
            return bool(read_meta(path))
        except Exception:  # a broken Parquet file is not ours to judge, so it is kept
            return False
    if kind == b"PK\x03\x04":  # torch's zip: the pickled meta is a member of its own
        return path.suffix == ".pt" and b"eavctl" in head + tail
    return b"eavctl" in head

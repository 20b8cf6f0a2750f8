"""Hashes of a data set's files, kept beside the table: those with the same size and times are not read."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from pathlib import Path

import numpy as np

try:
    from _blake2 import blake2b  # as in `eavctl.extraction.fingerprint`
except ImportError:
    from hashlib import blake2b

from eavctl.storage import files, remote
from eavctl.storage.provenance import DIGEST_BYTES, hash_file

HEAD = b"eavctl inputs 1\n"
ENTRY = 2 * DIGEST_BYTES  # of the file's path, size and times; and of its content
MANY_FILES, MANY_BYTES = 1000, 64 << 20  # fewer are read in less time than it is worth to keep their hashes
SETTLED_NS = 2_000_000_000  # a file written a moment ago can change again without another time


class FileHashes:
    """Hashes of files by path, size, and times of modification and change; 32 bytes of memory a file.

    A change of the content sets the second time, whatever sets the first one back.

    Parameters
    ----------
    table : whose inputs the files are.
    afresh : read every file, whatever is kept.
    """

    def __init__(self, table: str | os.PathLike[str], *, afresh: bool = False) -> None:
        self._place = None if files.is_stream(table) or remote.is_url(table) else _place_of(table)
        self._known = memoryview(b"" if afresh or not self._place else _read(self._place))
        self._is_used = bytearray(len(self._known) // ENTRY)  # of those known
        self._new = bytearray()
        self._n_bytes = 0

    def of(self, file: Path) -> str:
        """The hash of a file's content, 32 hex digits.

        Raises
        ------
        OSError : the file cannot be read.
        """
        state = os.stat(file)
        times = (state.st_mtime_ns, state.st_ctime_ns)
        named = "\0".join(map(str, (os.path.abspath(file), state.st_size, *times)))
        key = blake2b(named.encode("utf-8", "surrogateescape"), digest_size=DIGEST_BYTES).digest()
        self._n_bytes += state.st_size
        number = bisect_left(range(len(self._is_used)), key, key=self._key)
        if number < len(self._is_used) and self._key(number) == key:
            self._is_used[number] = True
            return self._known[ENTRY * number : ENTRY * (number + 1)][DIGEST_BYTES:].hex()
        content = hash_file(file)
        if max(times) < time.time_ns() - SETTLED_NS:
            self._new += key + bytes.fromhex(content)
        return content

    def _key(self, number: int) -> bytes:
        return bytes(self._known[ENTRY * number : ENTRY * number + DIGEST_BYTES])

    def keep(self) -> None:
        """Write the hashes of the files that were asked for beside the table, where it is worth it."""
        if not self._place or not self._new:
            return
        known = np.frombuffer(self._known, f"V{ENTRY}")
        self._new += known[np.frombuffer(self._is_used, bool)].data  # in place: they are large
        entries = np.frombuffer(self._new, f"V{ENTRY}")
        if len(entries) >= MANY_FILES or self._n_bytes >= MANY_BYTES:
            entries.sort()
            with files.atomic_write(self._place, sync=False) as handle:
                handle.write(HEAD)
                handle.write(entries.data)


def _place_of(table: str | os.PathLike[str]) -> Path:
    """The hidden file beside a table."""
    place = Path(os.path.realpath(table))
    return place.with_name(f".{place.name}.inputs")


def _read(place: Path) -> bytes:
    """The entries that are kept, sorted; none where there is no file, or it is damaged."""
    try:
        with open(place, "rb", buffering=0) as file:  # a buffer would hold a copy
            is_ours, content = file.read(len(HEAD)) == HEAD, file.readall()
    except OSError:
        return b""
    return content if is_ours and len(content) % ENTRY == 0 else b""

"""What an extraction reads: the records of its recordings, and one hash of all that they hold."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from eavctl.datasets.manifest import Manifest
from eavctl.errors import DataError
from eavctl.storage.provenance import DIGEST_BYTES, canonical_json, hash_file

FILES_REMEMBERED = 64  # the trials of one file need not follow each other


class Inputs:
    """The recordings of an extraction, gone through twice: to be read, and to be hashed in a thread.

    Reading and hashing let other threads run, so the hash is made beside the computing of features, and what
    a large file takes, a second for each 600 MB, is not waited for. As a context manager this makes the hash.
    """

    def __init__(self, manifest: Manifest, modality: str) -> None:
        self._manifest, self._modality = manifest, modality
        self._read, self._hashed = _digest(), _digest()  # of the files' stamps, as either found them
        self._left = threading.Event()
        self._pool = ThreadPoolExecutor(1)

    def records(self) -> Iterator[dict[str, Any]]:
        """JSON-able rows of the manifest, one by one, with what finding and reading the recording takes.

        That is ``path`` below the manifest's root, ``trial_index`` in a file of many, and ``stamp``: the
        file's size and time, by which a run that goes on where another stopped knows it again; None if it is
        not there.
        """
        stamp_of = functools.lru_cache(FILES_REMEMBERED)(_stamp)
        for row in self._manifest.records():
            path = row[f"{self._modality}_path"]
            trial = row.get("eeg_index") if self._modality == "eeg" else None
            stamp = stamp_of(self._manifest.root / path)
            self._read.update(canonical_json(stamp).encode())
            yield {**row, "path": path, "trial_index": trial, "stamp": stamp}

    def __enter__(self) -> Inputs:
        self._made = self._pool.submit(self._go_through)
        return self

    def _go_through(self) -> str:
        digest = _digest()
        look_at = functools.lru_cache(FILES_REMEMBERED)(lambda file: (_stamp(file), _hash_of(file)))
        for row in self._manifest.records():
            if self._left.is_set():
                break
            stamp, content = look_at(self._manifest.root / row[f"{self._modality}_path"])
            self._hashed.update(canonical_json(stamp).encode())
            digest.update(canonical_json([row, content]).encode())
        digest.update(canonical_json(self._manifest.rejected).encode())
        return digest.hexdigest()

    def hash(self) -> str:
        """Hash of the rows and of the bytes of their files, 32 hex digits, once all is read."""
        return self._made.result()

    def check(self) -> None:
        """Make sure, when all records were gone through and hashed, that both met the same files.

        Raises
        ------
        DataError : a file changed in between, so that the hash is not of what was read.
        """
        if self.hash() and self._read.digest() != self._hashed.digest():
            raise DataError(f"{self._manifest.root}: recordings changed while they were read; run again")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._pool.shutdown()


def _digest() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=DIGEST_BYTES)


def _stamp(file: Path) -> list[int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def _hash_of(file: Path) -> str | None:
    try:
        return hash_file(file) if file.is_file() else None
    except OSError:  # it cannot be read, which the extraction will say
        return None

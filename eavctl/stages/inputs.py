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
from eavctl.provenance import DIGEST_BYTES, canonical_json, hash_file

FILES_REMEMBERED = 64  # the trials of one file need not follow each other


def records(manifest: Manifest, modality: str) -> Iterator[dict[str, Any]]:
    """JSON-able rows of a manifest, one by one, with what finding and reading the recording takes.

    That is ``path`` below the manifest's root, ``trial_index`` in a file of many, and ``stamp``: the file's
    size and time, by which a run that goes on where another stopped knows it again; None if it is not there.
    """
    stamp_of = functools.lru_cache(FILES_REMEMBERED)(_stamp)
    for row in manifest.records():
        path = row[f"{modality}_path"]
        trial = row.get("eeg_index") if modality == "eeg" else None
        yield {**row, "path": path, "trial_index": trial, "stamp": stamp_of(manifest.root / path)}


def _stamp(file: Path) -> list[int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


class InputsHash:
    """The hash of a manifest's rows and of the bytes of their files, made in a thread.

    Reading and hashing let other threads run, so this goes on beside the computing of features, and what a
    large file takes to hash, a second for each 600 MB, is not waited for. Use as a context manager.
    """

    def __init__(self, manifest: Manifest, modality: str) -> None:
        self._manifest, self._modality = manifest, modality
        self._left = threading.Event()
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> InputsHash:
        self._made = self._pool.submit(self._go_through)
        return self

    def _go_through(self) -> str:
        digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
        hash_of = functools.lru_cache(FILES_REMEMBERED)(_hash_of)
        for row in self._manifest.records():
            if self._left.is_set():
                break
            content = hash_of(self._manifest.root / row[f"{self._modality}_path"])
            digest.update(canonical_json([row, content]).encode())
        digest.update(canonical_json(self._manifest.rejected).encode())
        return digest.hexdigest()

    def result(self) -> str:
        """The hash, 32 hex digits, once all is read."""
        return self._made.result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._pool.shutdown()


def _hash_of(file: Path) -> str | None:
    try:
        return hash_file(file) if file.is_file() else None
    except OSError:  # it cannot be read, which the extraction will say
        return None

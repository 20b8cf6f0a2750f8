"""The records of an extraction's recordings, and one hash of the content of all of them."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from eavctl.datasets.manifest import Manifest
from eavctl.errors import DataError
from eavctl.extraction.file_hashes import FileHashes
from eavctl.signals.data_files import beside, read_with
from eavctl.signals.idx import index_of
from eavctl.storage import remote_tree
from eavctl.storage.files import STDIO
from eavctl.storage.keys import extras
from eavctl.storage.provenance import DIGEST_BYTES, canonical_json, hash_json
from eavctl.storage.remote import Entry

FILES_REMEMBERED = 64  # the trials of one file need not follow each other


class InputHash:
    """The hash of an extraction's recordings, computed in a thread while their features are computed.

    Reading and hashing release the interpreter's lock, so the second that 600 MB take is not added to the
    run time. Entering the context starts the thread. A manifest is read twice: by `records`, for the
    features, and by the thread.

    Parameters
    ----------
    hashes : of the files in earlier runs, if known.
    """

    def __init__(self, manifest: Manifest, modality: str, hashes: FileHashes | None = None) -> None:
        self._manifest, self._modality = manifest, modality
        self._hashes = hashes or FileHashes(STDIO)
        self._read, self._hashed = _digest(), _digest()  # of the files' stamps, as either reader found them
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._is_remote = remote_tree.is_remote(manifest.root)

    def records(self) -> Iterator[dict[str, Any]]:
        """Rows of the manifest, one by one, JSON-able, each with what is needed to read the recording.

        That is ``path`` below the manifest's root, ``trial_index`` in a file of many trials, and ``stamp``:
        the file's size and time, by which a resumed run recognises it, and those of the files that are read
        with it, if any; None if there is no such file. Of a remote recording, ``beside`` are the paths of
        the files that are fetched with it. The extra columns stand under ``extra``, so that they can have
        any name.
        """
        stamp_of = functools.lru_cache(FILES_REMEMBERED)(_stamp)
        beside_of = functools.lru_cache(FILES_REMEMBERED)(functools.partial(beside, self._manifest.root))
        for row in self._manifest.records():
            path = row[f"{self._modality}_path"]
            trial = row.get("eeg_index") if self._modality == "eeg" else index_of(path, row.get("trial"))
            stamp = stamp_of(self._manifest.root / path)
            self._read.update(canonical_json(stamp).encode())
            extra = {name: row.pop(name) for name in extras(row)}
            record = {**row, "extra": extra, "path": path, "trial_index": trial, "stamp": stamp}
            yield {**record, "beside": beside_of(path)} if self._is_remote else record

    def __enter__(self) -> InputHash:
        self._made = self._pool.submit(self._hash_all)
        return self

    def _hash_all(self) -> str:
        digest = _digest()
        hash_of = functools.partial(_hash_of, self._hashes)
        stamp_and_hash = functools.lru_cache(FILES_REMEMBERED)(lambda file: (_stamp(file), hash_of(file)))
        for row in self._manifest.records():
            if self._stopped.is_set():
                break
            stamp, content = stamp_and_hash(self._manifest.root / row[f"{self._modality}_path"])
            self._hashed.update(canonical_json(stamp).encode())
            digest.update(canonical_json([row, content]).encode())
        digest.update(canonical_json(self._manifest.rejected).encode())
        return digest.hexdigest()

    def hash(self) -> str:
        """Wait for the hash of the rows and of the bytes of their files, 32 hex digits."""
        return self._made.result()

    def check(self) -> None:
        """Check, once all records are read and hashed, that no file changed in between.

        Raises
        ------
        DataError : one did, so that the hash is not that of what was read.
        """
        if self.hash() and self._read.digest() != (self._listed_again() or self._hashed).digest():
            root = remote_tree.told(str(self._manifest.root))
            raise DataError(f"{root}: recordings changed while they were read; run again")

    def keep(self) -> None:
        """Keep the hashes of the files for the next run; see `eavctl.extraction.file_hashes`."""
        self._hashes.keep()

    def _listed_again(self) -> hashlib.blake2b | None:
        """The digest of the stamps of remote files as they are now; None of files of this machine."""
        if not self._is_remote:
            return None
        entries, digest = remote_tree.listed_again(self._manifest.root), _digest()
        stamp_of = functools.lru_cache(FILES_REMEMBERED)(functools.partial(_stamp, entries=entries))
        for row in self._manifest.records():
            stamp = stamp_of(self._manifest.root / row[f"{self._modality}_path"])
            digest.update(canonical_json(stamp).encode())
        return digest

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._pool.shutdown()


def _digest() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=DIGEST_BYTES)


def _stamp(file: Path, entries: Mapping[str, Entry] | None = None) -> remote_tree.Stamp | None:
    try:
        found = [remote_tree.stamp_of(each, entries) for each in (file, *read_with(file))]
    except OSError:
        return None
    return [value for each in found for value in each]


def _hash_of(hashes: FileHashes, file: Path) -> str | None:
    """A hash of the bytes of a file and of those that are read with it; of remote ones, of their stamps."""
    try:
        if remote_tree.is_remote(file):
            return None if (stamp := _stamp(file)) is None else hash_json(stamp)
        return "".join(map(hashes.of, (file, *read_with(file)))) if file.is_file() else None
    except OSError:  # the extraction will report that it cannot be read
        return None

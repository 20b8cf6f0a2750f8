"""Provenance of files: hashes of settings and content, and versions of packages."""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eavctl.storage import remote
from eavctl.version import __version__

DIGEST_BYTES = 16
CHUNK_BYTES = 1 << 20


def canonical_json(value: Any) -> str:
    """Serialise a value uniquely: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def hash_json(value: Any) -> str:
    """Hash of a JSON-able value, 32 hex digits of BLAKE2b."""
    return hash_bytes([canonical_json(value).encode()])


def hash_bytes(parts: Iterable[bytes | memoryview]) -> str:
    """Hash of the concatenated parts, 32 hex digits of BLAKE2b."""
    import hashlib  # loads OpenSSL, 4 MB; predicting a clip hashes nothing

    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def hash_file(path: str | os.PathLike[str]) -> str:
    """Hash of the bytes of a file, read in chunks; of a URL, of a local copy."""
    with open(remote.local(path), "rb") as handle:
        return hash_bytes(iter(lambda: handle.read(CHUNK_BYTES), b""))


@functools.cache
def versions(*packages: str) -> dict[str, str]:
    """Versions of eavctl, Python, and the given packages where they are installed."""
    import platform
    from importlib import metadata  # slow to import, since it imports email; predicting needs no versions

    found = {"eavctl": __version__, "python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def hash_folder(folder: Path) -> str:
    """Hash of the names and bytes of the files in a folder, without subfolders."""
    return hash_json({path.name: hash_file(path) for path in sorted(folder.iterdir()) if path.is_file()})

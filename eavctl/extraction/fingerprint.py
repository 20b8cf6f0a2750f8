"""Identify a recording by the bytes of its file, whatever the file is called."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

try:
    from _blake2 import blake2b  # hashlib loads OpenSSL too: 4 MB that a cold prediction saves
except ImportError:
    from hashlib import blake2b

from eavctl.extraction.open_recording import Stretch
from eavctl.signals.data_files import data_files

DIGEST_BYTES = 8  # enough to tell recordings apart; no protection against forgery
WHOLE_BYTES = 1 << 20
N_BLOCKS, BLOCK_BYTES = 16, 1 << 16


def fingerprint(source: str | os.PathLike[str] | BinaryIO) -> str | None:
    """Name a file by its content.

    All bytes of a file up to 1 MiB are hashed; of a larger one, for a subject's EEG can have 500 MB, its size
    and sixteen evenly spaced blocks of 64 KiB. The data file of a BrainVision or EEGLAB header is included.

    Parameters
    ----------
    source : a file's path, or an open binary file, which is left at its start.

    Returns
    -------
    16 hex digits; None if the file cannot be read.
    """
    digest = blake2b(digest_size=DIGEST_BYTES)
    try:
        if isinstance(source, str | os.PathLike):
            for path in (Path(source), *data_files(Path(source))):
                with open(path, "rb") as file:
                    _add(digest, file)
        else:
            _add(digest, source)
            source.seek(0)
    except OSError:  # reading the recording will report what is wrong
        return None
    return digest.hexdigest()


def of_trial(content: str | None, trial: int | None) -> str | None:
    """Name a trial of a file by its index from 0; the file itself where it has no trials."""
    return content if content is None or trial is None else f"{content}#{trial + 1}"


def identity_of(stretch: Stretch, content: Callable[[], str | None], trial: int | None) -> str | None:
    """Name a recording by its own content, or by that of its file and its index there.

    Parameters
    ----------
    content : gives the `fingerprint` of the file; called only where it is needed.
    trial : index from 0, of one of several recordings in a file.
    """
    return stretch.content or of_trial(content(), trial)


def _add(digest: blake2b, file: BinaryIO) -> None:
    size = file.seek(0, io.SEEK_END)
    digest.update(size.to_bytes(8, "little"))
    if size <= WHOLE_BYTES:
        file.seek(0)
        digest.update(file.read())
        return
    for number in range(N_BLOCKS):
        file.seek((size - BLOCK_BYTES) * number // (N_BLOCKS - 1))
        digest.update(file.read(BLOCK_BYTES))

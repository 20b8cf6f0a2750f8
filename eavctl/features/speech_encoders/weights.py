"""The weights that a feature set needs: identified by their content, wherever they are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eavctl.errors import DataError
from eavctl.features.speech_encoders import packaged
from eavctl.features.speech_encoders.base import SpeechEncoder, encoder_alone, load, module_of
from eavctl.features.speech_encoders.checkpoint import FILES, Checkpoint, read_checkpoint
from eavctl.storage.provenance import canonical_json, hash_bytes

HASH_DIGITS = 16
IDENTITY = re.compile(rf"(.+)-(\d+)x(\d+)-([0-9a-f]{{{HASH_DIGITS}}})")
ENCODERS_KEPT = 2  # in memory: of a fusion of two


class Weights(NamedTuple):
    """Weights that were found.

    Parameters
    ----------
    path : folder of the checkpoint, or the file of the package that has it.
    identity : see `identify`.
    stamp : sizes and times of the files when they were identified.
    """

    path: Path
    identity: str
    stamp: tuple[tuple[int, int], ...]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a feature set that the weights determine."""
        return {"weights": self.identity}

    def load(self) -> SpeechEncoder:
        """The encoder; it is kept for the next call.

        Raises
        ------
        DataError : the files have changed, are damaged, or do not fit their config.json.
        """
        return _load(self)


class Size(NamedTuple):
    """Number of blocks of an encoder, and length of its vectors."""

    n_blocks: int
    width: int


def find(given: Sequence[str | os.PathLike[str]] = (), wanted: str | None = None) -> Weights:
    """Find weights in folders, or else in the package that has some.

    Parameters
    ----------
    given : folders of checkpoints.
    wanted : identity of the weights; without it, those of the first folder or of the package are taken.

    Raises
    ------
    DataError : they are nowhere, or a folder is no checkpoint.
    """
    found = [_of_folder(Path(folder)) for folder in given]
    if (not found and wanted is None) or wanted == packaged.IDENTITY:
        found += _of_package()
    fitting = [each for each in found if wanted in (None, each.identity)]
    if fitting:
        return fitting[0]
    if given:
        ours = ", ".join(f"{each.path} has {each.identity}" for each in found)
        raise DataError(f"the features need the weights {wanted}; {ours}. Name their folder with --weights")
    if wanted in (None, packaged.IDENTITY):
        raise DataError(
            f"the features need the weights {packaged.IDENTITY}: {packaged.FILE.install}, or name the folder "
            "of a checkpoint with --weights"
        )
    raise DataError(
        f"the features need the weights {wanted}: name the folder of their checkpoint with --weights"
    )


def identify(checkpoint: Checkpoint) -> str:
    """Name weights by what they compute: their kind, their size, and a hash.

    The hash is of all that changes the encoder's output: the values of the encoder's tensors, in the order
    of their names and in float32, and the module's ``facts``. Files of another format, of another precision
    that holds the same values, or with a head beside the encoder have the same.

    Returns
    -------
    Such as ``whisper-4x384-0123456789abcdef``: type, blocks x width, 16 hex digits.

    Raises
    ------
    DataError : the checkpoint is of no known kind, or damaged.
    """
    facts, tensors = module_of(checkpoint).facts(checkpoint), encoder_alone(checkpoint).tensors

    def parts() -> Iterator[bytes | memoryview]:
        yield canonical_json(facts).encode()
        for name in sorted(tensors):
            yield canonical_json([name, tensors.shape(name)]).encode()
            yield np.ascontiguousarray(tensors[name], "<f4").data

    name = f"{checkpoint.config['model_type']}-{facts['n_blocks']}x{facts['width']}"
    return f"{name}-{hash_bytes(parts())[:HASH_DIGITS]}"


def size_of(identity: str) -> Size:
    """Read the size of an encoder from the identity of its weights.

    Raises
    ------
    ValueError : it is no identity.
    """
    match = IDENTITY.fullmatch(identity)
    if match is None:
        raise ValueError(f"{identity!r} is not the identity of weights")
    return Size(int(match[2]), int(match[3]))


def _of_folder(folder: Path) -> Weights:
    stamp = _stamp(folder)
    return Weights(folder.absolute(), identify(read_checkpoint(folder)), stamp)


def _of_package() -> list[Weights]:
    """The weights of the package, if it is installed; its file is checked when it is loaded."""
    path = packaged.FILE.find()
    return [Weights(path.absolute(), packaged.IDENTITY, _stamp(path))] if path else []


def _stamp(path: Path) -> tuple[tuple[int, int], ...]:
    try:
        files = [path / name for name in FILES if (path / name).exists()] if path.is_dir() else [path]
        found = [file.stat() for file in files]
    except OSError:  # reading them will report what is wrong
        return ()
    return tuple((each.st_size, each.st_mtime_ns) for each in found)


@lru_cache(maxsize=ENCODERS_KEPT)
def _load(weights: Weights) -> SpeechEncoder:
    if _stamp(weights.path) != weights.stamp:
        raise DataError(f"{weights.path}: its files changed while they were used; run again")
    read = packaged.read if weights.path.is_file() else read_checkpoint
    return load(read(weights.path))

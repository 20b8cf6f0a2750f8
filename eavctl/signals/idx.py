"""Files of the format idx, as the MNIST family has them: many pictures of one size, or their labels.

Reference: LeCun, Cortes, Burges: The MNIST database of handwritten digits, 1998 (its page gives the format).
"""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import zlib
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO

import numpy as np

from eavctl.errors import SignalError
from eavctl.signals.containers import LARGEST_SIDE, open_file
from eavctl.signals.endings import is_idx

try:
    from _blake2 import blake2b  # hashlib loads OpenSSL too
except ImportError:
    from hashlib import blake2b

UNSIGNED_BYTE = 8  # code of the type of the values
GZIP = b"\x1f\x8b"
MOST_EXPANDED = 1032  # bytes that one byte of deflate can hold
MOST_PICTURES, MOST_BYTES = 10_000_000, 1 << 32  # a small file can claim, or unpack to, much more
BLOCK_BYTES = 1 << 20
DIGEST_BYTES = 8


class IdxFile:
    """An open file of pictures, packed by gzip or not; a context manager.

    Parameters
    ----------
    path : path of the file.

    Attributes
    ----------
    n_pictures, height, width : as its header says.

    Raises
    ------
    SignalError : not such a file, too large, or its header promises more or less than the file holds.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._values = _Values(os.fspath(path), n_axes=3)
        self.n_pictures, self.height, self.width = self._values.shape

    def __enter__(self) -> IdxFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._values.close()

    def picture(self, index: int) -> np.ndarray:
        """The picture of that index, from 0: uint8, shape (height, width).

        Ascending indices are read in one pass.

        Raises
        ------
        SignalError : the file ends before it, or has fewer pictures.
        """
        if not 0 <= index < self.n_pictures:
            raise SignalError(f"{self._values.path}: no picture {index + 1} among {self.n_pictures}")
        return self._values.read(index, 1).reshape(self.height, self.width)

    def blocks(self) -> Iterator[np.ndarray]:
        """All pictures in order, about a megabyte at a time: uint8, shape (n, height, width).

        Raises
        ------
        SignalError : the file ends before the last picture, goes on after it, or is damaged.
        """
        at_once = max(BLOCK_BYTES // (self.height * self.width), 1)
        for first in range(0, self.n_pictures, at_once):
            yield self._values.read(first, min(at_once, self.n_pictures - first))
        self._values.require_end()


def read_labels(path: str | os.PathLike[str]) -> np.ndarray:
    """The labels of a file of labels: uint8, shape (n_pictures,).

    Raises
    ------
    SignalError : not such a file, or damaged.
    """
    with contextlib.closing(_Values(os.fspath(path), n_axes=1)) as values:
        labels = values.read(0, values.shape[0])
        values.require_end()
        return labels


def index_of(path: str, trial: object) -> int | None:
    """The index, from 0, of the picture that a manifest's ``trial``, counted from 1, names in an idx file.

    None for any other file, and where the trial is no such number.
    """
    name = str(trial or "")
    return int(name) - 1 if is_idx(path) and name.isascii() and name.isdecimal() else None


def digest_of(picture: np.ndarray) -> str:
    """Identify a picture by its pixels, whatever file holds it: 16 hex digits."""
    size = ",".join(map(str, picture.shape)).encode()
    return blake2b(size + b":" + picture.tobytes(), digest_size=DIGEST_BYTES).hexdigest()


class _Values:
    """The values of an idx file of unsigned bytes, and the shape that its header promises."""

    def __init__(self, path: str, n_axes: int) -> None:
        self.path = path
        with contextlib.ExitStack() as stack:
            raw = stack.enter_context(open_file(path))
            n_bytes = raw.seek(0, os.SEEK_END)
            raw.seek(0)
            is_packed = raw.read(len(GZIP)) == GZIP
            raw.seek(0)
            self._file: BinaryIO | gzip.GzipFile = raw
            if is_packed:
                self._file = stack.enter_context(gzip.GzipFile(fileobj=raw))
            self._n_header = 4 + 4 * n_axes
            self.shape = self._read_header(n_axes)
            self._check_size(n_bytes, is_packed)
            self._resources = stack.pop_all()

    def close(self) -> None:
        """Close the file."""
        self._resources.close()

    def read(self, first: int, n: int) -> np.ndarray:
        """Items from the first on, shape (n, ...).

        Raises
        ------
        SignalError : the file ends before, or is damaged.
        """
        each = math.prod(self.shape[1:])
        with self._damage():
            self._file.seek(self._n_header + first * each)
            content = self._file.read(n * each)
        if len(content) < n * each:
            n_whole = first + len(content) // each
            raise SignalError(f"{self.path}: cut off after {n_whole} of {self.shape[0]} items")
        return np.frombuffer(content, np.uint8).reshape(n, *self.shape[1:])

    def require_end(self) -> None:
        """Raise a SignalError if anything follows what was read last, or the checksum of gzip is wrong."""
        with self._damage():
            if self._file.read(1):
                raise SignalError(f"{self.path}: holds more than the {self.shape[0]} items of its header")

    def _read_header(self, n_axes: int) -> tuple[int, ...]:
        with self._damage():
            header = self._file.read(self._n_header)
        zeros, kind, axes = header[:2], header[2:3], header[3:4]
        if len(header) < self._n_header or zeros != b"\0\0" or axes[0] != n_axes:
            what = "pictures (idx3)" if n_axes > 1 else "labels (idx1)"
            raise SignalError(f"{self.path}: not an idx file of {what} (first bytes are {header[:4]!r})")
        if kind[0] != UNSIGNED_BYTE:
            raise SignalError(f"{self.path}: its values are not unsigned bytes (type {kind.hex()})")
        return tuple(int(size) for size in np.frombuffer(header[4:], ">u4"))

    def _check_size(self, n_bytes: int, is_packed: bool) -> None:
        n, *sides = self.shape
        promised = math.prod(self.shape)
        size = " x ".join(map(str, self.shape))
        if n == 0 or 0 in sides:
            raise SignalError(f"{self.path}: empty: its header promises {size} values")
        if n > MOST_PICTURES or max(sides, default=1) > LARGEST_SIDE or promised > MOST_BYTES:
            raise SignalError(f"{self.path}: too large, or damaged: its header promises {size} values")
        most = n_bytes * MOST_EXPANDED if is_packed else n_bytes - self._n_header
        if promised > most:
            raise SignalError(f"{self.path}: cut off: its header promises {size} values")
        if not is_packed and promised < most:
            raise SignalError(f"{self.path}: holds more than the {size} values of its header")

    @contextlib.contextmanager
    def _damage(self) -> Iterator[None]:
        """Name the file in errors of unpacking."""
        try:
            yield
        except EOFError:
            raise SignalError(f"{self.path}: cut off: its packed data end too early") from None
        except (OSError, zlib.error) as error:
            raise SignalError(f"{self.path}: damaged ({error})") from None

"""The elements of MATLAB files of version 5, read with bounds; some are compressed.

No size in the file is trusted: every element must lie within its parent, and memory grows with the bytes
read, not with the sizes claimed.

Reference: MathWorks, MAT-File Format, chapter 1.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from eavctl.errors import SignalError

PIECE = 1 << 20
MOST_FIELD_NAMES, LONGEST_FIELD_NAME = 1 << 14, 64  # bytes

MATRIX, COMPRESSED, UINT32, INT32, INT8 = 14, 15, 6, 5, 1
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}


class DamagedError(Exception):
    """The bytes do not follow the format; the message says why."""


@contextmanager
def clear_errors(path: str) -> Iterator[None]:
    """Convert a `DamagedError` or OSError to a SignalError that names the file."""
    try:
        yield
    except DamagedError as error:
        raise SignalError(f"{path}: damaged, or not a MATLAB file: {error}") from None
    except OSError as error:
        raise SignalError(f"{path}: cannot be read ({error.strerror or error})") from None


@dataclass
class Reader:
    """Reader of the content of one element, from ``start`` to ``end`` in the file, compressed or not.

    Offsets count unpacked bytes. Compressed content is unpacked only as far as it is read; reading backwards
    unpacks it from the start again.
    """

    file: BinaryIO
    start: int
    end: int
    is_packed: bool
    _unpacked: int = 0
    _packed_at: int = -1
    _inflater: zlib._Decompress = field(default_factory=zlib.decompressobj)

    def read(self, offset: int, count: int) -> bytes:
        """Read exactly ``count`` bytes.

        Raises
        ------
        DamagedError : there are fewer.
        """
        if not self.is_packed:
            if count > self.end - self.start - offset:
                raise DamagedError("the file ends too early, or a size in it is wrong")
            self.file.seek(self.start + offset)
            return self._found(self.file.read(count), count)
        if offset < self._unpacked or self._packed_at < 0:
            self._unpacked, self._packed_at, self._inflater = 0, self.start, zlib.decompressobj()
        while self._unpacked < offset:
            self._inflate(offset - self._unpacked)
        found = bytearray()  # grows with the bytes read, not to the size claimed
        while len(found) < count:
            found += self._inflate(count - len(found))
        return bytes(found)

    def _inflate(self, most: int) -> bytes:
        """Unpack at least one byte and at most ``most`` bytes."""
        while not self._inflater.eof:
            packed = self._inflater.unconsumed_tail
            if not packed:
                self.file.seek(self._packed_at)
                packed = self.file.read(min(PIECE, self.end - self._packed_at))
                self._packed_at += len(packed)
            try:
                found = self._inflater.decompress(packed, min(most, PIECE))
            except zlib.error as error:
                raise DamagedError(f"its compressed data are damaged ({error})") from None
            if found:
                self._unpacked += len(found)
                return found
            if not packed:
                break
        raise DamagedError("its compressed data end too early")

    @staticmethod
    def _found(content: bytes, count: int) -> bytes:
        if len(content) < count:
            raise DamagedError("the file ends too early")
        return content


@dataclass
class Elements:
    """A sequence of elements from ``offset`` to ``end``, read one after the other."""

    reader: Reader
    order: str
    offset: int
    end: int

    def tag(self) -> tuple[int, int, int]:
        """Read the tag of the next element: its kind, its length, and 4 for a small element, else 0.

        A small element has up to 4 bytes of content, which are the second half of its tag.
        """
        if self.offset + 8 > self.end:
            raise DamagedError("an element reaches beyond its variable")
        first, second = struct.unpack(f"{self.order}II", self.reader.read(self.offset, 8))
        self.offset += 8
        if first >> 16:
            length = first >> 16
            if length > 4:
                raise DamagedError(f"a small element claims {length} bytes")
            return first & 0xFFFF, length, 4
        return first, second, 0

    def content(self, length: int, small: int) -> bytes:
        """Read the content of the element whose tag was just read."""
        start = self.offset - small
        if start + length > self.end:
            raise DamagedError("an element reaches beyond its variable")
        self.offset += 0 if small else -(-length // 8) * 8
        return self.reader.read(start, length)

    def values(self, kind: int, most: int) -> np.ndarray:
        """Read a whole element, which must be of ``kind`` and hold at most ``most`` bytes."""
        found, length, small = self.tag()
        dtype = np.dtype(self.order + STORED[kind])
        if found != kind or not length <= most or length % dtype.itemsize:
            raise DamagedError(f"an element of kind {found} and {length} bytes, but kind {kind} is expected")
        return np.frombuffer(self.content(length, small), dtype)

    def field_names(self) -> list[str]:
        """Read the names of a structure's fields, all padded to the same number of bytes."""
        (length,) = self.values(INT32, 4).tolist() or (0,)
        names = self.values(INT8, MOST_FIELD_NAMES).tobytes()
        if not 0 < length <= LONGEST_FIELD_NAME or len(names) % length:
            raise DamagedError(f"field names of {length} bytes each in {len(names)} bytes")
        fields = (names[start : start + length] for start in range(0, len(names), length))
        return [field.split(b"\0")[0].decode("latin-1") for field in fields]

    def matrix(self) -> tuple[int, int]:
        """Skip the next variable; return the start and end of its content, equal if it is empty."""
        kind, length, small = self.tag()
        if kind != MATRIX or small or length > self.end - self.offset:
            raise DamagedError(f"an element of kind {kind} and {length} bytes in a structure")
        start, self.offset = self.offset, self.offset + length
        return start, self.offset

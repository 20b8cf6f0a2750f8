"""MATLAB files of version 5: elements, some of them compressed, parsed from a stream of bytes.

Reference: MathWorks, MAT-File Format, chapter 1.
"""

from __future__ import annotations

import math
import os
import zlib
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from eavctl.errors import SignalError
from eavctl.signals.matlab import LARGEST_SLAB, MatFile, Variable, refuse_trap

HEADER_BYTES, VERSION = 128, 0x0100
BYTE_ORDERS = {b"IM": "<", b"MI": ">"}
PIECE, GROUP_BYTES = 1 << 20, 4 << 20
MOST_DIMS, MOST_NAME, MOST_ELEMENTS = 32, 4096, 10_000

MATRIX, COMPRESSED, UINT32, INT32, INT8 = 14, 15, 6, 5, 1
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
LOGICAL, COMPLEX = 0x0200, 0x0800


class _DamagedError(Exception):
    """The bytes are not what the format says; the text says why."""


@dataclass
class _Reader:
    """The content of one element, which lies in the file from ``start`` to ``end``, compressed or not.

    Offsets count unpacked bytes. Compressed content is unpacked no further than it is asked for; going back
    starts again.
    """

    file: BinaryIO
    start: int
    end: int
    is_packed: bool
    _unpacked: int = 0
    _packed_at: int = -1
    _inflater: zlib._Decompress = field(default_factory=zlib.decompressobj)

    def read(self, offset: int, count: int) -> bytes:
        """Exactly ``count`` bytes.

        Raises
        ------
        _DamagedError : there are fewer.
        """
        if not self.is_packed:
            if count > self.end - self.start - offset:
                raise _DamagedError("the file ends too early, or a size in it is wrong")
            self.file.seek(self.start + offset)
            return self._found(self.file.read(count), count)
        if offset < self._unpacked or self._packed_at < 0:
            self._unpacked, self._packed_at, self._inflater = 0, self.start, zlib.decompressobj()
        while self._unpacked < offset:
            self._inflate(offset - self._unpacked)
        found = bytearray()  # grows with what really comes, whatever was claimed
        while len(found) < count:
            found += self._inflate(count - len(found))
        return bytes(found)

    def _inflate(self, most: int) -> bytes:
        """At least one byte and no more than ``most``."""
        while not self._inflater.eof:
            packed = self._inflater.unconsumed_tail
            if not packed:
                self.file.seek(self._packed_at)
                packed = self.file.read(min(PIECE, self.end - self._packed_at))
                self._packed_at += len(packed)
            try:
                found = self._inflater.decompress(packed, min(most, PIECE))
            except zlib.error as error:
                raise _DamagedError(f"its compressed part is damaged ({error})") from None
            if found:
                self._unpacked += len(found)
                return found
            if not packed:
                break
        raise _DamagedError("its compressed part ends too early")

    @staticmethod
    def _found(content: bytes, count: int) -> bytes:
        if len(content) < count:
            raise _DamagedError("the file ends too early")
        return content


@dataclass(frozen=True)
class _Array(Variable):
    """A numeric array: ``offset`` bytes into its element, its values as ``stored``, first axis fastest."""

    reader: _Reader
    stored: np.dtype[np.generic]
    offset: int

    def block_length(self, axis: int) -> int:
        fitting = self.slabs_that_fit(axis)
        return 1 if self._lies_last(axis) else fitting

    def block(self, axis: int, start: int, stop: int) -> np.ndarray:
        before, after = self.shape[:axis], self.shape[axis + 1 :]
        if not math.prod(self.shape):
            return np.empty((*before, stop - start, *after), self.dtype)
        read = self._contiguous if self._lies_last(axis) else self._strided
        try:
            slabs = read(axis, start, stop)
        except _DamagedError as error:
            raise SignalError(f"{self.path}: damaged: {error} (in {self.name!r})") from None
        except OSError as error:
            raise SignalError(f"{self.path}: {self.name!r} cannot be read ({error})") from None
        return np.moveaxis(slabs.reshape(stop - start, *after[::-1], *before[::-1]).T, -1, axis)

    def _lies_last(self, axis: int) -> bool:
        return math.prod(self.shape[axis + 1 :]) == 1

    def _contiguous(self, axis: int, start: int, stop: int) -> np.ndarray:
        """Slabs one after the other, as they lie in the file."""
        size = math.prod(self.shape[:axis]) * self.stored.itemsize
        content = self.reader.read(self.offset + start * size, (stop - start) * size)
        return np.frombuffer(content, self.stored).astype(self.dtype)

    def _strided(self, axis: int, start: int, stop: int) -> np.ndarray:
        """Slabs one after the other, each put together from a part of every row that holds the axis."""
        before, after = math.prod(self.shape[:axis]), math.prod(self.shape[axis + 1 :])
        row_bytes = before * self.shape[axis] * self.stored.itemsize
        if row_bytes > LARGEST_SLAB:
            raise _DamagedError("parts along this axis lie too far apart; save it with that axis last")
        group = max(GROUP_BYTES // row_bytes, 1)
        slabs = np.empty((stop - start, after, before), self.dtype)
        for first in range(0, after, group):
            n_rows = min(group, after - first)
            content = self.reader.read(self.offset + first * row_bytes, n_rows * row_bytes)
            rows = np.frombuffer(content, self.stored).reshape(n_rows, -1, before)
            slabs[:, first : first + n_rows] = rows[:, start:stop].swapaxes(0, 1)
        return slabs


class Matlab5File(MatFile):
    """A file of version 5; see `eavctl.signals.matlab.open_mat`."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        try:
            self._file = open(path, "rb")  # noqa: SIM115  # closed by close()
        except OSError as error:
            raise SignalError(f"{path}: cannot be opened ({error.strerror})") from None
        try:
            self._scan()
        except _DamagedError as error:
            self.close()
            raise SignalError(f"{path}: damaged, or no MATLAB file: {error}") from None
        except OSError as error:
            self.close()
            raise SignalError(f"{path}: cannot be read ({error.strerror})") from None
        except SignalError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        super().close()
        self._file.close()

    def _scan(self) -> None:
        header = self._file.read(HEADER_BYTES)
        order = BYTE_ORDERS.get(header[126:128])
        if order is None or int.from_bytes(header[124:126], "little" if order == "<" else "big") != VERSION:
            raise SignalError(
                f"{self.path}: not a MATLAB file of version 5 or 7.3 (first bytes are {header[:12]!r}); "
                "save it with -v7 or -v7.3"
            )
        size = os.fstat(self._file.fileno()).st_size
        at = HEADER_BYTES
        for _ in range(MOST_ELEMENTS):
            if at >= size:
                return
            tag = np.frombuffer(_Reader(self._file, at, size, False).read(0, 8), f"{order}u4")
            kind, length = int(tag[0]), int(tag[1])
            if kind not in (MATRIX, COMPRESSED):
                raise _DamagedError(f"an element of unknown kind {kind} at byte {at}")
            if length > size - at - 8:
                raise _DamagedError(f"its element at byte {at} is cut short, {length} bytes are claimed")
            self._add(_Reader(self._file, at + 8, at + 8 + length, kind == COMPRESSED), order)
            at += 8 + length
        raise _DamagedError(f"more than {MOST_ELEMENTS} variables")

    def _add(self, reader: _Reader, order: str) -> None:
        """Take the variable of an element among the arrays, if it is one."""
        elements = _Elements(reader, order)
        length = reader.end - reader.start
        if reader.is_packed:
            kind, length, _ = elements.tag()
            if kind != MATRIX:
                raise _DamagedError(f"a compressed element of unknown kind {kind}")
            refuse_trap(self.path, "", length, reader.end - reader.start)
            length += elements.offset
        flags = elements.values(UINT32, 8)
        if len(flags) != 2:
            raise _DamagedError("a variable without flags")
        mat_class = int(flags[0]) & 0xFF
        if mat_class not in CLASSES:
            return
        dims = tuple(int(n) for n in elements.values(INT32, 4 * MOST_DIMS))
        name = elements.values(INT8, MOST_NAME).tobytes().decode("latin-1")
        stored_kind, claimed, small = elements.tag()
        if len(dims) < 2 or min(dims) < 0 or stored_kind not in STORED:
            raise _DamagedError(f"{name!r} has dimensions {dims} and values of kind {stored_kind}")
        stored, dtype = np.dtype(order + STORED[stored_kind]), np.dtype(CLASSES[mat_class])
        if stored.itemsize > dtype.itemsize:
            raise _DamagedError(
                f"{name!r} has values of {stored.itemsize} bytes in a class of {dtype.itemsize}"
            )
        needed = math.prod(dims) * stored.itemsize
        if needed != claimed or elements.offset - small + claimed > length:
            raise _DamagedError(f"{name!r} of shape {dims} needs {needed} bytes, and {claimed} are claimed")
        if name and not int(flags[0]) & COMPLEX:
            offset = elements.offset - small
            dtype = np.dtype(bool) if int(flags[0]) & LOGICAL and dtype.itemsize == 1 else dtype
            self._variables[name] = _Array(self.path, name, dims, dtype, reader, stored, offset)


@dataclass
class _Elements:
    """Small elements of a variable's head, one after the other."""

    reader: _Reader
    order: str
    offset: int = 0

    def tag(self) -> tuple[int, int, int]:
        """Kind and length of the element that starts here, and by how much its content lies before its end.

        A small element has its content of up to four bytes inside the tag's second half.
        """
        first, second = np.frombuffer(self.reader.read(self.offset, 8), f"{self.order}u4")
        self.offset += 8
        if int(first) >> 16:
            length = int(first) >> 16
            if length > 4:
                raise _DamagedError(f"a small element claims {length} bytes")
            return int(first) & 0xFFFF, length, 4
        return int(first), int(second), 0

    def values(self, kind: int, most: int) -> np.ndarray:
        """The content of a whole element that must be of ``kind`` and hold at most ``most`` bytes."""
        found, length, small = self.tag()
        dtype = np.dtype(self.order + STORED[kind])
        if found != kind or not length <= most or length % dtype.itemsize:
            raise _DamagedError(f"an element of kind {found} and {length} bytes where {kind} is expected")
        content = self.reader.read(self.offset - small, length)
        self.offset += 0 if small else -(-length // 8) * 8
        return np.frombuffer(content, dtype)

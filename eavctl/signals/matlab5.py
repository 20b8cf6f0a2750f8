"""MATLAB files of version 5: numeric arrays, and structures of them and of text.

Reference: MathWorks, MAT-File Format, chapter 1.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from typing import BinaryIO

import numpy as np

from eavctl.errors import SignalError
from eavctl.signals.mat_file import LARGEST_SLAB, MatFile, Variable, check_expansion
from eavctl.signals.matlab5_elements import (
    COMPRESSED,
    INT8,
    INT32,
    MATRIX,
    STORED,
    UINT32,
    DamagedError,
    Elements,
    Reader,
    clear_errors,
)

HEADER_BYTES, VERSION = 128, 0x0100
BYTE_ORDERS = {b"IM": "<", b"MI": ">"}
GROUP_BYTES = 4 << 20
MOST_DIMS, MOST_NAME, MOST_ELEMENTS = 32, 4096, 10_000
MOST_STRUCT_VALUES = 2_000_000  # a hundred thousand events of twenty fields
BYTES_OF_EMPTY = 8  # of a field without a value

STRUCT, CHAR = 2, 4
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}  # by kind of element
LOGICAL, COMPLEX = 0x0200, 0x0800


@dataclass(frozen=True)
class _Array(Variable):
    """A numeric array: values of type ``stored``, ``offset`` bytes into its element, first axis fastest."""

    reader: Reader
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
        except DamagedError as error:
            raise SignalError(f"{self.path}: damaged: {error} (in {self.name!r})") from None
        except OSError as error:
            raise SignalError(f"{self.path}: {self.name!r} cannot be read ({error})") from None
        return np.moveaxis(slabs.reshape(stop - start, *after[::-1], *before[::-1]).T, -1, axis)

    def _lies_last(self, axis: int) -> bool:
        return math.prod(self.shape[axis + 1 :]) == 1

    def _contiguous(self, axis: int, start: int, stop: int) -> np.ndarray:
        """Read slabs that are contiguous in the file."""
        size = math.prod(self.shape[:axis]) * self.stored.itemsize
        content = self.reader.read(self.offset + start * size, (stop - start) * size)
        return np.frombuffer(content, self.stored).astype(self.dtype)

    def _strided(self, axis: int, start: int, stop: int) -> np.ndarray:
        """Read slabs that are not contiguous, each gathered from a part of every row that holds the axis."""
        before, after = math.prod(self.shape[:axis]), math.prod(self.shape[axis + 1 :])
        row_bytes = before * self.shape[axis] * self.stored.itemsize
        if row_bytes > LARGEST_SLAB:
            raise DamagedError("slabs along this axis are too far apart; save it with that axis last")
        group = max(GROUP_BYTES // row_bytes, 1)
        slabs = np.empty((stop - start, after, before), self.dtype)
        for first in range(0, after, group):
            n_rows = min(group, after - first)
            content = self.reader.read(self.offset + first * row_bytes, n_rows * row_bytes)
            rows = np.frombuffer(content, self.stored).reshape(n_rows, -1, before)
            slabs[:, first : first + n_rows] = rows[:, start:stop].swapaxes(0, 1)
        return slabs


def plain_array(path: str, file: BinaryIO, shape: tuple[int, ...], stored: np.dtype[np.generic]) -> Variable:
    """A binary file of numbers without a header, first axis fastest, as an array of MATLAB."""
    size = math.prod(shape) * stored.itemsize
    return _Array(path, "data", shape, stored.newbyteorder("="), Reader(file, 0, size, False), stored, 0)


@dataclass(frozen=True)
class Node:
    """A variable, or a field of a structure, of which only the header is read.

    Parameters
    ----------
    path : path of the file, for errors.
    reader : reader of the element that holds it.
    order : byte order, ``<`` or ``>``.
    start, end : range of its content in the reader, bytes.
    mat_class, flags : class and flags, as numbered in the format.
    dims, name : dimensions and name; empty for classes that are not read (cells, objects, sparse matrices).
    """

    path: str
    reader: Reader
    order: str
    start: int
    end: int
    mat_class: int
    flags: int
    dims: tuple[int, ...] = ()
    name: str = ""

    @classmethod
    def at(cls, path: str, reader: Reader, order: str, start: int, end: int) -> Node:
        """Read the header of the variable from ``start`` to ``end``.

        Raises
        ------
        DamagedError : the bytes are not a variable.
        """
        elements = Elements(reader, order, start, end)
        flags = elements.values(UINT32, 8)
        if len(flags) != 2:
            raise DamagedError("a variable without flags")
        mat_class = int(flags[0]) & 0xFF
        found = cls(path, reader, order, elements.offset, end, mat_class, int(flags[0]))
        if mat_class not in CLASSES and mat_class not in (STRUCT, CHAR):
            return found
        dims = tuple(int(n) for n in elements.values(INT32, 4 * MOST_DIMS))
        name = elements.values(INT8, MOST_NAME).tobytes().decode("latin-1")
        if len(dims) < 2 or min(dims) < 0:
            raise DamagedError(f"{name!r} has dimensions {dims}")
        return replace(found, start=elements.offset, dims=dims, name=name)

    @property
    def size(self) -> int:
        """Number of values, characters or structures."""
        return math.prod(self.dims) if self.dims else 0

    def in_memory(self) -> Node:
        """Copy of the node with its content in memory, for structures of many small fields.

        Raises
        ------
        DamagedError : the content is too large.
        """
        length = self.end - self.start
        if length > LARGEST_SLAB:
            raise DamagedError(f"a structure of {length >> 20} MB, more than {LARGEST_SLAB >> 20} MB")
        content = BytesIO(self.reader.read(self.start, length))
        return replace(self, reader=Reader(content, 0, length, False), start=0, end=length)

    def array(self) -> _Array:
        """The node as a numeric array, whose values are read later.

        Raises
        ------
        DamagedError : not an array of real numbers, or its size does not fit its dimensions.
        """
        if self.mat_class not in CLASSES or self.flags & COMPLEX:
            raise DamagedError(f"{self.name!r} is not an array of real numbers")
        elements = Elements(self.reader, self.order, self.start, self.end)
        stored_kind, claimed, small = elements.tag()
        if stored_kind not in STORED:
            raise DamagedError(f"{self.name!r} has values of kind {stored_kind}")
        stored, dtype = np.dtype(self.order + STORED[stored_kind]), np.dtype(CLASSES[self.mat_class])
        if stored.itemsize > dtype.itemsize or (stored.kind == "f" and dtype.kind != "f"):
            raise DamagedError(
                f"{self.name!r} has values of {stored.itemsize} bytes in a class of {dtype.itemsize}"
            )
        needed, offset = self.size * stored.itemsize, elements.offset - small
        if needed != claimed or offset + claimed > self.end:
            raise DamagedError(
                f"{self.name!r} of shape {self.dims} needs {needed} bytes, but {claimed} are claimed"
            )
        if self.flags & LOGICAL and dtype.itemsize == 1:
            dtype = np.dtype(bool)
        return _Array(self.path, self.name, self.dims, dtype, self.reader, stored, offset)

    def number(self) -> float:
        """The node as a single number; NaN if it is empty.

        Raises
        ------
        DamagedError : not a number, or several.
        """
        if not self.size:
            return math.nan
        if self.size > 1:
            raise DamagedError(f"{self.name!r} has {self.dims} values, but one number is expected")
        array = self.array()
        (value,) = np.frombuffer(self.reader.read(array.offset, array.stored.itemsize), array.stored)
        return float(value)

    def text(self) -> str:
        """The node as a line of text, stripped; ``?`` replaces characters that cannot be printed.

        Raises
        ------
        DamagedError : not text, several lines, or more than 4096 bytes.
        """
        if self.mat_class != CHAR or (self.size and self.size != self.dims[1]):
            raise DamagedError(f"{self.name!r} is not a line of text (class {self.mat_class}, {self.dims})")
        elements = Elements(self.reader, self.order, self.start, self.end)
        kind, length, small = elements.tag()
        if kind not in ENCODINGS or length > MOST_NAME:
            raise DamagedError(f"{self.name!r} is text of kind {kind} and {length} bytes")
        content = elements.content(length, small)
        encoding = ENCODINGS[kind]
        if encoding == "utf-16":
            encoding += "-le" if self.order == "<" else "-be"
        found = content.decode(encoding, "replace").strip(" \0")
        return "".join(character if character.isprintable() else "?" for character in found)

    def word(self) -> str:
        """The node, text or number, as a string; whole numbers without a fraction.

        Raises
        ------
        DamagedError : neither a line of text nor a single number.
        """
        if self.mat_class not in CLASSES:
            return self.text()
        if not self.size:
            return ""
        number = self.number()
        return str(int(number)) if number.is_integer() else str(number)

    def structs(self, wanted: Collection[str]) -> Iterator[dict[str, Node]]:
        """Yield each structure of an array, with the ``wanted`` fields that are not empty.

        Raises
        ------
        DamagedError : not an array of structures, or its fields reach beyond it.
        """
        if self.mat_class != STRUCT:
            raise DamagedError(f"{self.name!r} is not a structure")
        elements = Elements(self.reader, self.order, self.start, self.end)
        names = elements.field_names()
        max_values = (self.end - elements.offset) // BYTES_OF_EMPTY
        if self.size * max(len(names), 1) > min(max_values, MOST_STRUCT_VALUES):
            raise DamagedError(f"{self.name!r}: {self.dims} structures of {len(names)} fields do not fit")
        for _ in range(self.size):
            fields = {}
            for name in names:
                start, end = elements.matrix()
                if name in wanted and end > start:
                    node = Node.at(self.path, self.reader, self.order, start, end)
                    fields[name] = replace(node, name=name)
            yield fields


class Matlab5File(MatFile):
    """A file of version 5; see `eavctl.signals.matlab.open_mat`.

    ``nodes`` holds all its variables by name, also those that are not numeric arrays.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.nodes: dict[str, Node] = {}
        try:
            self._file = open(path, "rb")  # noqa: SIM115  # closed by close()
        except OSError as error:
            raise SignalError(f"{path}: cannot be opened ({error.strerror})") from None
        try:
            with clear_errors(path):
                self._scan()
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
            tag = np.frombuffer(Reader(self._file, at, size, False).read(0, 8), f"{order}u4")
            kind, length = int(tag[0]), int(tag[1])
            if kind not in (MATRIX, COMPRESSED):
                raise DamagedError(f"an element of unknown kind {kind} at byte {at}")
            if length > size - at - 8:
                raise DamagedError(f"its element at byte {at} is cut short; it claims {length} bytes")
            self._add(Reader(self._file, at + 8, at + 8 + length, kind == COMPRESSED), order)
            at += 8 + length
        raise DamagedError(f"more than {MOST_ELEMENTS} variables")

    def _add(self, reader: Reader, order: str) -> None:
        """Add the variable of an element to the nodes, and to the variables if it is a numeric array."""
        start, end = 0, reader.end - reader.start
        if reader.is_packed:
            elements = Elements(reader, order, 0, 8)
            kind, length, _ = elements.tag()
            if kind != MATRIX:
                raise DamagedError(f"a compressed element of unknown kind {kind}")
            check_expansion(self.path, "", length, end)
            start, end = 8, 8 + length
        node = Node.at(self.path, reader, order, start, end)
        if not node.name:
            return
        self.nodes[node.name] = node
        if node.mat_class in CLASSES and not node.flags & COMPLEX:
            self._variables[node.name] = node.array()

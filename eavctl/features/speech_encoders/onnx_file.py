"""The constant tensors of an ONNX file, read without the package ``onnx``.

An ONNX file is a protocol buffer: a sequence of fields, each a number that gives its name and type, and a
value. Only the fields that hold constants are read, and only those types of them that are needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

GRAPH, INITIALIZER = 7, 5  # fields of the model, and of the graph
DIMS, DTYPE, FLOATS, NAME, RAW = 1, 2, 4, 8, 9  # fields of a tensor
DTYPES = {1: "<f4", 3: "i1", 6: "<i4"}
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # types of a field
LONGEST_VARINT = 10  # bytes

Value = int | memoryview


def initializers(content: bytes) -> dict[str, np.ndarray]:
    """The constants of a model's graph by name, of type float32, int8 or int32; others are left out.

    Parameters
    ----------
    content : the whole file.

    Raises
    ------
    ValueError : not a protocol buffer, cut off, or a constant whose values do not fit its shape.
    """
    graphs = (value for field, value in _fields(memoryview(content)) if field == GRAPH)
    parts = (value for graph in graphs for field, value in _fields(_bytes(graph)) if field == INITIALIZER)
    found = (_tensor(_bytes(part)) for part in parts)
    return dict(each for each in found if each is not None)


def _tensor(content: memoryview) -> tuple[str, np.ndarray] | None:
    dims: list[int] = []
    name, dtype, data = "", 0, memoryview(b"")
    for field, value in _fields(content):
        if field == DIMS:
            dims += [value] if isinstance(value, int) else _varints(value)
        elif field == DTYPE and isinstance(value, int):
            dtype = value
        elif field == NAME:
            name = bytes(_bytes(value)).decode()
        elif field in (FLOATS, RAW):
            data = _bytes(value)
    if dtype not in DTYPES or not data:  # integers that are not raw: zero points
        return None
    kind = np.dtype(DTYPES[dtype])
    if math.prod(dims) * kind.itemsize != len(data):
        raise ValueError(f"{name} has {len(data)} bytes for a shape of {dims}")
    return name, np.frombuffer(data, kind).reshape(dims)


def _fields(content: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        kind = key & 7
        if kind == VARINT:
            value, at = _varint(content, at)
            yield key >> 3, value
            continue
        if kind == BYTES:
            length, at = _varint(content, at)
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"a field of type {kind}")
        if length > len(content) - at:
            raise ValueError("a field ends after the file")
        yield key >> 3, content[at : at + length]
        at += length


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """A whole number, seven bits a byte, and where it ends."""
    number = 0
    for place, byte in enumerate(content[at : at + LONGEST_VARINT]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at + place + 1
    raise ValueError("a number does not end")


def _varints(content: memoryview) -> list[int]:
    numbers, at = [], 0
    while at < len(content):
        number, at = _varint(content, at)
        numbers.append(number)
    return numbers


def _bytes(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where bytes belong")
    return value

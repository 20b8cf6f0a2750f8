"""Protocol buffers: the fields of a message, read without the package ``protobuf``.

A message is a sequence of fields, each a number that gives its name and type, and a value. A value is a whole
number, or bytes: a text, packed numbers, or another message.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # types of a field
LONGEST_VARINT = 10  # bytes

Value = int | memoryview


def fields(content: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field.

    Raises
    ------
    ValueError : not a protocol buffer, or cut off.
    """
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


def varints(content: memoryview) -> list[int]:
    """The whole numbers of a packed field.

    Raises
    ------
    ValueError : the last one is cut off.
    """
    numbers, at = [], 0
    while at < len(content):
        number, at = _varint(content, at)
        numbers.append(number)
    return numbers


def as_bytes(value: Value) -> memoryview:
    """The value of a field that holds bytes.

    Raises
    ------
    ValueError : it holds a number.
    """
    if isinstance(value, int):
        raise ValueError("a number where bytes belong")
    return value


def as_text(value: Value) -> str:
    """The value of a field that holds a text.

    Raises
    ------
    ValueError : it holds a number, or bytes that are no UTF-8.
    """
    return bytes(as_bytes(value)).decode()


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """A whole number, seven bits a byte, and where it ends."""
    number = 0
    for place, byte in enumerate(content[at : at + LONGEST_VARINT]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at + place + 1
    raise ValueError("a number does not end")

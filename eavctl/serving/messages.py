"""Messages between the service and its worker processes: a JSON header and blocks of bytes.

A message is the length of its header (4 bytes, little-endian), the header as JSON, and the blocks, whose
sizes the header has. Nothing is unpickled: a decoder that was taken over by a recording cannot run code in
the service.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import IO, Any, NamedTuple

LENGTH_BYTES = 4


class Message(NamedTuple):
    """A request to a worker, or its reply.

    Parameters
    ----------
    header : JSON-able.
    blocks : such as the content of files.
    """

    header: Mapping[str, Any]
    blocks: Sequence[bytes] = ()

    def to_bytes(self) -> bytes:
        """As it is sent."""
        sizes = [len(block) for block in self.blocks]
        header = json.dumps({**self.header, "sizes": sizes}).encode()
        return b"".join([len(header).to_bytes(LENGTH_BYTES, "little"), header, *self.blocks])


def read(stream: IO[bytes]) -> Message | None:
    """Read a message; None where the stream ends before one begins.

    Raises
    ------
    EOFError : the stream ends within a message.
    """
    length = stream.read(LENGTH_BYTES)
    if not length:
        return None
    header = json.loads(_read_exactly(stream, int.from_bytes(length, "little")))
    return Message(header, [_read_exactly(stream, size) for size in header.pop("sizes")])


def _read_exactly(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content


async def read_async(reader: asyncio.StreamReader) -> Message:
    """Read a message.

    Raises
    ------
    asyncio.IncompleteReadError : the stream ends.
    """
    length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "little")
    header = json.loads(await reader.readexactly(length))
    return Message(header, [await reader.readexactly(size) for size in header.pop("sizes")])

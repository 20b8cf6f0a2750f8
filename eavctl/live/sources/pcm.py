"""Raw audio on stdin: signed 16-bit little-endian samples, as arecord, sox and FFmpeg write them."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from typing import Annotated

import numpy as np

from eavctl.errors import UsageError
from eavctl.live.chunk import Chunk, Clock, Source
from eavctl.live.sources.base import POLL_S, BaseSource
from eavctl.live.sources.uri import Wanted
from eavctl.registry import register
from eavctl.settings import Within

CHUNK_S = 0.02
SAMPLE = np.dtype("<i2")
FULL_SCALE = 32768
# What a pipe holds at the begin was captured while models were loading. From then on a program that writes a
# file, not a device, is held back to the speed of the clock; a device's may be fast by much less than 0.1 %.
BACKLOG_S, FASTEST = 3.0, 1.001


class PcmStream(BaseSource):
    """Samples from an open file descriptor; they have no stamps, so they are counted.

    Parameters
    ----------
    name : for errors.
    descriptor : of a pipe or a file.
    rate : samples a second.
    channels : they are averaged.
    """

    modality = "audio"
    is_recorded = True  # a pipe holds what is not read yet: nothing of it need be skipped

    def __init__(self, name: str, descriptor: int, rate: float, channels: int) -> None:
        super().__init__(name)
        self.rate = rate
        self._descriptor, self._channels = descriptor, channels

    def chunks(self, clock: Clock, begin: float) -> Iterator[Chunk]:
        """See `eavctl.live.chunk.Source`; a sample was captured when it was read, at the latest."""
        began, n_given = None, 0
        for content in self._blocks(self._channels * SAMPLE.itemsize):
            samples = (
                np.frombuffer(content, SAMPLE).reshape(-1, self._channels).mean(axis=1, dtype=np.float32)
            )
            seconds = len(samples) / self.rate
            began = clock.now() - seconds if began is None else began
            n_given += len(samples)
            self._wait_until(clock, began + n_given / self.rate / FASTEST)
            yield Chunk(samples / np.float32(FULL_SCALE), clock.now() - seconds)

    def _blocks(self, size: int) -> Iterator[bytes]:
        """Samples of so many bytes: what the pipe holds, and then blocks of 20 ms."""
        block, n_wanted, wait_s = b"", size * round(BACKLOG_S * self.rate), 0.0
        while not self._closed.is_set():
            found = self._read(n_wanted - len(block), wait_s)
            if found is None and wait_s:
                continue
            block += found or b""
            if not found or len(block) == n_wanted:
                n_whole = len(block) // size * size
                if n_whole:
                    yield block[:n_whole]
                block = block[n_whole:]
                n_wanted, wait_s = size * max(round(CHUNK_S * self.rate), 1), POLL_S
            if found == b"":
                return

    def _read(self, n_bytes: int, wait_s: float) -> bytes | None:
        """Up to so many bytes; none at the end of the stream, and None where nothing comes in that time."""
        is_ready = select.select([self._descriptor], [], [], wait_s)[0]
        return os.read(self._descriptor, n_bytes) if is_ready else None


@register("live sources", "-", modalities=("audio",))
def open_stdin(
    wanted: Wanted,
    *,
    rate: Annotated[int, Within(1000, 384_000)] = 16000,
    channels: Annotated[int, Within(1, 64)] = 1,
) -> Source:
    """Read raw audio from stdin.

    Parameters
    ----------
    rate : samples a second of each channel.
    channels : number of channels, interleaved.

    Raises
    ------
    UsageError : stdin is a terminal.
    """
    if sys.stdin.isatty():
        raise UsageError(
            f"{wanted.name}: stdin is a terminal; pipe raw audio into it, such as "
            f"'arecord -t raw -f S16_LE -r {rate} -c {channels} | eavctl live --audio -'"
        )
    return PcmStream(wanted.name, sys.stdin.fileno(), rate, channels)

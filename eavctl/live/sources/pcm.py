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
# A program that writes a file, not a device, is held back to the speed of the clock. A pipe may hold 2 s that
# were captured while models were loading, and a device's clock may be fast by much less than 0.1 %.
AHEAD_S, FASTEST = 3.0, 1.001


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

    def __init__(self, name: str, descriptor: int, rate: float, channels: int) -> None:
        super().__init__(name)
        self.rate = rate
        self._descriptor, self._channels = descriptor, channels

    def chunks(self, clock: Clock, begin: float) -> Iterator[Chunk]:
        """See `eavctl.live.chunk.Source`; a sample was captured when it was read, at the latest."""
        size = self._channels * SAMPLE.itemsize
        started, n_given = clock.now(), 0
        for content in self._blocks(size * max(round(CHUNK_S * self.rate), 1)):
            whole = content[: len(content) // size * size]
            samples = np.frombuffer(whole, SAMPLE).reshape(-1, self._channels).mean(axis=1, dtype=np.float32)
            if not len(samples):
                return
            yield Chunk(samples / np.float32(FULL_SCALE), clock.now() - len(samples) / self.rate)
            n_given += len(samples)
            self._wait_until(clock, started + (n_given / self.rate - AHEAD_S) / FASTEST)

    def _blocks(self, size: int) -> Iterator[bytes]:
        """Blocks of that many bytes, and at the end of the stream the rest."""
        block = b""
        while not self._closed.is_set():
            if not select.select([self._descriptor], [], [], POLL_S)[0]:
                continue
            found = os.read(self._descriptor, size - len(block))
            block += found
            if not found or len(block) == size:
                yield block
                block = b""
            if not found:
                return


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

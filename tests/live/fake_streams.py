"""Sources of tests: what they give, at which time, and how it is late; nothing waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from eavctl.live.chunk import Chunk, Picture
from eavctl.live.synchroniser import Synchroniser
from eavctl.live.window import Window

RATE = 1000.0
BLOCK_S = 0.02


class Delivery(NamedTuple):
    """A chunk, and when it arrives."""

    arrival: float
    modality: str
    chunk: Chunk


def sampled(
    modality: str,
    begin: float,
    seconds: float,
    *,
    rate: float = RATE,
    block_s: float = BLOCK_S,
    late: float = 0.0,
    stamp_zero: float | None = 0.0,
    n_chans: int | None = None,
) -> Iterator[Delivery]:
    """Samples that count up from 0, in blocks that arrive when their last sample was captured, or later."""
    size = round(block_s * rate)
    for first in range(0, round(seconds * rate), size):
        values = np.arange(first, first + size, dtype=np.float64)
        data = values.astype(np.float32) if n_chans is None else np.tile(values, (n_chans, 1))
        time = begin + first / rate
        stamp = None if stamp_zero is None else stamp_zero + first / rate
        yield Delivery(time + block_s + late, modality, Chunk(data, time, stamp))


def frames(
    begin: float, seconds: float, *, rate: float = 30.0, late: float = 0.0, modality: str = "video"
) -> Iterator[Delivery]:
    """Frames whose only value is their number."""
    for number in range(round(seconds * rate)):
        time = begin + number / rate
        yield Delivery(time + late, modality, Chunk(picture(number), time, number / rate))


def picture(number: int) -> Picture:
    """A frame whose pixels are its number and the side that was asked for."""
    return lambda side: np.full((2, 2, 3), (number // 256, number % 256, side or 0), np.uint8)


def number_of(pixels: np.ndarray) -> int:
    """The number of a frame, from its pixels."""
    return int(pixels[0, 0, 0]) * 256 + int(pixels[0, 0, 1])


def delivered(*streams: Iterator[Delivery]) -> list[Delivery]:
    """All of several streams, in the order of arrival."""
    return sorted((each for stream in streams for each in stream), key=lambda each: each.arrival)


def run(synchroniser: Synchroniser, deliveries: list[Delivery], poll_s: float = 0.01) -> list[Window]:
    """Push what arrives, poll all the time, and give the windows."""
    windows = []
    now = deliveries[0].arrival if deliveries else 0.0
    for delivery in deliveries:
        while now + poll_s <= delivery.arrival:
            now += poll_s
            windows += _all(synchroniser, now)
        now = delivery.arrival
        synchroniser.push(delivery.modality, delivery.chunk)
        windows += _all(synchroniser, now)
    return windows


def finish(synchroniser: Synchroniser, now: float) -> list[Window]:
    """What comes after all sources ended."""
    return list(_all(synchroniser, now))


def _all(synchroniser: Synchroniser, now: float) -> Iterator[Window]:
    while (window := synchroniser.poll(now)) is not None:
        yield window

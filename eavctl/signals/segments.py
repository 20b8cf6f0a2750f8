"""Where a recording is cut."""

from __future__ import annotations

import math

ROUNDING = 1e-9


def cut(duration: float, seconds: float, hop: float | None = None) -> list[tuple[float, float]]:
    """Start and end, in seconds, of the whole segments of a recording, one every ``hop`` seconds.

    What is left at the end and shorter than a segment is not taken; a recording shorter than one segment
    is one by itself.
    """
    hop = hop or seconds
    count = math.floor((duration - seconds) / hop + ROUNDING) + 1
    if count < 1:
        return [(0.0, duration)]
    return [(i * hop, i * hop + seconds) for i in range(count)]

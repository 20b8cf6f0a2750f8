"""Where a recording is cut, and where the data of a segment lie."""

from __future__ import annotations

import math
from typing import TypeVar

from eavctl.errors import SignalError

ROUNDING = 1e-9
SHORTEST_S, LONGEST_S = 0.01, 100_000  # of a segment, and of a hop
MOST_SEGMENTS = 100_000  # of one recording: a day with a hop of a second
FRAME_S = 0.04  # one frame of film at 25 a second: EEG, sound and film of one take end that far apart

Place = TypeVar("Place", int, float)


def cut(
    duration: float, seconds: float, hop: float | None = None, lack: float = FRAME_S
) -> list[tuple[float, float]]:
    """Start and end, in seconds, of the segments of a recording, one every ``hop`` seconds.

    The last one may end ``lack`` seconds after the recording, so that EEG, sound and film of one take give
    the same segments; its data are those of `first_of`. What is left at the end and shorter than that is not
    taken; a recording that is shorter than one segment is one by itself.

    Raises
    ------
    SignalError : more than 100000 segments.
    """
    hop = hop or seconds
    slack = min(lack, hop / 2, seconds / 2)  # so that no segment repeats the one before it
    count = math.floor((duration - seconds + slack) / hop + ROUNDING) + 1
    if count < 1:
        return [(0.0, duration)]
    if count > MOST_SEGMENTS:
        raise SignalError(
            f"{duration:.0f} s, cut every {hop:g} s, are {count} segments, more than {MOST_SEGMENTS}: "
            "lengthen the hop"
        )
    return [(i * hop, i * hop + seconds) for i in range(count)]


def first_of(start: Place, length: Place, total: Place) -> Place:
    """Where the data of a stretch of a recording begin: at its start, or as near to it as they all fit in.

    In seconds or in samples. Of a stretch that reaches beyond the recording the data are taken that much
    earlier; one that is longer than the recording begins with it.
    """
    return max(min(start, total - length), 0)

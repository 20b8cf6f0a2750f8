"""Start and end of the segments of a recording, and of the data of a segment."""

from __future__ import annotations

import math
from typing import TypeVar

from eavctl.errors import SignalError

ROUNDING = 1e-9
SHORTEST_S, LONGEST_S = 0.01, 100_000  # bounds of segment and hop
MOST_SEGMENTS = 100_000  # of one recording: a day with a hop of a second
FRAME_S = 0.04  # a video frame at 25 fps: EEG, audio and video of one trial differ in length by about this

Place = TypeVar("Place", int, float)


def cut(
    duration: float, seconds: float, hop: float | None = None, lack: float = FRAME_S
) -> list[tuple[float, float]]:
    """Cut a recording into segments.

    The last segment may end up to ``lack`` seconds after the recording, so that EEG, audio and video of one
    trial give the same segments; `first_of` gives the start of its data. A shorter rest at the end is not
    used. A recording shorter than one segment is one segment.

    Parameters
    ----------
    duration : duration of the recording, seconds.
    seconds : duration of a segment.
    hop : seconds from the start of one segment to the next; None is ``seconds``, so that segments adjoin.
    lack : seconds that may be missing at the end of the last segment.

    Returns
    -------
    Start and end of each segment, in seconds.

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
            f"{duration:.0f} s with a hop of {hop:g} s give {count} segments, more than {MOST_SEGMENTS}; "
            "lengthen the hop"
        )
    return [(i * hop, i * hop + seconds) for i in range(count)]


def first_of(start: Place, length: Place, total: Place) -> Place:
    """Start of the data of a segment, in the unit of the arguments: seconds or samples.

    A segment that reaches beyond the end of the recording has data that begin correspondingly earlier; a
    segment longer than the recording has data that begin with it.
    """
    return max(min(start, total - length), 0)

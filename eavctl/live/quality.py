"""Quality of live inference: what is taken of the sources."""

from __future__ import annotations

from typing import NamedTuple


class Quality(NamedTuple):
    """What is taken of the sources.

    Parameters
    ----------
    frames : video frames a window.
    side : longest side of the pictures in pixels; None: as the camera gives them.
    hop : seconds from one window to the next.
    dropped : modalities that are left out.
    """

    frames: int
    side: int | None
    hop: float
    dropped: tuple[str, ...] = ()

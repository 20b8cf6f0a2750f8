"""Feature set ``scenes``: whole pictures for finding what a phrase describes."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from eavctl.errors import UsageError
from eavctl.registry import register
from eavctl.settings import Within
from eavctl.signals.pictures import Letterbox
from eavctl.signals.video import VideoSpan

UNIT = 8  # pixels; networks cut pictures into patches of a multiple of it
Side = Annotated[int, Within(32, 1024)]  # pixels


def check(size: int) -> None:
    """Raise UsageError for a side that no network cuts into patches."""
    if size % UNIT:
        raise UsageError(f"size must be a multiple of {UNIT} pixels, not {size}")


@register(
    "features",
    "scenes",
    modality="video",
    version=1,
    rate=None,
    columns=None,
    units="RGB, 0 to 255",
    dtype="uint8",
    check=check,
)
def scenes(signal: VideoSpan, rate: float, *, size: Side = 64) -> np.ndarray:
    """A whole picture, scaled into a square with its proportions kept, centred on grey (128).

    Parameters
    ----------
    signal : a picture, which is a video of one frame, or part of a video, whose first frame is taken.
    rate : frame rate; not used.
    size : height and width of the square, in pixels, a multiple of 8.

    Returns
    -------
    uint8, shape (size, size, 3).

    Raises
    ------
    SignalError : the picture cannot be decoded.
    UsageError : a size that is no multiple of 8.
    """
    check(size)
    (picture,) = signal.frames(1)
    height, width = picture.shape[:2]
    return Letterbox(height, width, size).picture(picture)

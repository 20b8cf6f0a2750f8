"""Feature set ``images``: single pictures for networks."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from eavctl.registry import register
from eavctl.settings import Within
from eavctl.signals.pictures import centre_square, cut_out, grey
from eavctl.signals.video import VideoSpan

Side = Annotated[int, Within(1, 1024)]  # pixels
Colour = Literal["grey", "rgb"]


@register(
    "features",
    "images",
    modality="video",
    version=1,
    rate=None,
    columns=None,
    units="grey levels or RGB, 0 to 255",
    dtype="uint8",
)
def images(
    signal: VideoSpan, rate: float, *, size: Side | None = None, colour: Colour | None = None
) -> np.ndarray:
    """The largest central square of a picture; of a video, that of the frame at its start.

    Parameters
    ----------
    signal : a picture, which is a video of one frame, or part of a video.
    rate : frame rate; not used.
    size : height and width of the result in pixels; None: those of the square.
    colour : "grey" for one channel, luma (ITU-R BT.601), or "rgb" for three; None: "rgb".

    Returns
    -------
    uint8, shape (size, size, 1) or (size, size, 3).

    Raises
    ------
    SignalError : the picture cannot be decoded.
    """
    (picture,) = signal.frames(1)
    side = size or min(picture.shape[:2])
    square = (
        picture
        if picture.shape[:2] == (side, side)
        else cut_out(picture, centre_square(picture), (side, side))
    )
    return grey(square)[:, :, None] if colour == "grey" else square

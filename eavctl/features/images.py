"""Feature set ``images``: single pictures for networks."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from eavctl.errors import SignalError
from eavctl.registry import register
from eavctl.settings import Within
from eavctl.signals.endings import is_idx, is_picture
from eavctl.signals.pictures import centre_square, cut_out, grey
from eavctl.signals.video import VideoSpan

Side = Annotated[int, Within(1, 1024)]  # pixels
Colour = Literal["grey", "rgb"]

USUAL_SIDE = 64  # where pictures differ in size
MOST_TAKEN = 256  # larger pictures are not taken in their own size
N_INSPECTED = 50  # files, for their size and colour


def settings_for(files: Sequence[Path], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, with the size and colour of a data set's pictures where they are None.

    The size is that of the pictures if it is the same in up to 50 files, evenly spaced, and at most 256
    pixels, else 64; the colour is grey if all of these are grey.
    """
    step = max(len(files) // N_INSPECTED, 1)
    kinds = set()
    for path in files[::step]:
        with contextlib.suppress(SignalError):  # reading it will fail in the same way
            kinds.add(_side_and_colour(path))
    sides, colours = {side for side, _ in kinds}, {colour for _, colour in kinds}
    fits = len(sides) == 1 and max(sides) <= MOST_TAKEN
    found = {
        "size": sides.pop() if fits else USUAL_SIDE,
        "colour": "grey" if colours == {"grey"} else "rgb",
    }
    return {name: found[name] if value is None else value for name, value in settings.items()}


def _side_and_colour(path: Path) -> tuple[int, Colour]:
    """The side of the central square of a file's pictures, and their colour."""
    if is_idx(path.name):
        from eavctl.signals.idx import IdxFile

        with IdxFile(path) as file:
            return min(file.height, file.width), "grey"
    if is_picture(path.name):
        from eavctl.signals.still import kind_of

        kind = kind_of(path)
        return min(kind.height, kind.width), "grey" if kind.is_grey else "rgb"
    from eavctl.signals.video import open_video

    with open_video(path) as film:
        return min(film.size), "rgb"


@register(
    "features",
    "images",
    modality="video",
    version=1,
    rate=None,
    columns=None,
    units="grey levels or RGB, 0 to 255",
    dtype="uint8",
    settings_for=settings_for,
)
def images(
    signal: VideoSpan, rate: float, *, size: Side | None = None, colour: Colour | None = None
) -> np.ndarray:
    """The largest central square of a picture; of a video, that of the frame at its start.

    Parameters
    ----------
    signal : a picture, which is a video of one frame, or part of a video.
    rate : frame rate; not used.
    size : height and width of the result in pixels; None: those of the square. An extraction fills it in, see
        `settings_for`.
    colour : "grey" for one channel, luma (ITU-R BT.601), or "rgb" for three; None: "rgb". An extraction fills
        it in.

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

"""Feature set ``faces``: pictures of a face for networks."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import numpy as np

from eavctl.errors import UsageError
from eavctl.registry import register
from eavctl.settings import Within
from eavctl.signals.accounts import FIT, PEOPLE
from eavctl.signals.face_alignment import aligned, wide_track
from eavctl.signals.faces import Chooser, Track, detector, follow
from eavctl.signals.pictures import centre_square, cut_out
from eavctl.signals.video import VideoSpan

Crop = Literal["face", "aligned", "frame"]
CROPS = get_args(Crop)
Pictures = Annotated[int, Within(1, 1000)]
Side = Annotated[int, Within(1, 512)]  # pixels

Account = dict[str, float]


@register(
    "features",
    "faces",
    modality="video",
    version=1,
    rate=None,
    columns=None,
    units="RGB, 0 to 255",
    dtype="uint8",
    who=lambda **settings: settings["crop"] != "frame",
)
def faces(
    signal: VideoSpan,
    rate: float,
    choose: Chooser | None = None,
    *,
    n_frames: Pictures = 25,
    size: Side = 56,
    crop: Crop = "face",
    face_model: str | None = None,
) -> tuple[np.ndarray, Account]:
    """Pictures of one person's face, or whole frames, at equally spaced times.

    If there are several faces, the first is the largest, and each later one is the nearest to the last; or
    the one that a chooser prefers is followed. If no face is found, the last one is repeated.

    Parameters
    ----------
    signal : part of a video.
    rate : frame rate; not used, since frames are selected by time.
    choose : how well each face fits what is wanted; None for the largest.
    n_frames : number of pictures.
    size : height and width of the pictures in pixels.
    crop : "face", a square with a margin around the face; "aligned", one in which the eyes are level and
        always at the same place, see `eavctl.signals.face_alignment.aligned`; or "frame", the largest central
        square.
    face_model : path of a YuNet model for face detection; None for MTCNN.

    Returns
    -------
    uint8, shape (n_frames, size, size, 3), RGB, and, with a face, an account: ``faces_found``, the share of
    frames in which the face was found; ``people``, the number of faces that a frame shows together; and, with
    ``choose``, ``fit``, how well the face fits, 0 to 1.

    Raises
    ------
    SignalError : no face in any frame, or no frame can be decoded.
    UsageError : an invalid setting, or the detector is not installed.
    """
    _check_settings(n_frames, size, crop)
    if crop == "frame":
        square = [cut_out(f, centre_square(f), (size, size)) for f in signal.frames(n_frames)]
        return np.array(square), {}
    find = detector(face_model)
    if crop == "aligned":
        track = wide_track(signal.frames(n_frames), find, size, choose)
        return aligned(track, size), account_of(track)
    track = follow(signal.frames(n_frames), find, size, choose=choose)
    return track.crops, account_of(track)


def account_of(track: Track) -> Account:
    """What the features of a face report of it: see `faces`."""
    fit = {} if track.fit is None else {FIT: track.fit}
    return {"faces_found": track.share, PEOPLE: track.n_people, **fit}


def _check_settings(n_frames: int, size: int, crop: str) -> None:
    if n_frames < 1 or size < 1:
        raise UsageError(f"n_frames and size must be at least 1, not {n_frames} and {size}")
    if crop not in CROPS:
        raise UsageError(f"crop must be one of {', '.join(CROPS)}, not {crop!r}")

"""Feature sets of video: ``faces``, pictures for networks, and ``face-stats``, a vector."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal, get_args

import numpy as np

from eavctl.errors import UsageError
from eavctl.features.families import FAMILY, prefix
from eavctl.features.texture import N_BINS, N_PATTERNS, cell_means, gradient_histograms, pattern_histograms
from eavctl.registry import register
from eavctl.settings import Within
from eavctl.signals.accounts import FIT, PEOPLE
from eavctl.signals.face_alignment import aligned, wide_track
from eavctl.signals.faces import Chooser, Track, detector, follow
from eavctl.signals.pictures import centre_square, cut_out, grey, turned
from eavctl.signals.video import VideoSpan

Crop = Literal["face", "aligned", "frame"]
CROPS = get_args(Crop)
Pictures = Annotated[int, Within(1, 1000)]
Side = Annotated[int, Within(1, 512)]  # pixels

SIDE = 64  # of the aligned grey faces, pixels
HOG_GRID, LBP_GRID, MOTION_GRID = 6, 4, 4
WIDE, TIGHT = 2.0, 1.2  # side of the crop before and after alignment, over the side of the face's box
SMOOTHING = np.array([0.25, 0.5, 0.25])  # of the box over time: detections jitter by a pixel or two

MEASURES = ("mouth_width", "eyes_to_mouth", "eyes_to_nose", "nose_aside", "roll")
MOVES = ("move_across", "move_down", "move_path", "move_scale")

Account = dict[str, float]


def _cell_names(what: str, grid: int, kinds: tuple[str, ...] = ()) -> list[str]:
    cells = [f"{what}_{row}_{column}" for row, column in itertools.product(range(1, grid + 1), repeat=2)]
    return [f"{cell}_{kind}" for cell in cells for kind in kinds] if kinds else cells


DEGREES = tuple(f"{180 * k / N_BINS:.0f}deg" for k in range(N_BINS))
KINDS = (*(f"{n}bright" for n in range(N_PATTERNS - 1)), "mixed")
DESCRIBED = (
    *_cell_names("hog", HOG_GRID, DEGREES),
    *_cell_names("lbp", LBP_GRID, KINDS),
    *_cell_names("motion", MOTION_GRID),
    *MEASURES,
)
FACE_STATS_NAMES = (*(f"{name}_{of}" for of in ("mean", "std") for name in DESCRIBED), *MOVES)
FAMILIES = {"hog": "edges", "lbp": "texture", "motion": "motion in the face", "move": "movement of the face"}


def _family_of(column: str) -> str:
    """The family of a column of `FACE_STATS_NAMES`."""
    return FAMILIES.get(prefix(column), "geometry")


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


@register(
    "features",
    "face-stats",
    modality="video",
    version=1,
    rate=None,
    columns=lambda **settings: FACE_STATS_NAMES,
    units="shares; distances over that of the eyes; moves over the face's side",
    families={FAMILY: _family_of},
    who=lambda **settings: True,
)
def face_stats(
    signal: VideoSpan,
    rate: float,
    choose: Chooser | None = None,
    *,
    n_frames: Pictures = 25,
    face_model: str | None = None,
) -> tuple[np.ndarray, Account]:
    """Texture, geometry and motion of a face: mean and standard deviation over time.

    Faces are rotated until the eyes are level, cropped to 64 x 64 grey pixels, and standardised in brightness
    and contrast. Only frames in which the face was found are used. Means depend on the person and the lasting
    expression; deviations and motion measure how the face changes.

    Parameters
    ----------
    signal : part of a video.
    rate : frame rate; not used, since frames are selected by time.
    choose : how well each face fits what is wanted; None for the largest.
    n_frames : number of frames to use, equally spaced.
    face_model : path of a YuNet model for face detection; None for MTCNN.

    Returns
    -------
    float32, and an account, as that of `faces`. The values, in the order of `FACE_STATS_NAMES`, are mean and
    deviation of
    ``hog_<row>_<column>_<degrees>``: strength of edges by orientation, in 6 x 6 cells [1]_;
    ``lbp_<row>_<column>_<n>bright``: frequency of local binary patterns, in 4 x 4 cells [2]_;
    ``motion_<row>_<column>``: absolute difference from frame to frame, in 4 x 4 cells;
    ``mouth_width``, ``eyes_to_mouth``, ``eyes_to_nose``, ``nose_aside``: over the distance of the eyes; and
    ``roll``, in radians. Four values of movement follow, over the side of the face: deviation across and
    down, mean step, and deviation of the logarithm of the side.

    Raises
    ------
    SignalError : no face in any frame, or no frame can be decoded.
    UsageError : an invalid setting, or the detector is not installed.

    References
    ----------
    .. [1] Dalal, Triggs: Histograms of oriented gradients for human detection, CVPR 2005.
    .. [2] Shan, Gong, McOwan: Facial expression recognition based on local binary patterns, Image and Vision
       Computing 27, 2009.
    """
    _check_settings(n_frames, SIDE, "face")
    track = follow(signal.frames(n_frames), detector(face_model), 2 * SIDE, spread=WIDE, choose=choose)
    pictures = _aligned(track)
    differences = np.abs(np.diff(pictures, axis=0)) if len(pictures) > 1 else np.zeros_like(pictures)
    described = [
        gradient_histograms(pictures, HOG_GRID),
        pattern_histograms(pictures, LBP_GRID),
        cell_means(differences, MOTION_GRID),
        _measures(track.points[track.is_found]),
    ]
    flat = [values.reshape(len(values), -1) for values in described]
    means, deviations = [each.mean(axis=0) for each in flat], [each.std(axis=0) for each in flat]
    values = np.concatenate([*means, *deviations, _moves(track.boxes[track.is_found])])
    return values.astype(np.float32), account_of(track)


def account_of(track: Track) -> Account:
    """What the features of a face report of it, see `faces`."""
    fit = {} if track.fit is None else {FIT: track.fit}
    return {"faces_found": track.share, PEOPLE: track.n_people, **fit}


def _aligned(track: Track) -> np.ndarray:
    """Grey faces of the frames in which one was found, (n, SIDE, SIDE), mean 0, deviation at most 1.

    All are rotated by the same angle, the median, so that tilting of the head remains visible.
    """
    crops, boxes = track.crops[track.is_found], track.boxes[track.is_found]
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    scale = crops.shape[1] / (WIDE * sides)  # pixels of a crop per pixel of the frame
    shift = (_smooth(centres) - centres) * scale[:, None]
    kept = _smooth(sides) * TIGHT * scale
    angle = float(np.median(_roll(track.points[track.is_found])))
    pictures = [
        turned(grey(crop), crop.shape[0] / 2 + moved, side, angle, SIDE)
        for crop, moved, side in zip(crops, shift, kept, strict=True)
    ]
    values = np.array(pictures, np.float32)
    values -= values.mean(axis=(1, 2), keepdims=True)
    return np.asarray(values / np.maximum(values.std(axis=(1, 2), keepdims=True), 1))


def _smooth(track: np.ndarray) -> np.ndarray:
    """Weighted mean of each value and its neighbours along the first axis."""
    padded = np.concatenate([track[:1], track, track[-1:]])
    return np.asarray(sum(w * padded[i : i + len(track)] for i, w in enumerate(SMOOTHING)))


def _roll(points: np.ndarray) -> np.ndarray:
    """Angle of the line through the eyes, radians, (n,); positive if the eye on the right is lower."""
    across = points[:, 1] - points[:, 0]
    return np.asarray(np.arctan2(across[:, 1], across[:, 0]))


def _measures(points: np.ndarray) -> np.ndarray:
    """Distances in the face, relative to that of the eyes, and its roll, (n, 5); see `MEASURES`."""
    left_eye, right_eye, nose, left_mouth, right_mouth = points.transpose(1, 0, 2)
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    apart = np.maximum(np.linalg.norm(right_eye - left_eye, axis=1), 1)
    along = (right_eye - left_eye) / apart[:, None]
    distances = [
        np.linalg.norm(right_mouth - left_mouth, axis=1),
        np.linalg.norm(mouth - eyes, axis=1),
        np.linalg.norm(nose - eyes, axis=1),
        ((nose - eyes) * along).sum(axis=1),
    ]
    return np.stack([*(distance / apart for distance in distances), _roll(points)], axis=1)


def _moves(boxes: np.ndarray) -> np.ndarray:
    """Movement of the face in units of its mean side, and variation of its size; see `MOVES`."""
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    positions = centres / sides.mean()
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    return np.array([*positions.std(axis=0), steps.mean() if len(steps) else 0.0, np.log(sides).std()])


def _check_settings(n_frames: int, size: int, crop: str) -> None:
    if n_frames < 1 or size < 1:
        raise UsageError(f"n_frames and size must be at least 1, not {n_frames} and {size}")
    if crop not in CROPS:
        raise UsageError(f"crop must be one of {', '.join(CROPS)}, not {crop!r}")

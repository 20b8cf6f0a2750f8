"""Feature set ``face-stats``: edges, geometry and motion of a face, as columns."""

from __future__ import annotations

import itertools

import numpy as np

from eavctl.features.families import FAMILY, prefix
from eavctl.features.texture import N_BINS, cell_means, gradient_histograms
from eavctl.features.video import Account, Pictures, account_of
from eavctl.registry import register
from eavctl.signals.face_alignment import aligned, wide_track
from eavctl.signals.faces import Chooser, detector
from eavctl.signals.pictures import grey
from eavctl.signals.video import VideoSpan

SIDE = 96  # of the aligned grey faces, pixels
# Parts of an aligned face: upper and lower edge, left and right edge, over its side.
PARTS = {
    "brows": ((0.15, 0.50), (0.12, 0.88)),
    "cheeks": ((0.45, 0.70), (0.14, 0.86)),
    "mouth": ((0.60, 1.00), (0.20, 0.80)),
}
GRID = 4  # cells in a row and in a column of a part
ONSET, APEX = 0.1, 0.25  # shares of the frames

MEASURES = ("mouth_width", "eyes_to_mouth", "eyes_to_nose", "nose_aside", "roll")
MOVES = ("move_across", "move_down", "move_path", "move_scale")


def _cells(what: str, kinds: tuple[str, ...] = ("",)) -> list[str]:
    """Names of the cells of all parts, with those left and right as one, from the outside to the middle."""
    return [
        f"{what}_{part}_{row}_{column}{kind}"
        for part in PARTS
        for row, column in itertools.product(range(1, GRID + 1), range(1, GRID // 2 + 1))
        for kind in kinds
    ]


EDGES = _cells("edges", tuple(f"_{180 * k / N_BINS:.0f}deg" for k in range(N_BINS)))
DESCRIBED = (*EDGES, *MEASURES)
NAMES = (
    *(f"{name}_{statistic}" for statistic in ("mean", "apex") for name in DESCRIBED),
    *(f"{name}_std" for name in MEASURES),
    *(f"{name}_mean" for name in _cells("motion")),
    *MOVES,
)
FAMILIES = {"edges": "edges", "motion": "motion in the face", "move": "movement of the face"}
MIRRORED = [-k % N_BINS for k in range(N_BINS)]  # the orientations, in a mirror


def _family_of(column: str) -> str:
    """The family of a column of `NAMES`."""
    return FAMILIES.get(prefix(column), "geometry")


@register(
    "features",
    "face-stats",
    modality="video",
    version=2,
    rate=None,
    columns=lambda **settings: NAMES,
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
    """Edges, geometry and motion of a face, by part: brows and eyes, cheeks and nose, mouth.

    Faces are aligned by the eyes, see `eavctl.signals.face_alignment.aligned`, to 96 x 96 grey pixels, and
    standardised in brightness and contrast. Left and right are averaged. Only frames in which the face was
    found are used. The apex [2]_ is the quarter of the frames whose edges differ most from those of the first
    tenth, the onset.

    Parameters
    ----------
    signal : part of a video.
    rate : frame rate; not used, since frames are selected by time.
    choose : how well each face fits what is wanted; None for the largest.
    n_frames : number of frames to use, equally spaced.
    face_model : path of a YuNet model for face detection; None for MTCNN.

    Returns
    -------
    float32, and an account, as that of `eavctl.features.video.faces`. The values, in the order of `NAMES`,
    are the mean over all frames, and over the apex, of
    ``edges_<part>_<row>_<column>_<degrees>``: strength of edges by orientation, in 4 x 4 cells of each part
    [1]_; column 1 is the outer one; and
    ``mouth_width``, ``eyes_to_mouth``, ``eyes_to_nose``, ``nose_aside``: over the distance of the eyes; and
    ``roll``, in radians. The deviations of these five, ``motion_<part>_<row>_<column>``, the mean absolute
    difference from frame to frame, and four values of movement follow, over the side of the face: deviation
    across and down, mean step, and deviation of the logarithm of the side.

    Raises
    ------
    SignalError : no face in any frame, or no frame can be decoded.
    UsageError : an invalid setting, or the detector is not installed.

    References
    ----------
    .. [1] Dalal, Triggs: Histograms of oriented gradients for human detection, CVPR 2005.
    .. [2] Liong, See, Wong, Phan: Less is more: Micro-expression recognition from video using apex frame,
       Signal Processing: Image Communication 62, 2018.
    """
    track = wide_track(signal.frames(n_frames), detector(face_model), SIDE, choose)
    pictures = _standardised(aligned(track, SIDE)[track.is_found])
    edges, motion = _edges(pictures), _motion(pictures)
    measures, moves = _measures(track.points[track.is_found]), _moves(track.boxes[track.is_found])
    described = np.concatenate([edges, measures], axis=1)
    apex = described[_apex(edges)]
    values = np.concatenate([described.mean(axis=0), apex.mean(axis=0), measures.std(axis=0), motion, moves])
    return values.astype(np.float32), account_of(track)


def _standardised(faces: np.ndarray) -> np.ndarray:
    """Grey faces of RGB ones (n, SIDE, SIDE, 3): (n, SIDE, SIDE), mean 0, deviation at most 1."""
    values = np.array([grey(face) for face in faces], np.float32)
    values -= values.mean(axis=(1, 2), keepdims=True)
    return np.asarray(values / np.maximum(values.std(axis=(1, 2), keepdims=True), 1))


def _part(pictures: np.ndarray, part: str) -> np.ndarray:
    down, across = (slice(*(round(edge * SIDE) for edge in edges)) for edges in PARTS[part])
    return pictures[:, down, across]


def _edges(pictures: np.ndarray) -> np.ndarray:
    """Histograms of the edges in each cell of each part, left and right averaged, (n, n_values)."""
    found = []
    for part in PARTS:
        cells = gradient_histograms(_part(pictures, part), GRID)
        folded = (cells + cells[:, :, ::-1, MIRRORED]) / 2
        found.append(folded[:, :, : GRID // 2].reshape(len(pictures), -1))
    return np.concatenate(found, axis=1)


def _motion(pictures: np.ndarray) -> np.ndarray:
    """Mean absolute difference from picture to picture in each cell of each part, (n_cells,)."""
    moving = np.abs(np.diff(pictures, axis=0)) if len(pictures) > 1 else np.zeros_like(pictures)
    found = []
    for part in PARTS:
        cells = cell_means(_part(moving, part), GRID).mean(axis=0)
        found.append(((cells + cells[:, ::-1]) / 2)[:, : GRID // 2].ravel())
    return np.concatenate(found)


def _apex(edges: np.ndarray) -> np.ndarray:
    """Numbers of the frames whose edges (n, n_values) differ most from those of the first."""
    onset = edges[: max(1, round(ONSET * len(edges)))].mean(axis=0)
    distance = np.linalg.norm(edges - onset, axis=1)
    return np.argsort(-distance, kind="stable")[: max(1, round(APEX * len(edges)))]


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

"""Feature set ``face-encoder``: a pretrained network of facial expressions, pooled over a clip's faces."""

from __future__ import annotations

import math

import numpy as np

from eavctl.features.face_network import EXPRESSIONS, SIDE, WIDTH, face_network
from eavctl.features.families import FAMILY
from eavctl.features.video import Account, Pictures, account_of
from eavctl.registry import register
from eavctl.signals.face_alignment import aligned, wide_track
from eavctl.signals.faces import Chooser, detector
from eavctl.signals.pictures import grey
from eavctl.signals.video import VideoSpan

APEX_SHARE = 0.25  # of the frames
STATISTICS = ("mean", "std", "apex")

DESCRIBED = (*(f"state{i}" for i in range(WIDTH)), *EXPRESSIONS)
NAMES = tuple(f"{name}_{statistic}" for statistic in STATISTICS for name in DESCRIBED)


def _family_of(column: str) -> str:
    """The family of a column of `NAMES`."""
    return "states" if column.startswith("state") else "expressions"


@register(
    "features",
    "face-encoder",
    modality="video",
    version=1,
    rate=None,
    columns=lambda **settings: NAMES,
    units="states of the network; logits of expressions",
    families={FAMILY: _family_of},
    who=lambda **settings: True,
)
def face_encoder(
    signal: VideoSpan,
    rate: float,
    choose: Chooser | None = None,
    *,
    n_frames: Pictures = 25,
    face_model: str | None = None,
) -> tuple[np.ndarray, Account]:
    """States and logits of a network pretrained on pictures of seven expressions, pooled over time.

    Faces are aligned by the eyes, see `eavctl.signals.face_alignment.aligned`, and the outputs for each face
    and its mirror image are averaged. Frames in which no face was found are left out. The apex is the quarter
    of the frames with the lowest probability of a neutral expression.

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
    are mean, standard deviation and mean over the apex of the 128 states of the network's last block and of
    its logits of `EXPRESSIONS`.

    Raises
    ------
    SignalError : no face in any frame, or no frame can be decoded.
    UsageError : an invalid setting, or the detector or the package with the weights is not installed.
    DataError : the file of the weights is damaged.
    """
    network = face_network()
    track = wide_track(signal.frames(n_frames), detector(face_model), SIDE, choose)
    pictures = np.array([grey(face) for face in aligned(track, SIDE)[track.is_found]])
    pairs = (network.describe(each) for each in (pictures, pictures[:, :, ::-1]))
    states, logits = (np.mean(both, axis=0) for both in zip(*pairs, strict=True))
    described = np.concatenate([states, logits], axis=1)
    apex = described[_least_neutral(logits)]
    values = np.concatenate([described.mean(axis=0), described.std(axis=0), apex.mean(axis=0)])
    return values.astype(np.float32), account_of(track)


def _least_neutral(logits: np.ndarray) -> np.ndarray:
    """Numbers of the frames of the apex, of the logits (n, n_expressions)."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    neutral = odds[:, EXPRESSIONS.index("neutral")] / odds.sum(axis=1)
    return np.argsort(neutral, kind="stable")[: math.ceil(APEX_SHARE * len(logits))]

"""One object through a film: what a phrase describes in each frame, with the track kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eavctl.grounding.model import THERE
from eavctl.signals.mtcnn import overlaps

SAME = 0.3  # least overlap of two boxes of one object in successive frames
CONFIRMED = 3  # successive frames that must agree before the track moves elsewhere


def kept_track(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The frames whose box belongs to the object that a film is tracked by.

    A frame's box continues the track where it overlaps with the last one, or the track moves: it does so
    where `CONFIRMED` frames in a row agree on another place. Single answers elsewhere are left out.

    Parameters
    ----------
    boxes : left, top, right, bottom, shape (n_frames, 4).
    scores : probability that the phrase fits something, shape (n_frames,).

    Returns
    -------
    bool, shape (n_frames,); False also where nothing fits.
    """
    kept = np.zeros(len(boxes), bool)
    is_there = np.flatnonzero(scores >= THERE)
    last: np.ndarray | None = None
    for place, frame in enumerate(is_there):
        coming = is_there[place : place + CONFIRMED]
        if last is None or overlaps(last, boxes[frame][None])[0] >= SAME or _agree(boxes[coming]):
            kept[frame], last = True, boxes[frame]
    return kept


def _agree(boxes: Sequence[np.ndarray] | np.ndarray) -> bool:
    """Whether the boxes of `CONFIRMED` frames overlap with the first."""
    return len(boxes) == CONFIRMED and bool((overlaps(boxes[0], np.asarray(boxes)) >= SAME).all())

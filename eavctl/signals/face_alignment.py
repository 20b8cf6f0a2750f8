"""Faces of a track, rotated, scaled and moved so that the eyes are level and always at the same place."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from eavctl.signals.faces import Chooser, Detector, Track, follow, square
from eavctl.signals.pictures import turned

SPREAD = 2.0  # side of the crops that are aligned, over the side of the face's box: room to turn them
SIDE = 3.0  # of an aligned face, over the distance of the eyes: from the hair to below the chin
EYES_DOWN = 0.4  # of the side, from the upper edge to the eyes
EYES_TO_MOUTH = 1.1  # over the distance of the eyes, of a face from the front


def wide_track(
    frames: Iterable[np.ndarray], find: Detector, size: int, choose: Chooser | None = None
) -> Track:
    """Follow a face as `eavctl.signals.faces.follow`, with crops that can be `aligned` to ``size`` pixels."""
    return follow(frames, find, 2 * size, spread=SPREAD, choose=choose)


def aligned(track: Track, size: int) -> np.ndarray:
    """The faces of a track with the eyes level, a third of the side apart, at two fifths of the height.

    In a face that is turned aside the eyes are nearer to each other: it is scaled by the distance of the eyes
    from the mouth, if that gives a larger face.

    Parameters
    ----------
    track : as `wide_track` gives it for the size.
    size : side of the pictures, in pixels.

    Returns
    -------
    uint8, shape (n_frames, size, size, 3).
    """
    eyes, mouth = track.points[:, :2], track.points[:, 3:].mean(axis=1)
    middle, across = eyes.mean(axis=1), eyes[:, 1] - eyes[:, 0]
    angle = np.arctan2(across[:, 1], across[:, 0])
    apart = np.maximum(np.linalg.norm(across, axis=1), np.linalg.norm(mouth - middle, axis=1) / EYES_TO_MOUTH)
    side = SIDE * np.maximum(apart, 1)
    down = np.stack([-np.sin(angle), np.cos(angle)], axis=1)
    centre = middle + (0.5 - EYES_DOWN) * side[:, None] * down
    squares = np.array([square(box, SPREAD) for box in track.boxes])
    scale = track.crops.shape[1] / np.maximum(squares[:, 2] - squares[:, 0], 1)  # of pixels, frame to crop
    centres, sides = (centre - squares[:, :2]) * scale[:, None], side * scale
    faces = zip(track.crops, centres, sides.tolist(), angle.tolist(), strict=True)
    return np.array([turned(*face, size) for face in faces])

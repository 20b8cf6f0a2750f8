"""Conversion of decoded video frames to upright RGB pictures in square pixels."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

NARROWEST, WIDEST = 0.25, 4.0  # width over height of a pixel; beyond these the header is damaged


class FrameConverter:
    """Converts frames of PyAV, from any thread: one for all frames, which is faster than one for each."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        self._lock = threading.Lock()

    def picture(self, frame: Any, pixel_aspect: float, side: int | None = None) -> np.ndarray:
        """Convert a frame.

        Parameters
        ----------
        frame : an `av.VideoFrame`.
        pixel_aspect : width over height of its pixels.
        side : longest side of the picture, in pixels; None, or a larger one, keeps the frame's own size.

        Returns
        -------
        uint8, shape (height, width, 3), RGB, in square pixels, rotated by the display matrix.
        """
        width, height = frame.width, frame.height
        if NARROWEST <= pixel_aspect <= WIDEST:
            width = round(width * pixel_aspect)
        interpolation = None
        if side is not None and side < max(width, height):
            shrinking = side / max(width, height)
            width, height = max(round(width * shrinking), 1), max(round(height * shrinking), 1)
            interpolation = "AREA"  # the mean of the pixels that one stands for
        with self._lock:
            # One thread: starting threads takes longer than converting.
            rgb = self._reformatter.reformat(
                frame, width, height, "rgb24", interpolation=interpolation, threads=1
            )
        # The angle of the matrix is counterclockwise, as in rot90.
        return np.ascontiguousarray(np.rot90(rgb.to_ndarray(), round(frame.rotation / 90)))

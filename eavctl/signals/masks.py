"""Masks of objects in pictures, as COCO's annotations hold them: polygons, and run lengths, packed or not.

Reference: Lin et al.: Microsoft COCO: common objects in context, ECCV 2014 (the format is that of its
annotation files).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eavctl.errors import SignalError
from eavctl.signals.containers import LARGEST_SIDE

MOST_CORNERS = 20_000  # of all polygons of an object; each takes up to a row's work per pixel of its height
FARTHEST = 1e6  # pixels, of a corner
FIRST_CHARACTER, MOST_SHIFT = 48, 30  # of packed run lengths: six bits a character from "0" on, five of value


def decode(segmentation: Any, height: int, width: int) -> np.ndarray | None:
    """The mask of an object.

    Parameters
    ----------
    segmentation : a list of polygons, each ``[x0, y0, x1, y1, ...]`` in pixels; or ``{"size": [height,
        width], "counts": ...}`` with run lengths, column by column, of background and object in turn:
        numbers, or a text of packed numbers.
    height, width : of the picture, in pixels.

    Returns
    -------
    bool, shape (height, width), True on the object: a pixel is on a polygon if its centre is. None where
    there is no segmentation, or no pixel is on the object.

    Raises
    ------
    SignalError : of no such form, too large, or of a picture of another size.
    """
    if not segmentation:
        return None
    if height * width > LARGEST_SIDE**2:
        raise SignalError(f"a mask of {height} x {width} pixels is too large")
    if isinstance(segmentation, Mapping):
        mask = _of_runs(segmentation, height, width)
    else:
        mask = np.zeros((height, width), bool)
        for outline in _outlines(segmentation):
            mask |= filled(outline, height, width)
    return mask if mask.any() else None


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """A mask, bool (height, width), as run lengths that `decode` reads, JSON-able."""
    values = np.concatenate([[False], mask.T.ravel(), [not mask[-1, -1]]])
    starts = np.flatnonzero(values[1:] != values[:-1])
    return {"size": list(mask.shape), "counts": np.diff(starts, prepend=0).tolist()}


def filled(outline: np.ndarray, height: int, width: int) -> np.ndarray:
    """The pixels whose centres lie in a polygon, by the even-odd rule.

    Parameters
    ----------
    outline : corners x, y in pixels, shape (n, 2); the last is joined with the first.

    Returns
    -------
    bool, shape (height, width).
    """
    flips = np.zeros((height, width + 1), bool)  # where a row's pixels go in or out
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        first, last = (min(max(math.ceil(y - 0.5), 0), height) for y in sorted((y0, y1)))
        rows = np.arange(first, last)
        if len(rows):
            x = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
            flips[rows, np.clip(np.ceil(x - 0.5), 0, width).astype(int)] ^= True
    return np.asarray(np.logical_xor.accumulate(flips, axis=1)[:, :width])


def _outlines(polygons: Any) -> list[np.ndarray]:
    try:
        found = [np.asarray(each, np.float64) for each in polygons]
    except (TypeError, ValueError, OverflowError):
        raise SignalError("its polygons are not lists of numbers") from None
    if any(each.ndim != 1 or len(each) < 6 or len(each) % 2 for each in found):
        raise SignalError("a polygon is not a list of three or more corners x, y")
    if sum(map(len, found)) > 2 * MOST_CORNERS:
        raise SignalError(f"its polygons have more than {MOST_CORNERS} corners")
    if not all((np.abs(each) <= FARTHEST).all() for each in found):
        raise SignalError("a corner of a polygon is not finite, or far outside of the picture")
    return [each.reshape(-1, 2) for each in found]


def _of_runs(segmentation: Mapping[str, Any], height: int, width: int) -> np.ndarray:
    if segmentation.get("size") != [height, width]:
        raise SignalError(f"its mask has the size {segmentation.get('size')!r:.40}, not {[height, width]}")
    counts, n_pixels = segmentation.get("counts"), height * width
    runs = _unpacked(counts, n_pixels) if isinstance(counts, str) else counts
    if not isinstance(runs, Sequence) or not all(type(run) is int and 0 <= run <= n_pixels for run in runs):
        raise SignalError("the run lengths of its mask are not numbers of pixels")
    if sum(runs) != n_pixels:
        raise SignalError(f"the run lengths of its mask add up to {sum(runs)} pixels, not {n_pixels}")
    is_object = np.arange(len(runs)) % 2 == 1
    return np.repeat(is_object, runs).reshape(width, height).T


def _unpacked(text: str, n_pixels: int) -> list[int]:
    """Run lengths out of a text; from the fourth on, each is stored as the difference to that two before."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        digit = ord(character) - FIRST_CHARACTER
        if not 0 <= digit < 64 or shift > MOST_SHIFT or len(runs) > n_pixels + 1:
            raise SignalError("the packed run lengths of its mask are damaged")
        value |= (digit & 31) << shift
        shift += 5
        if not digit & 32:  # the last character of a number, whose fifth bit is the sign
            value -= (digit >> 4 & 1) << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise SignalError("the packed run lengths of its mask end within a number")
    return runs

"""Parts of tensors that are occluded: windows in time, bands or channels, and patches of pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from eavctl import registry
from eavctl.features.bands import unpadded
from eavctl.storage.metadata import FeatureMeta

TIME, BAND, CHANNEL, PATCH = "time", "band", "channel", "patch"  # views
N_WINDOWS, N_BANDS, N_PATCHES = 10, 8, 7  # the last along each side
ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Region:
    """A part of each sample.

    Parameters
    ----------
    view : ``time``, ``band``, ``channel`` or ``patch``.
    name : of the region, such as ``0.30-0.60 s``.
    where : a slice for each axis of a sample.
    """

    view: str
    name: str
    where: tuple[slice, ...]


@dataclass(frozen=True)
class Occlusion:
    """Replaces regions of samples by the mean of a table's rows.

    The mean of a band or channel is over rows and times without padding, which is never replaced; that of
    pictures is their mean picture.

    Parameters
    ----------
    regions : each is occluded by itself.
    mean : of the rows, of a shape that a sample can be compared with.
    padding : axis of the bands, 0 or 1, and the value of the frames that pad short samples; None where none
        do.
    """

    regions: Sequence[Region]
    mean: np.ndarray
    padding: tuple[int, float] | None = None

    def __call__(self, x: np.ndarray, region: Region) -> np.ndarray:
        """Samples (n_rows, *shape) with a region occluded."""
        where = (slice(None), *region.where)
        mean = np.broadcast_to(self.mean, x.shape[1:])[region.where]
        changed = x.copy()
        if self.padding is None:
            changed[where] = mean
            return changed
        band_axis, padding = self.padding
        valid = np.broadcast_to(unpadded(x, 1 + band_axis, padding), x.shape)
        changed[where] = np.where(valid[where], mean, x[where])
        return changed


def occlusion_of(meta: FeatureMeta, x: np.ndarray) -> Occlusion | None:
    """The regions of a table's tensors; None of columns, and of tensors without an axis of bands.

    Parameters
    ----------
    meta : of the features.
    x : all rows, (n_rows, *shape), by whose mean regions are replaced.
    """
    facts = registry.get("features", meta.features).facts
    shape = x.shape[1:]
    if x.dtype == np.uint8 and len(shape) in (3, 4):
        mean = _mean(x).round().astype(np.uint8)
        return Occlusion([*_frames(shape), *_patches(shape)], mean)
    if (axis := facts.get("band_axis")) is None or len(shape) != 2:
        return None
    padding = facts.get("padding")
    if padding is not None and meta.normalized:
        padding = 0.0  # standardised, as `eavctl.features.normalize` leaves it
    valid = np.ones((1, 1, 1), bool) if padding is None else unpadded(x, 1 + axis, padding)
    mean = x.mean(axis=(0, 2 - axis), keepdims=True, where=valid, dtype=np.float64)[0].astype(np.float32)
    regions = [*_windows(meta, facts, shape, axis), *_bands(meta, shape, axis)]
    return Occlusion(regions, mean, None if padding is None else (axis, padding))


def _mean(x: np.ndarray) -> np.ndarray:
    """The mean of pictures, a few at a time."""
    total = np.zeros(x.shape[1:])
    for start in range(0, len(x), ROWS_AT_ONCE):
        total += x[start : start + ROWS_AT_ONCE].sum(axis=0, dtype=np.float64)
    return total / max(len(x), 1)


def _edges(n: int, parts: int) -> Iterator[tuple[int, int]]:
    """Where parts of about equal size begin and end; as many as there are values, if these are few."""
    edges = np.linspace(0, n, min(n, parts) + 1).round().astype(int).tolist()
    yield from pairwise(edges)


def _windows(
    meta: FeatureMeta, facts: Mapping[str, Any], shape: Sequence[int], band_axis: int
) -> Iterator[Region]:
    n_times = shape[1 - band_axis]
    frame_s = facts.get("frame_s")
    if meta.modality == "eeg" and meta.settings.get("rate"):
        frame_s = 1 / float(meta.settings["rate"])
    for start, end in _edges(n_times, N_WINDOWS):
        if frame_s:
            name = f"{start * frame_s:.2f}-{end * frame_s:.2f} s"
        else:
            name = f"{100 * start / n_times:.0f}-{100 * end / n_times:.0f} %"
        yield Region(TIME, name, _along(1 - band_axis, start, end))


def _bands(meta: FeatureMeta, shape: Sequence[int], axis: int) -> Iterator[Region]:
    n_bands = shape[axis]
    if meta.modality == "eeg":
        names = meta.settings.get("channels") or [str(number + 1) for number in range(n_bands)]
        for number, name in enumerate(names):
            yield Region(CHANNEL, str(name), _along(axis, number, number + 1))
        return
    for start, end in _edges(n_bands, N_BANDS):
        yield Region(BAND, f"mel {start + 1}-{end}", _along(axis, start, end))


def _along(axis: int, start: int, end: int) -> tuple[slice, ...]:
    part, whole = slice(start, end), slice(None)
    return (part, whole) if axis == 0 else (whole, part)


def _frames(shape: Sequence[int]) -> Iterator[Region]:
    """Windows of pictures of a film."""
    if len(shape) == 4:
        for start, end in _edges(shape[0], N_WINDOWS):
            yield Region(
                TIME, f"{100 * start / shape[0]:.0f}-{100 * end / shape[0]:.0f} %", (slice(start, end),)
            )


def _patches(shape: Sequence[int]) -> Iterator[Region]:
    height, width = shape[-3:-1]
    before = (slice(None),) * (len(shape) - 3)
    for row, (top, bottom) in enumerate(_edges(height, N_PATCHES)):
        for column, (left, right) in enumerate(_edges(width, N_PATCHES)):
            name = f"row {row + 1}, column {column + 1}"
            yield Region(PATCH, name, (*before, slice(top, bottom), slice(left, right)))

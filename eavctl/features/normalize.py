"""Standardising features speaker by speaker."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eavctl import registry
from eavctl.errors import UsageError

SPEAKER_WARNING = (
    "features are standardised by speaker: judging a recording needs several others of the same speaker "
    "(no labels are used)"
)
RELATIVE_FLOOR = 1e-6


class Bands(NamedTuple):
    """What is standardised apart from each other.

    Parameters
    ----------
    axis : of a sample, along which its features, bands or channels lie.
    padding : value of the frames that follow a tensor's shorter samples; None where there are none.
    """

    axis: int = 0
    padding: float | None = None


COLUMNS = Bands()


def bands_of(features: str) -> Bands:
    """The bands of a registered feature set.

    Raises
    ------
    UsageError : a set of tensors that does not say where they are.
    """
    entry = registry.get("features", features)
    axis, padding = entry.facts.get("band_axis"), entry.facts.get("padding")
    if axis is not None:
        return Bands(axis, padding)
    if entry.facts["columns"] is not None:
        return COLUMNS
    raise UsageError(f"--normalize speaker is not for {features!r}, which has no bands; leave it out")


def standardize_by_group(x: np.ndarray, groups: np.ndarray, bands: Bands = COLUMNS) -> np.ndarray:
    """Bring each group's rows to mean 0 and standard deviation 1, band by band.

    Parameters
    ----------
    x : float32 array, shape (n_rows, n_columns); or (n_rows, n_bands, n_times) with the axes of a sample in
        either order, where a band's statistics are taken over the rows and the times that are not padding.
    groups : shape (n_rows,), the speaker of each row.
    bands : where the bands are, and what pads.

    Returns
    -------
    float32 array of the shape of ``x``. A feature that does not vary in a group (also any vector feature
    of a group of one row) is 0 there. So is padding: it stays the run of equal frames at the end by which
    encoders know it.
    """
    result = np.empty_like(x, dtype=np.float32)
    band_axis = 1 + bands.axis
    axes = tuple(axis for axis in range(x.ndim) if axis != band_axis)
    for group in np.unique(groups):
        rows = groups == group
        values = x[rows].astype(np.float64)
        counts = np.array(True) if bands.padding is None else _sounds(values, band_axis, bands.padding)
        mean = values.mean(axis=axes, keepdims=True, where=counts)
        std = values.std(axis=axes, keepdims=True, where=counts)
        varies = std > RELATIVE_FLOOR * np.maximum(np.abs(mean), RELATIVE_FLOOR)
        result[rows] = np.where(varies & counts, (values - mean) / np.where(varies, std, 1.0), 0.0)
    return result


def _sounds(values: np.ndarray, band_axis: int, padding: float) -> np.ndarray:
    """Which frames are not padding, bool, with one band.

    Padding is the run of frames at the end in which all bands have the value of padding; the first frame is
    none, as in `eavctl.encoders.augmentation.unpadded`.
    """
    time_axis = 3 - band_axis
    sounds = (values != padding).any(axis=band_axis, keepdims=True)
    np.moveaxis(sounds, time_axis, 0)[0] = True
    backwards = np.logical_or.accumulate(np.flip(sounds, time_axis), axis=time_axis)
    return np.flip(backwards, time_axis)

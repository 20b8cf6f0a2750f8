"""The features, bands or channels of a sample, which are standardised separately, and their padding."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

RELATIVE_FLOOR = 1e-6


class Bands(NamedTuple):
    """The features, bands or channels of a sample, which are standardised separately.

    Parameters
    ----------
    axis : axis of the bands in a sample.
    padding : value of the frames that pad shorter samples of a tensor; None without padding.
    """

    axis: int = 0
    padding: float | None = None


COLUMNS = Bands()


def does_vary(std: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Whether features of these statistics vary by more than rounding."""
    return np.asarray(std > RELATIVE_FLOOR * np.maximum(np.abs(mean), RELATIVE_FLOOR))


def unpadded(values: np.ndarray, band_axis: int, padding: float) -> np.ndarray:
    """Mask of the frames that are not padding, bool, of length 1 along the bands.

    Padding is the run of frames at the end whose bands all have the padding value; the first frame never
    counts as padding, as in `eavctl.encoders.augmentation.unpadded`.

    Parameters
    ----------
    values : shape (n_rows, n_bands, n_times), with the axes of a sample in either order.
    band_axis : 1 or 2, that of the bands.
    padding : the value.
    """
    time_axis = 3 - band_axis
    differs = (values != padding).any(axis=band_axis, keepdims=True)
    np.moveaxis(differs, time_axis, 0)[0] = True
    backwards = np.logical_or.accumulate(np.flip(differs, time_axis), axis=time_axis)
    return np.flip(backwards, time_axis)

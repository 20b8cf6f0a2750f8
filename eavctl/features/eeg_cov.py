"""Feature set ``eeg-cov``: regularised covariances of the channels in bands."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from eavctl.errors import SignalError, UsageError
from eavctl.features.covariances import columns_of
from eavctl.features.eeg_alignment import riemannian
from eavctl.features.eeg_preparation import (
    FLOOR,
    PREPARED,
    Edge,
    Rate,
    check_segment,
    check_settings,
)
from eavctl.features.eeg_spectrum import tapered_transform
from eavctl.features.families import BAND
from eavctl.registry import register

BANDS: Any = [
    [4, 8],
    [8, 13],
    [13, 20],
    [20, 30],
    [30, 45],
]  # Hz, upper edge excluded; lists, as JSON gives them back
SHORTEST_S = 1.0
SEPARATOR = "_cov_"


def _columns(
    *, channels: Sequence[str] | None = None, bands: Sequence[Sequence[float]] = BANDS, **settings: Any
) -> tuple[str, ...]:
    pairs = [f"{a}-{b}" for a, b in combinations_with_replacement(channels or (), 2)]
    return tuple(f"{low:g}-{high:g}Hz{SEPARATOR}{pair}" for low, high in bands for pair in pairs)


def _check(*, bands: Sequence[Sequence[float]], low: float, high: float, **others: Any) -> None:
    check_settings(low=low, high=high, **others)
    for a, b in bands:
        if not low <= a < b <= high:
            raise UsageError(
                f"a band from {a:g} to {b:g} Hz does not lie in the pass-band from {low:g} to {high:g} Hz"
            )
    names = [f"{a:g}-{b:g}" for a, b in bands]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"bands: {', '.join(repeated)} Hz is repeated")


@register(
    "features",
    "eeg-cov",
    version=1,
    columns=_columns,
    units="microvolt^2",
    families={BAND: lambda column: column.partition(SEPARATOR)[0]},
    check=_check,
    align=riemannian,
    shortest_s=SHORTEST_S,
    matrices=lambda bands, **settings: len(bands),
    **PREPARED,
)
def eeg_cov(
    signal: np.ndarray,
    sfreq: float,
    *,
    channels: Sequence[str] | None = None,
    bands: Sequence[tuple[Edge, Edge]] = BANDS,
    rate: Rate = 128,
    low: Edge = 1.0,
    high: Edge = 45.0,
) -> np.ndarray:
    """Covariances of the channels in each band, regularised, for classifiers that work in the tangent space.

    The covariances of a band are sums of cross-spectra over its frequencies, of the whole segment with
    tapered ends: those of a band-pass without transition. They are shrunk to a multiple of the identity by
    OAS [1]_ for as many samples as the segment has.

    Parameters
    ----------
    signal : shape (n_chans, n_times), microvolt, after `prepare`; at least 1 s.
    sfreq : sampling rate, Hz, after `prepare`.
    channels : names of the channels.
    bands : lower and upper edge of each band in Hz, the upper one excluded, within ``low`` and ``high``.
    rate : sampling rate to resample to, Hz.
    low, high : edges of the pass-band, Hz.

    Returns
    -------
    float32: for each band the upper triangle of its matrix, row by row; see
    `eavctl.features.covariances.matrices_of`.

    Raises
    ------
    SignalError : shorter than 1 s, too short for a narrow band, not finite, or a channel is flat (deviates by
        less than 0.01 microvolt).

    References
    ----------
    .. [1] Chen, Wiesel, Eldar, Hero: Shrinkage algorithms for MMSE covariance estimation, IEEE Transactions
       on Signal Processing 58, 2010.
    """
    check_segment(signal, channels, sfreq, SHORTEST_S)
    return columns_of(band_covariances(signal, sfreq, bands)).astype(np.float32)


def band_covariances(signal: np.ndarray, sfreq: float, bands: Sequence[Sequence[float]]) -> np.ndarray:
    """Regularised covariances, microvolt^2, shape (n_bands, n_chans, n_chans), of a segment.

    Raises
    ------
    SignalError : no frequency of the segment lies in a band.
    """
    transform, unit = tapered_transform(np.asarray(signal, np.float64))
    hz = np.fft.rfftfreq(signal.shape[1], 1 / sfreq)
    found = np.empty((len(bands), len(signal), len(signal)))
    for matrix, (low, high) in zip(found, bands, strict=True):
        inside = (hz >= low) & (hz < high)
        if not inside.any():
            seconds = signal.shape[1] / sfreq
            raise SignalError(
                f"too short for the band from {low:g} to {high:g} Hz: a segment of {seconds:g} s has one "
                f"frequency every {1 / seconds:.3g} Hz"
            )
        part = transform[:, inside]
        parts = np.hstack([part.real, part.imag])
        matrix[:] = shrunk(parts @ parts.T * unit, signal.shape[1])
    return found


def shrunk(covariance: np.ndarray, n: int) -> np.ndarray:
    """The covariance shrunk to a multiple of the identity by OAS, and `FLOOR` added to the variances."""
    p = len(covariance)
    mean = np.trace(covariance) / p
    squares = np.square(covariance).sum()
    up = (1 - 2 / p) * squares + (p * mean) ** 2
    down = (n + 1 - 2 / p) * (squares - p * mean**2)
    share = 1.0 if down <= 0 else min(up / down, 1.0)
    return np.asarray((1 - share) * covariance + (share * mean + FLOOR) * np.eye(p))

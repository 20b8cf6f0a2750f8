"""Feature set ``eeg-bands``: power and entropy of the classical bands, a vector."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from eavctl.errors import UsageError
from eavctl.features.eeg_preparation import (
    FLOOR,
    PREPARED,
    Edge,
    Rate,
    check_segment,
    check_settings,
)
from eavctl.features.eeg_spectrum import detrended, tapered_transform
from eavctl.features.families import BAND, CHANNEL, MEASURE
from eavctl.registry import register

BANDS = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 45.0),
}  # Hz, upper edge excluded
WELCH_S = 2.0
SHORTEST_S = 1.0  # one period of the slowest band

HOMOLOGOUS = re.compile(r"(Fp|AF|F|FT|FC|T|TP|C|CP|P|PO|O|I|N)(\d+)")
MEASURES = {"de": "differential entropy", "power": "relative power", "asymmetry": "asymmetry"}


def _band_columns(*, channels: Sequence[str] | None = None, **settings: object) -> tuple[str, ...]:
    names = channels or ()
    pairs = [f"{names[right]}-{names[left]}" for left, right in homologous_pairs(names)]
    parts = (("de", names), ("power", names), ("asymmetry", pairs))
    return tuple(f"{band}_{part}_{name}" for part, of in parts for band in BANDS for name in of)


def _channels_of(column: str) -> tuple[str, ...]:
    """The channel of a column of `eeg_bands`, or the two of an asymmetry."""
    _, part, name = column.split("_", 2)
    return tuple(name.split("-")) if part == "asymmetry" else (name,)


def _check_band_settings(*, low: float, high: float, **others: Any) -> None:
    _check_bands(low, high)
    check_settings(low=low, high=high, **others)


def _check_bands(low: float, high: float) -> None:
    lowest, highest = BANDS["delta"][0], BANDS["gamma"][1]
    if low > lowest or high < highest:
        raise UsageError(
            f"eeg-bands needs a pass-band of {lowest:g} to {highest:g} Hz, not {low:g} to {high:g}"
        )


@register(
    "features",
    "eeg-bands",
    version=2,
    columns=_band_columns,
    units="nat (de, asymmetry), log10 of a share (power)",
    families={
        BAND: lambda column: column.partition("_")[0],
        CHANNEL: _channels_of,
        MEASURE: lambda column: MEASURES[column.split("_", 2)[1]],
    },
    check=_check_band_settings,
    shortest_s=SHORTEST_S,
    **PREPARED,
)
def eeg_bands(
    signal: np.ndarray,
    sfreq: float,
    *,
    channels: Sequence[str] | None = None,
    rate: Rate = 200,
    low: Edge = 0.5,
    high: Edge = 50.0,
) -> np.ndarray:
    """Differential entropy, relative power and left-right asymmetry in five bands.

    The differential entropy of a band is that of a Gaussian signal with its variance,
    0.5 ln(2 pi e variance) [1]_. The relative power is log10 of the share of the band in the power of all
    five bands, by Welch's method; it does not depend on the gain of electrodes and skull, which differs more
    between people than between emotions. The asymmetry is ln(power) on the right minus ln(power) on the left
    for each pair of homologous channels [2]_, see `homologous_pairs`.

    Parameters
    ----------
    signal : shape (n_chans, n_times), microvolt, after `prepare`; at least 1 s.
    sfreq : sampling rate, Hz, after `prepare`.
    channels : names of the channels; without them there are no asymmetries.
    rate : sampling rate to resample to, Hz.
    low, high : edges of the pass-band, Hz, which must include 1 to 45 Hz.

    Returns
    -------
    float32: entropies, relative powers, asymmetries; within each, band after band. (0.01 microvolt)^2 is
    added to all variances and powers.

    Raises
    ------
    SignalError : shorter than 1 s, not finite, or a channel is flat (deviates by less than 0.01 microvolt).
    UsageError : the pass-band does not include all bands.

    References
    ----------
    .. [1] Duan, Zhu, Lu, Differential entropy feature for EEG-based emotion classification, NER 2013.
    .. [2] Davidson, Anterior cerebral asymmetry and the nature of emotion, Brain and Cognition 20, 1992.
    """
    _check_bands(low, high)
    check_segment(signal, channels, sfreq, SHORTEST_S)
    signal = np.asarray(signal, dtype=np.float64)
    entropy = 0.5 * np.log(2 * np.pi * np.e * (_variances(signal, sfreq) + FLOOR))
    power = _welch_powers(signal, sfreq) + FLOOR
    share = np.log10(power / power.sum(axis=0))
    pairs = np.array(list(homologous_pairs(channels or ())), dtype=int).reshape(-1, 2)
    asymmetry = np.log(power[:, pairs[:, 1]]) - np.log(power[:, pairs[:, 0]])
    return np.concatenate([entropy.ravel(), share.ravel(), asymmetry.ravel()]).astype(np.float32)


def _variances(signal: np.ndarray, sfreq: float) -> np.ndarray:
    """Variance of the signal in each band, microvolt^2, (n_bands, n_chans), see `tapered_transform`."""
    transform, unit = tapered_transform(signal)
    spectrum = np.abs(transform) ** 2
    spectrum *= unit
    return _sums(spectrum, np.fft.rfftfreq(signal.shape[1], 1 / sfreq))


def _welch_powers(signal: np.ndarray, sfreq: float) -> np.ndarray:
    """Power in each band, microvolt^2, (n_bands, n_chans), with Hann windows of 2 s that overlap by half."""
    length = min(round(WELCH_S * sfreq), signal.shape[1])
    window = np.hanning(length + 1)[:-1]  # periodic
    pieces = np.lib.stride_tricks.sliding_window_view(signal, length, axis=1)[:, :: length - length // 2]
    spectrum = (np.abs(np.fft.rfft(detrended(pieces) * window)) ** 2).mean(axis=1)
    spectrum *= 2 / (length * np.sum(window**2))  # as in `tapered_transform`
    return _sums(spectrum, np.fft.rfftfreq(length, 1 / sfreq))


def _sums(spectrum: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """Sum over each band of a spectrum (n_chans, n_bins): (n_bands, n_chans)."""
    return np.stack([spectrum[:, (hz >= a) & (hz < b)].sum(axis=1) for a, b in BANDS.values()])


def homologous_pairs(channels: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the indices of the left and the right channel of each homologous pair, ordered by the left one.

    In the names of the 10-20 system and its extensions, the left channel has an odd number and the right one
    the next even number.
    """
    index_of = {name: index for index, name in enumerate(channels)}
    for index, name in enumerate(channels):
        match = HOMOLOGOUS.fullmatch(name)
        if match and int(match[2]) % 2:
            right = index_of.get(f"{match[1]}{int(match[2]) + 1}")
            if right is not None:
                yield index, right

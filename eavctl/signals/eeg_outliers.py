"""EEG channels that are unlike the others: of far larger amplitude, or correlated with none of them.

The criteria of deviation and correlation of Bigdely-Shamlo et al., The PREP pipeline: standardized
preprocessing for large-scale EEG analysis, Frontiers in Neuroinformatics 9, 2015, on the spectrum of 1 to
45 Hz, so that neither drift nor the mains decide, and with equal weights of windows, so that blinks do not.
Small amplitudes are no fault: those of electrodes near the reference are small.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

FEWEST_CHANNELS = 8  # of fewer, each has few neighbours, and there is no usual amplitude
SHORTEST_S = 10.0  # in less, good channels differ by chance
WINDOW_S = 1.0
BAND_HZ = (1.0, 45.0)
MOST_DEVIATION = 5.0  # robust z of the logarithm of the amplitude
LEAST_CORRELATION = 0.4  # with the channel that it is most like
PER_QUARTILES = 0.7413  # standard deviations between the quartiles of a normal distribution, inverse
LEAST_SPREAD = 0.1  # of the logarithm: channels of a simulation differ less
LEAST_POWER = 1e-12  # microvolt^2; a constant channel has none
GROUP = 64  # windows at once

NOISY, UNCORRELATED = "of far larger amplitude than the others", "correlated with no other"


def is_enough(n_chans: int, seconds: float) -> bool:
    """Whether channels can be compared: there are 8 or more, of 10 s or more."""
    return n_chans >= FEWEST_CHANNELS and seconds >= SHORTEST_S


def outlying(signal: np.ndarray, sfreq: float, without: Collection[int] = ()) -> dict[int, str]:
    """Find the channels that are unlike the others.

    Windows of 1 s give the amplitude of each channel, from 1 to 45 Hz, and its correlation with every other;
    of the amplitudes the median over the windows counts, of the correlations the mean. A channel is of far
    larger amplitude than the others if the logarithm of its amplitude lies more than 5 robust standard
    deviations above their median. It is correlated with no other if no correlation, of either sign, reaches
    0.4.

    Parameters
    ----------
    signal : shape (n_chans, n_times), in microvolt.
    sfreq : sampling rate, Hz.
    without : indices of channels that are known to be bad, and not compared.

    Returns
    -------
    Dictionary from the index of a channel to its fault, as above; empty unless `is_enough`.
    """
    compared = np.array([i for i in range(len(signal)) if i not in without], int)
    length = round(WINDOW_S * sfreq)
    n_windows = signal.shape[1] // length
    if not is_enough(len(compared), n_windows * WINDOW_S):
        return {}
    hz = np.fft.rfftfreq(length, 1 / sfreq)
    inside = (hz >= BAND_HZ[0]) & (hz <= BAND_HZ[1])
    taper = np.hanning(length + 2)[1:-1]
    amplitudes = np.empty((n_windows, len(compared)))
    alike = np.zeros((len(compared), len(compared)))
    for first in range(0, n_windows, GROUP):
        part = signal[compared, first * length : min(first + GROUP, n_windows) * length]
        windows = part.reshape(len(compared), -1, length).swapaxes(0, 1)
        spectra = np.fft.rfft((windows - windows.mean(axis=2, keepdims=True)) * taper)[:, :, inside]
        products = (spectra @ spectra.conj().swapaxes(1, 2)).real
        powers = np.maximum(np.einsum("wcc->wc", products), LEAST_POWER)
        alike += (products / np.sqrt(powers[:, :, None] * powers[:, None, :])).sum(axis=0) / n_windows
        amplitudes[first : first + len(windows)] = 0.5 * np.log(powers)
    np.fill_diagonal(alike, 0.0)
    typical = np.median(amplitudes, axis=0)
    low, middle, high = np.percentile(typical, (25, 50, 75))
    is_large = typical - middle > MOST_DEVIATION * max(PER_QUARTILES * (high - low), LEAST_SPREAD)
    is_alone = np.abs(alike).max(axis=0) < LEAST_CORRELATION
    faults = np.select([is_alone, is_large], [UNCORRELATED, NOISY], "")
    return {int(i): str(fault) for i, fault in zip(compared, faults, strict=True) if fault}

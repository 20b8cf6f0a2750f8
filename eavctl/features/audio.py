"""Feature sets of audio: ``seed33``, a small baseline of global statistics, and ``logmel``, for networks."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Annotated

import numpy as np

from eavctl.errors import SignalError
from eavctl.features.chroma import chroma
from eavctl.features.families import FAMILY
from eavctl.features.spectrum import AMIN, DYNAMIC_RANGE_DB, decibels, mel_bands, short_time_spectrum
from eavctl.registry import register
from eavctl.settings import Within
from eavctl.signals.transforms import dct_matrix

Bands = Annotated[int, Within(1, 256)]
Frames = Annotated[int, Within(1, 30_000)]  # of 10 ms: five minutes

SHORTEST_S = 0.1

N_FFT, HOP = 2048, 512  # librosa's defaults, at the sampling rate of the file
N_MELS, N_MFCC = 128, 13
CONTRAST_LOWEST_HZ, CONTRAST_BANDS, CONTRAST_QUANTILE = 200.0, 6, 0.02
ZERO = 1e-10

LOGMEL_RATE, LOGMEL_FFT, LOGMEL_WINDOW, LOGMEL_HOP = 16000, 512, 400, 160

SEED33_MATRICES = ("mfccs", "chroma", "mel", "centroid", "bandwidth", "contrast", "flatness", "zcr")
SEED33_NAMES = (*(f"{name}_{s}" for name in SEED33_MATRICES for s in ("mean", "std", "min", "max")), "energy")


@register(
    "features",
    "seed33",
    modality="audio",
    version=1,
    rate=None,
    columns=lambda: SEED33_NAMES,
    units="librosa's",
    families={FAMILY: lambda column: column.rpartition("_")[0] or column},
)
def seed33(signal: np.ndarray, rate: int) -> np.ndarray:
    """Mean, standard deviation, minimum and maximum of eight matrices, and the mean energy: 33 numbers.

    The statistics are taken over coefficients and time together. A widely used baseline, but not a good one.

    Parameters
    ----------
    signal : float32, shape (n_samples,), at least 0.1 s.
    rate : sampling rate, Hz, above 12800.

    Returns
    -------
    float32, shape (33,), in the order of `SEED33_NAMES`; equal to librosa's values within 1e-4 of the maximum
    of each matrix.

    Raises
    ------
    SignalError : too short, constant, or a rate too low for the bands of spectral contrast.
    """
    return _seed33(signal.astype(np.float64), rate)


@register(
    "features",
    "seed33-fast",
    modality="audio",
    version=1,
    rate=None,
    columns=lambda: SEED33_NAMES,
    units="librosa's",
    families={FAMILY: lambda column: column.rpartition("_")[0] or column},
)
def seed33_fast(signal: np.ndarray, rate: int) -> np.ndarray:
    """`seed33` in float32: faster, but less accurate in bins near silence.

    On speech, contrast differs from `seed33` by up to 1e-3 of its maximum, and other values by about 1e-5. If
    two tunings fit equally well, chroma may choose another one and differ by tenths. So this is a separate
    feature set, whose tables and models are not compatible with those of `seed33`.

    Parameters, shape and errors are as in `seed33`.
    """
    return _seed33(signal.astype(np.float32), rate)


def _seed33(signal: np.ndarray, rate: int) -> np.ndarray:
    check_signal(signal, rate)
    matrices = seed33_matrices(signal, rate)
    energy = matrices.pop("energy")
    values = [_summary(matrix) for matrix in matrices.values()]
    return np.array([*np.ravel(values), energy.mean()], dtype=np.float32)


def _summary(matrix: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, standard deviation, minimum and maximum."""
    mean = matrix.mean()
    centred = np.subtract(matrix, mean, dtype=np.float64)  # squares of mel energies can overflow float32
    return mean, np.sqrt(np.vdot(centred, centred) / matrix.size), matrix.min(), matrix.max()


def seed33_matrices(signal: np.ndarray, rate: int) -> dict[str, np.ndarray]:
    """The matrices of `seed33` by name, (n_rows, n_frames) each, and ``energy``, the RMS of each frame.

    All are computed from one spectrum, in the precision of the signal.

    Raises
    ------
    SignalError : the rate is too low for the bands of spectral contrast.
    """
    if rate / 2 <= CONTRAST_LOWEST_HZ * 2 ** (CONTRAST_BANDS - 1):
        raise SignalError(f"seed33 needs a rate above 12800 Hz, not {rate}: resample first")
    hz = np.fft.rfftfreq(N_FFT, 1 / rate).astype(signal.dtype)
    zcr, energy = _zero_crossing_rate(signal), _energy(signal)
    magnitude = short_time_spectrum(signal, N_FFT, HOP)
    contrast = _contrast(magnitude, rate)
    centroid, bandwidth = _centroid_and_bandwidth(magnitude, hz)
    # In place, here and in _flatness: allocating memory costs as much as the arithmetic.
    power = np.square(magnitude, out=magnitude)
    mel = mel_bands(power, rate, N_FFT, N_MELS)
    return {
        "mfccs": dct_matrix(N_MFCC, N_MELS).astype(mel.dtype) @ decibels(mel),
        "chroma": chroma(power, rate, N_FFT),
        "mel": mel,
        "centroid": centroid,
        "bandwidth": bandwidth,
        "contrast": contrast,
        "flatness": _flatness(power),
        "zcr": zcr,
        "energy": energy,
    }


def _centroid_and_bandwidth(magnitude: np.ndarray, hz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of frequency weighted by magnitude, Hz, (1, n_frames) each; 0 in silence."""
    frames = magnitude.T
    total, first, second = frames.sum(axis=1), frames @ hz, frames @ hz**2
    total = np.where(total < np.finfo(total.dtype).tiny, 1, total)
    centroid = first / total
    variance = np.maximum(second / total - centroid**2, 0)
    return centroid[None], np.sqrt(variance)[None]


def _contrast(magnitude: np.ndarray, rate: int) -> np.ndarray:
    """Spectral contrast: strongest over weakest bins of each octave band, dB, (n_bands + 1, n_frames).

    Reference: Jiang et al., Music type classification by spectral contrast feature, ICME 2002.
    """
    valleys, peaks = [], []
    for band, count in _contrast_bands(rate):
        # Sorted as float32, with rounding errors below 1e-6 dB, and as integers, which have the same order as
        # positive floats: numpy sorts integers with vector instructions, faster than it partitions.
        bits = magnitude[band].T.astype(np.float32).view(np.int32)
        ordered = np.sort(bits, axis=1).view(np.float32)
        valleys.append(ordered[:, :count].mean(axis=1))
        peaks.append(ordered[:, -count:].mean(axis=1))
    return np.asarray(decibels(np.array(peaks)) - decibels(np.array(valleys)))


@cache
def _contrast_bands(rate: int) -> list[tuple[slice, int]]:
    """The bins of each octave band, and the number of bins averaged for its peak and its valley."""
    hz = np.fft.rfftfreq(N_FFT, 1 / rate)
    edges = np.concatenate([[0], CONTRAST_LOWEST_HZ * 2.0 ** np.arange(CONTRAST_BANDS + 1)])
    bands = []
    for number, (low, high) in enumerate(itertools.pairwise(edges)):
        inside = np.flatnonzero((hz >= low) & (hz <= high))
        first, last = int(inside[0]) - (number > 0), int(inside[-1])
        is_last = number == CONTRAST_BANDS
        n_bins = (len(hz) if is_last else last + 1) - first
        bands.append((slice(first, None if is_last else last), max(round(CONTRAST_QUANTILE * n_bins), 1)))
    return bands


def _flatness(power: np.ndarray) -> np.ndarray:
    """Geometric over arithmetic mean of each frame's power, (1, n_frames); overwrites the power."""
    floored = np.maximum(power, AMIN, out=power).T
    # The logarithm of a product of eight, which float64 can hold, replaces a sum of eight logarithms.
    products = floored[:, :-1].reshape(len(floored), 8, -1).prod(axis=1, dtype=np.float64)
    logarithm = np.log(products).sum(axis=1) + np.log(floored[:, -1])
    return np.asarray(np.exp(logarithm / floored.shape[1]) / floored.mean(axis=1))[None]


def _zero_crossing_rate(signal: np.ndarray) -> np.ndarray:
    """Share of samples of each frame at which the sign changes, (1, n_frames); tiny values count as 0."""
    negative = signal < -ZERO
    crossings = np.flatnonzero(negative[1:] != negative[:-1]) + N_FFT // 2  # index in the padded signal
    starts = np.arange(0, len(signal) + 1, HOP)
    first, last = (np.searchsorted(crossings, edge) for edge in (starts, starts + N_FFT - 1))
    return np.asarray((last - first) / N_FFT)[None]


def _energy(signal: np.ndarray) -> np.ndarray:
    """Root mean square of each frame, (1, n_frames), from the sums of squares of its hops."""
    hops = np.add.reduceat(np.square(signal), np.arange(0, len(signal), HOP))
    frames = np.convolve(hops, np.ones(N_FFT // HOP))[1 : 2 + len(signal) // HOP]
    return np.sqrt(frames / N_FFT)[None]


@register(
    "features",
    "logmel",
    modality="audio",
    version=1,
    rate=LOGMEL_RATE,
    columns=None,
    units="dB below the clip's maximum",
    band_axis=0,
    padding=-DYNAMIC_RANGE_DB,
    decibels=1.0,
    frame_s=LOGMEL_HOP / LOGMEL_RATE,
)
def logmel(signal: np.ndarray, rate: int, *, n_mels: Bands = 64, n_frames: Frames = 300) -> np.ndarray:
    """Log-mel spectrogram of fixed size: windows of 25 ms, a hop of 10 ms, Slaney's mel bands up to 8 kHz.

    A longer clip is cut to the window with most energy; a shorter one is padded with the lowest value. Levels
    are relative to the loudest band of the clip, because recording levels are arbitrary.

    Parameters
    ----------
    signal : float32, shape (n_samples,), at least 0.1 s.
    rate : 16000.
    n_mels, n_frames : size of the tensor.

    Returns
    -------
    float32, shape (n_mels, n_frames), dB from -80 to 0.

    Raises
    ------
    SignalError : too short, or constant.
    """
    if rate != LOGMEL_RATE:
        raise ValueError(f"logmel takes {LOGMEL_RATE} Hz, not {rate}")
    check_signal(signal, rate)
    scaled = signal / np.abs(signal).max()
    power = short_time_spectrum(scaled.astype(np.float32), LOGMEL_FFT, LOGMEL_HOP, LOGMEL_WINDOW) ** 2
    mel = mel_bands(power, rate, LOGMEL_FFT, n_mels)
    if mel.shape[1] > n_frames:
        running = np.concatenate([[0], np.cumsum(mel.sum(axis=0, dtype=np.float64))])
        start = int(np.argmax(running[n_frames:] - running[:-n_frames]))
        mel = mel[:, start : start + n_frames]
    level = decibels(mel, float(mel.max()))
    return np.pad(level, ((0, 0), (0, n_frames - level.shape[1])), constant_values=-DYNAMIC_RANGE_DB).astype(
        np.float32
    )


def check_signal(signal: np.ndarray, rate: int) -> None:
    """Raise a SignalError if a signal (n_samples,) is shorter than 0.1 s or constant."""
    if len(signal) < SHORTEST_S * rate:
        raise SignalError(f"too short: {len(signal) / rate:.3f} s, but {SHORTEST_S} s are needed")
    if np.ptp(signal) == 0:
        raise SignalError("constant: every sample is the same")

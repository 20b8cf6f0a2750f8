"""Low-level descriptors of speech: contours over time, all from one short-time spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from eavctl.features import pitch
from eavctl.features.spectrum import spectra
from eavctl.signals.transforms import dct_matrix

RATE = 16000
HOP = 160  # 10 ms
WINDOW = 400  # 25 ms
N_FFT = 512
FRAMES_PER_S = RATE / HOP
DB = np.float32(10 / np.log(10))  # of a natural logarithm of power
N_MELS, N_MFCC = 32, 20
MEL_RANGE_HZ = (50.0, 7800.0)
FLOOR = 1e-6  # of the loudest bin: below -60 dB is noise of the room or the microphone, not speech
ACTIVE_DB = 25.0  # below the level of the loud frames; quieter frames are pauses. The floor is lower still
ROLLOFFS = (25, 50, 75, 90)
ALPHA_HZ, HAMMARBERG_HZ = ((50, 1000), (1000, 5000)), ((0, 2000), (2000, 5000))
SLOPES_HZ = ((0, 500), (500, 1500), (1500, 4000))

SPECTRAL_NAMES = (
    "energy_db",
    "centroid",
    "spread",
    "skewness",
    "kurtosis",
    "entropy",
    *(f"rolloff{share}" for share in ROLLOFFS),
    "flux",
    "flatness",
    "alpha_ratio",
    "hammarberg",
    *(f"slope{low}_{high}" for low, high in SLOPES_HZ),
    "zcr",
    "hnr",
)
MFCC_NAMES = tuple(f"mfcc{i}" for i in range(N_MFCC))


@dataclass(frozen=True)
class Descriptors:
    """Contours of one clip, 100 frames a second.

    Parameters
    ----------
    spectral : float32, shape (19, n_frames), in the order of `SPECTRAL_NAMES`.
    mfcc : float32, shape (20, n_frames), from a mel spectrum in dB.
    log_mel : float32, shape (32, n_frames), dB.
    semitones : float32, shape (n_frames,), F0 in semitones above 100 Hz.
    voiced : bool, shape (n_frames,): voiced and not in a pause.
    active : bool, shape (n_frames,): not in a pause.
    """

    spectral: np.ndarray
    mfcc: np.ndarray
    log_mel: np.ndarray
    semitones: np.ndarray
    voiced: np.ndarray
    active: np.ndarray


def describe(signal: np.ndarray) -> Descriptors:
    """Compute the contours of a clip.

    Parameters
    ----------
    signal : float32, shape (n_samples,), 16 kHz, not constant.

    Notes
    -----
    ``energy_db`` is dB below full scale; centroid, spread and roll-offs are natural logarithms of Hz;
    entropy in nats; flux is the Euclidean distance of neighbouring magnitude spectra that sum to 1;
    flatness the log ratio of the geometric to the arithmetic mean of power; alpha ratio (50 to 1000 over
    1000 to 5000 Hz) and Hammarberg index (highest of 0 to 2 kHz over that of 2 to 5 kHz) in dB, spectral
    slopes in dB a kHz, as in the eGeMAPS set [1]_; zcr is the logarithm of the share of samples at which
    the sign changes.

    References
    ----------
    .. [1] Eyben et al.: The Geneva minimalistic acoustic parameter set (GeMAPS), IEEE Transactions on
       Affective Computing 7(2), 2016.
    """
    signal = signal - signal.mean(dtype=np.float64).astype(np.float32)
    power = _power(signal)
    track = pitch.track(signal, RATE, HOP)
    spectral = _spectral(power, signal, track.hnr_db)
    energy = spectral[0]
    active = energy > loud_level(energy) - ACTIVE_DB
    log_mel = DB * np.log(_mel_filters() @ power.T)
    mfcc = _cosines() @ log_mel
    return Descriptors(spectral, mfcc, log_mel, track.semitones, track.voiced & active, active)


def loud_level(energy_db: np.ndarray) -> float:
    """Level of the loud frames: the mean of frames' levels weighted by their power, dB.

    Silence has no power, so the level does not depend on how much of it surrounds the speech.
    """
    weights = 10 ** ((energy_db - energy_db.max()) / 10)
    return float((weights @ energy_db) / weights.sum())


def _power(signal: np.ndarray) -> np.ndarray:
    """Power spectrum with a floor, (n_frames, n_bins); frame ``t`` is centred on sample ``t * HOP``."""
    power = np.empty((1 + len(signal) // HOP, N_FFT // 2 + 1), np.float32)
    for part, spectrum in spectra(signal, _hann(), HOP, N_FFT):
        np.add(np.square(spectrum.real), np.square(spectrum.imag), out=power[part])
    power += FLOOR * power.max()
    return power


def _spectral(power: np.ndarray, signal: np.ndarray, hnr_db: np.ndarray) -> np.ndarray:
    hz = _bins_hz()
    # float64, so that moments about the centroid come from those about 0, in one product.
    sums = power.astype(np.float64) @ _power_weights()
    low, high = sums[:, 5:].T
    centroid, second, third, fourth = _moments(sums[:, :5])
    spread = np.maximum(np.sqrt(second), 1)
    variance = spread * spread
    total = power.sum(axis=1)
    log_power = np.log(power)
    running = np.cumsum(power / total[:, None], axis=1)
    rolloffs = [hz[(running >= part / 100).argmax(axis=1)] for part in ROLLOFFS]
    magnitude = np.sqrt(power)
    magnitude /= magnitude.sum(axis=1, keepdims=True)
    steps = magnitude[1:] - magnitude[:-1]
    peaks = [power[:, _band(*band)].max(axis=1) for band in HAMMARBERG_HZ]
    mean_log, *slopes = (log_power @ _log_weights()).T
    contours = [
        10 * np.log10(2 * total / (N_FFT * (_hann() ** 2).sum())),
        np.log(centroid),
        np.log(spread),
        third / (variance * spread),
        np.log(fourth / (variance * variance)),
        np.log(total) - np.einsum("tf,tf->t", power, log_power) / total,
        *(np.log(rolloff + hz[1]) for rolloff in rolloffs),
        np.concatenate([[0], np.sqrt(np.einsum("tf,tf->t", steps, steps))]),
        mean_log - np.log(total / len(hz)),
        10 * np.log10(low / high),
        10 * np.log10(peaks[0] / peaks[1]),
        *slopes,
        np.log(_zero_crossings(signal) + 1 / WINDOW),
        hnr_db,
    ]
    return np.array(contours, dtype=np.float32)


def _zero_crossings(signal: np.ndarray) -> np.ndarray:
    """Share of samples of each frame at which the sign changes, shape (n_frames,)."""
    sign = np.signbit(signal)
    crossings = np.flatnonzero(sign[1:] != sign[:-1]) + WINDOW // 2  # in the signal padded at its ends
    starts = np.arange(0, len(signal) + 1, HOP)
    first, last = (np.searchsorted(crossings, edge) for edge in (starts, starts + WINDOW - 1))
    return np.asarray((last - first) / (WINDOW - 1))


def _moments(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean, and second to fourth moments about it, from sums weighted by powers of frequency, 0 to 4."""
    mean, second, third, fourth = (sums[:, 1:] / sums[:, :1]).T
    square = mean * mean  # products take a fifth of the time of numpy's third and fourth powers
    return (
        mean,
        second - square,
        third - 3 * mean * second + 2 * mean * square,
        fourth - 4 * mean * third + 6 * square * second - 3 * square * square,
    )


@cache
def _hann() -> np.ndarray:
    return np.hanning(WINDOW + 1)[:-1].astype(np.float32)


@cache
def _bins_hz() -> np.ndarray:
    return np.fft.rfftfreq(N_FFT, 1 / RATE).astype(np.float32)


@cache
def _band(low: float, high: float) -> slice:
    """The bins from ``low`` up to, but not including, ``high`` Hz."""
    first, last = np.searchsorted(_bins_hz(), [low, high])
    return slice(int(first), int(last))


@cache
def _power_weights() -> np.ndarray:
    """Weights (n_bins, 7): powers 0 to 4 of frequency, and the two bands of the alpha ratio."""
    hz = _bins_hz().astype(np.float64)
    bands = np.zeros((len(hz), len(ALPHA_HZ)))
    for column, band in zip(bands.T, ALPHA_HZ, strict=True):
        column[_band(*band)] = 1
    return np.column_stack([np.vander(hz, 5, increasing=True), bands])


@cache
def _log_weights() -> np.ndarray:
    """Weights (n_bins, 1 + n_slopes) of the mean of log power and of its regression slopes, dB per kHz."""
    weights = np.zeros((len(_bins_hz()), 1 + len(SLOPES_HZ)), np.float32)
    weights[:, 0] = 1 / len(weights)
    for column, band in zip(weights[:, 1:].T, SLOPES_HZ, strict=True):
        khz = _bins_hz()[_band(*band)] / 1000
        khz = khz - khz.mean()
        column[_band(*band)] = DB * khz / (khz @ khz)
    return weights


@cache
def _mel_filters() -> np.ndarray:
    return mel_triangles(_bins_hz(), N_MELS, MEL_RANGE_HZ)


def mel_triangles(hz: np.ndarray, n_mels: int, band_hz: tuple[float, float]) -> np.ndarray:
    """Triangular filters (n_mels, n_bins), evenly spaced on the mel scale 2595 log10(1 + f / 700).

    Parameters
    ----------
    hz : frequencies of the bins, shape (n_bins,).
    band_hz : lower edge of the first filter and upper edge of the last.
    """
    low, high = (2595 * np.log10(1 + edge / 700) for edge in band_hz)
    edges = 700 * (10 ** (np.linspace(low, high, n_mels + 2) / 2595) - 1)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    filters = np.minimum((hz[None] - left) / (centre - left), (right - hz[None]) / (right - centre))
    return np.asarray(np.maximum(filters, 0), np.float32)


@cache
def _cosines() -> np.ndarray:
    """Weights (n_mfcc, n_mels) of the cepstra."""
    return dct_matrix(N_MFCC, N_MELS).astype(np.float32)

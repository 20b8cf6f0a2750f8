"""Fundamental frequency and harmonicity of speech by autocorrelation, all frames at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from eavctl.features.spectrum import spectra
from eavctl.features.statistics import median
from eavctl.signals.transforms import fast_length, irfft, rfft

LOWEST_HZ, HIGHEST_HZ = 70.0, 500.0
WINDOW_S = 0.04
OCTAVE_COST = 0.02  # correlation to gain for an octave lower, since a multiple of a period is a period too
JUMP_COST = 0.1  # correlation to gain for an octave away from the speaker's median pitch
VOICED = 0.45
ISOLATED_SEMITONES = 6.0  # a frame this far from its neighbours is a tracking error
NEIGHBOURS = 5
REFERENCE_HZ = 100.0
NEUTRAL_HZ = 150.0  # pitch assumed for a clip without voice, between men's and women's
HNR_RANGE_DB = (-20.0, 30.0)


@dataclass(frozen=True)
class Pitch:
    """Contours of one clip, each of shape (n_frames,).

    Parameters
    ----------
    semitones : F0 in semitones above 100 Hz; meaningful where ``voiced``.
    voiced : bool.
    hnr_db : harmonics-to-noise ratio, dB, between -20 and 30.
    """

    semitones: np.ndarray
    voiced: np.ndarray
    hnr_db: np.ndarray


def track(signal: np.ndarray, rate: int, hop: int) -> Pitch:
    """Track the pitch of a clip.

    The autocorrelation of windowed frames is divided by the window's own, so that its peaks measure
    periodicity: r / (1 - r) is the harmonics-to-noise ratio [1]_. A first pass finds the best lag of each
    frame; a second one adds a small cost for lags far from the clip's median pitch.

    Parameters
    ----------
    signal : float32, shape (n_samples,), without offset.
    rate, hop : Hz, and samples between frames; frame ``t`` is centred on sample ``t * hop``.

    References
    ----------
    .. [1] Boersma: Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise
       ratio of a sampled sound, IFA Proceedings 17, 1993.
    """
    correlation, lags = _autocorrelation(signal, rate, hop)
    inner = correlation[:, 1:-1]
    peak = (inner > correlation[:, :-2]) & (inner >= correlation[:, 2:])
    semitones = 12 * np.log2(rate / REFERENCE_HZ / lags[1:-1]).astype(np.float32)
    score = inner - OCTAVE_COST * np.log2(lags[1:-1] / lags[0]).astype(np.float32)
    score[~peak] = -1
    best = score.argmax(axis=1)
    frames = np.arange(len(best))
    sure = inner[frames, best] * peak[frames, best] > VOICED
    if sure.any():
        usual = median(semitones[best[sure]])
        best = (score - JUMP_COST / 12 * np.abs(semitones - usual)).argmax(axis=1)
    lag, strength = _refined(correlation, best + 1, lags)
    strength = strength * peak[frames, best]
    pitch = 12 * np.log2(rate / REFERENCE_HZ / lag)
    voiced = _without_isolated(pitch, strength > VOICED)
    strength = np.clip(strength, 1e-3, 1 - 1e-3)
    hnr = np.clip(10 * np.log10(strength / (1 - strength)), *HNR_RANGE_DB)
    return Pitch(pitch.astype(np.float32), voiced, hnr.astype(np.float32))


def _autocorrelation(signal: np.ndarray, rate: int, hop: int) -> tuple[np.ndarray, np.ndarray]:
    """Normalised autocorrelation (n_frames, n_lags), and the lags in samples."""
    window, inverse, n_fft, lags = _analysis(rate)
    normalised = np.empty((1 + len(signal) // hop, len(lags)), np.float32)
    for part, spectrum in spectra(signal, window, hop, n_fft):
        spectrum *= spectrum.conj()
        correlation = irfft(spectrum, n_fft)
        energy = np.maximum(correlation[:, :1], np.finfo(np.float32).tiny)
        np.multiply(correlation[:, lags[0] : lags[-1] + 1] / energy, inverse, out=normalised[part])
    return normalised, lags


@cache
def _analysis(rate: int) -> tuple[np.ndarray, np.ndarray, int, np.ndarray]:
    """Hann window, inverse of its normalised autocorrelation at the lags, transform length, and lags."""
    length = round(WINDOW_S * rate) // 2 * 2
    window = np.hanning(length + 2)[1:-1]
    lags = np.arange(int(rate / HIGHEST_HZ) - 1, int(rate / LOWEST_HZ) + 2)
    n_fft = fast_length(length + int(lags[-1]))
    own = irfft(np.abs(rfft(window, n_fft)) ** 2 + 0j, n_fft)
    return window.astype(np.float32), (own[0] / own[lags]).astype(np.float32), n_fft, lags


def _refined(correlation: np.ndarray, best: np.ndarray, lags: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lag and height of the parabola through each best lag and its neighbours."""
    frames = np.arange(len(best))
    before, here, after = (correlation[frames, best + step].astype(np.float64) for step in (-1, 0, 1))
    bend = before - 2 * here + after
    shift = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, -1), 0)
    shift = np.clip(shift, -0.5, 0.5)
    return lags[best] + shift, here - 0.25 * (before - after) * shift


def _without_isolated(pitch: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """Voiced frames whose pitch agrees with the median of the frames around them."""
    if not voiced.any():
        return voiced
    filled = np.where(voiced, pitch, median(pitch[voiced]))
    padded = np.pad(filled, NEIGHBOURS // 2, mode="edge")
    around = np.sort(np.lib.stride_tricks.sliding_window_view(padded, NEIGHBOURS), axis=1)
    return np.asarray(voiced & (np.abs(pitch - around[:, NEIGHBOURS // 2]) < ISOLATED_SEMITONES))

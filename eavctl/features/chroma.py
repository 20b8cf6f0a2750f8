"""Chroma: energy in the twelve pitch classes, tuned to the recording, by librosa's conventions."""

from __future__ import annotations

from functools import cache

import numpy as np

from eavctl.features.statistics import median

N_CHROMA = 12
A4_HZ = 440.0
PIANO_OCTAVE, OCTAVE_WIDTH = 5.0, 2.0  # filters weigh most around octave 5
PEAK_RANGE_HZ = (150.0, 4000.0)
PEAK_THRESHOLD = 0.1
TUNING_STEPS = 100


def chroma(power: np.ndarray, rate: int, n_fft: int) -> np.ndarray:
    """Chroma of a power spectrum (n_bins, n_frames), shape (12, n_frames); the maximum of each frame is 1."""
    raw = chroma_filters(rate, n_fft, tuning(power, rate, n_fft)).astype(power.dtype) @ power
    highest = raw.max(axis=0, keepdims=True)
    return np.asarray(raw / np.where(highest < np.finfo(raw.dtype).tiny, 1, highest))


def tuning(power: np.ndarray, rate: int, n_fft: int) -> float:
    """Deviation of the recording's peaks from 440 Hz tuning, in semitones from -0.5 to 0.5.

    Parabolas through neighbouring bins locate the peaks of the spectrum; the result is the most common
    deviation among the stronger half of them. Working on peaks alone gives most of the speed.
    """
    hz = np.fft.rfftfreq(n_fft, 1 / rate)
    low, high = np.searchsorted(hz, [PEAK_RANGE_HZ[0], min(PEAK_RANGE_HZ[1], rate / 2)])
    low, high = max(low, 1), min(high, len(power) - 1)
    frames = power.T  # as they lie in memory
    strong = np.flatnonzero(frames[:, low:high] > PEAK_THRESHOLD * frames.max(axis=1, keepdims=True))
    which, bins = np.divmod(strong, high - low)
    before, middle, after = (frames[which, low + bins + step] for step in (-1, 0, 1))
    peaks = (middle > before) & (middle >= after)
    before, middle, after = before[peaks], middle[peaks], after[peaks]
    bins = low + bins[peaks]
    slope, bend = (after - before) / 2, after - 2 * middle + before
    shift = np.where(np.abs(slope) >= np.abs(bend), 0, -slope / np.where(bend == 0, 1, bend))
    strength = middle + 0.5 * slope * shift
    pitches = (bins + shift) * rate / n_fft
    if not len(pitches):
        return 0.0
    heard = pitches[strength >= median(strength)]
    deviation = np.mod(N_CHROMA * np.log2(heard / (A4_HZ / 16)), 1.0)
    deviation[deviation >= 0.5] -= 1
    edges = np.linspace(-0.5, 0.5, TUNING_STEPS + 1)
    counts = np.diff(np.searchsorted(np.sort(deviation), edges))
    return float(edges[np.argmax(counts)])


@cache
def chroma_filters(rate: int, n_fft: int, tuning: float) -> np.ndarray:
    """Filters (12, n_bins): a bump for each pitch class, C first, repeated in every octave.

    Reference: Ellis, Chroma feature analysis and synthesis, Columbia University, 2007.
    """
    hz = np.arange(1, n_fft) * rate / n_fft
    place = N_CHROMA * np.log2(hz / (A4_HZ * 2 ** (tuning / N_CHROMA) / 16))
    place = np.concatenate([[place[0] - 1.5 * N_CHROMA], place])  # 0 Hz has no pitch: put it far below
    width = np.concatenate([np.maximum(np.diff(place), 1), [1]])
    half = N_CHROMA // 2
    distance = np.remainder(place - np.arange(N_CHROMA)[:, None] + half + 10 * N_CHROMA, N_CHROMA) - half
    filters = np.exp(-0.5 * (2 * distance / width) ** 2)
    filters /= np.sqrt((filters**2).sum(axis=0))
    filters *= np.exp(-0.5 * ((place / N_CHROMA - PIANO_OCTAVE) / OCTAVE_WIDTH) ** 2)
    return np.ascontiguousarray(np.roll(filters, -3, axis=0)[:, : n_fft // 2 + 1])

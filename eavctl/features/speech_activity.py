"""Whether a recording holds speech: measures of voice, syllables and spectrum, and a logistic rule.

The measures use the band of a telephone only, and ratios, so that level, telephone and microphone matter
little. ``benchmarks/speech_activity.py`` fits the rule's constants and evaluates it.
"""

from __future__ import annotations

import itertools
import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from eavctl.errors import SignalError
from eavctl.features import pitch
from eavctl.features.descriptors import loud_level, mel_triangles
from eavctl.features.spectrum import spectra
from eavctl.features.statistics import median
from eavctl.signals.transforms import dct_matrix, fast_length

SHORTEST_S = 0.25  # below it no answer is possible, and the recording passes
LONGEST_S = 5.0  # of what is measured at once; longer recordings are cut
WINDOW_S = 4.0  # of the parts of a longer recording
LEAST_SHARE = 0.1  # of the parts that must hold speech
DURATIONS_S = (0.7, 1.5)  # of a short and a long recording
FARTHEST = 4.0  # deviations from the mean
SILENT_DB = -60.0  # below full scale
HOP_S, FRAME_S, TRANSFORM_S = 0.01, 0.025, 0.032
PITCH_EVERY = 2  # frames
BAND_HZ = (250.0, 3600.0)  # what every telephone passes
N_MELS, N_CEPSTRA = 18, 9
FLOOR = 1e-6  # of the strongest bin
ACTIVE_DB = 25.0  # below the level of the loud frames; quieter frames are pauses
FLAT_SEMITONES, JUMP_SEMITONES = 0.05, 2.0  # steps of pitch in 20 ms: below, of a machine; above, of errors
LAGS = (2, 4, 8, 16, 30)  # frames over which changes are measured: from a sound's to a syllable's length
RANGE_DB = 35.0  # below the loud frames, of what counts as a change
LEAST_CHANGE_DB2, LEAST_STEP, LEAST_STD_DB, TINY = 0.1, 0.01, 0.3, 1e-6  # added, or the least to divide by
LEAST_PEAK, LEAST_POWER = 1e-20, 1e-30
FEWEST_PAIRS = 3
NEUTRAL_SEMITONES = 7.0  # above 100 Hz, of a signal without voice

# Mean and deviation of each measure over speech; weights of its distance from the mean, and of that squared.
CONSTANT, AT_SHORT, AT_LONG = 10.08, -6.091, -3.553
RULE = {
    "active": (0.7957, 0.2135, -0.6679, -0.09078),
    "voiced": (0.6507, 0.2507, -1.024, 0.3706),
    "hnr": (4.39, 4.673, 1.094, -0.1603),
    "hnr_std": (6.316, 1.957, 0.4344, -0.04156),
    "hnr_with_level": (0.5769, 0.2273, 1.175, 0.05296),
    "pitch_step": (-0.944, 0.9579, -0.08528, -0.2241),
    "pitch_flat": (0.07467, 0.06161, 0.1381, -0.3614),
    "pitch_jumps": (0.09069, 0.1557, -0.3911, 0.007117),
    "pitch_std": (2.926, 1.356, 0.1068, -0.08759),
    "pitch_median": (10.25, 6.575, -0.2824, -0.5912),
    "voiced_run": (2.39, 0.6593, 0.0872, -0.2136),
    "level_std": (7.419, 1.198, 0.5241, 0.05748),
    "level_skewness": (-0.003675, 0.5627, 0.5552, -0.09883),
    "flatness": (-2.654, 0.8135, 0.4468, 0.1663),
    "flatness_std": (1.074, 0.28, -1.129, -0.1072),
    "peak": (5.722, 1.137, -0.1082, -0.2251),
    "tilt": (15.74, 8.317, 0.3184, -0.4306),
    "variety": (4.132, 0.4665, -0.08745, 0.04192),
    "shape_change2": (3.518, 0.2831, 0.4403, -0.1945),
    "shape_change4": (4.103, 0.3824, 0.4091, -0.08416),
    "shape_change8": (4.574, 0.4468, 0.4653, -0.2158),
    "shape_change16": (4.833, 0.4917, 0.1366, 0.03771),
    "shape_change30": (4.888, 0.4988, 0.46, -0.2475),
    "level_change2": (3.237, 0.5485, -0.4658, -0.0377),
    "level_change4": (4.033, 0.5535, 0.556, -0.1403),
    "level_change8": (4.563, 0.5268, -0.2285, 0.1467),
    "level_change16": (4.654, 0.4755, -1.049, -0.2638),
    "level_change30": (4.644, 0.4552, -0.4088, 0.002616),
    "variety_beside_level": (0.1529, 0.3631, -0.159, -0.2752),
    "flatness_with_level": (-0.7016, 0.2018, 0.6438, -0.2569),
}
NAMES = tuple(RULE)
_MEAN, _SCALE, _LINEAR, _SQUARE = np.array(list(RULE.values())).T


def require_speech(signal: np.ndarray, rate: float) -> None:
    """Refuse a recording without speech; parameters are those of `holds_speech`.

    Raises
    ------
    SignalError : no speech was found, or the recording is silent.
    """
    if holds_speech(signal, rate):
        return
    power = np.mean(np.square(signal - signal.mean(dtype=np.float64)))
    if power < 10 ** (SILENT_DB / 10):
        raise SignalError("no speech: the recording is silent")
    raise SignalError("no speech was found (only noise, tones, music or the like)")


def holds_speech(signal: np.ndarray, rate: float) -> bool:
    """Whether a recording holds speech.

    A long recording is judged in parts of 4 s: a tenth of them must hold speech.

    Parameters
    ----------
    signal : float32, shape (n_samples,), of any level. One shorter than `SHORTEST_S` passes.
    rate : Hz. A recording of less than 7200 Hz, which lacks a part of the band, passes.
    """
    rate = round(rate)
    if len(signal) < SHORTEST_S * rate or rate < 2 * BAND_HZ[1]:
        return True
    if len(signal) <= LONGEST_S * rate:
        return _is_speech(signal, rate)
    length = round(WINDOW_S * rate)
    n_parts = math.ceil(len(signal) / length)
    starts = [i * (len(signal) - length) // (n_parts - 1) for i in range(n_parts)]
    wanted = math.ceil(LEAST_SHARE * n_parts)
    found = (start for start in starts if _is_speech(signal[start : start + length], rate))
    return sum(1 for _ in itertools.islice(found, wanted)) == wanted


def _is_speech(signal: np.ndarray, rate: int) -> bool:
    if np.ptp(signal) == 0:
        return False
    weights = np.concatenate([_LINEAR, _SQUARE])
    logit = float(terms(measures(signal, rate), _MEAN, _SCALE) @ weights) + CONSTANT
    return logit >= float(least_logit(len(signal) / rate, AT_SHORT, AT_LONG))


def least_logit(seconds: Any, at_short: float, at_long: float) -> Any:
    """Least log odds for speech: a short recording says less, and is accepted with less."""
    return np.interp(np.log(seconds), np.log(DURATIONS_S), (at_short, at_long))


def terms(values: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """What the rule weighs: measures (..., n) as distances from the mean, within 4, and their squares."""
    distance = np.clip((values - mean) / scale, -FARTHEST, FARTHEST)
    return np.concatenate([distance, distance * distance], axis=-1)


def measures(signal: np.ndarray, rate: int) -> np.ndarray:
    """Compute the measures that the rule weighs.

    Parameters
    ----------
    signal : float32, shape (n_samples,), at least `SHORTEST_S`, not constant.
    rate : Hz, at least 7200.

    Returns
    -------
    float64, one value for each of `NAMES`:

    - share of active frames, and of voiced ones among them;
    - harmonics-to-noise ratio: mean, deviation, and correlation with the level, because loud sounds of
      speech are voiced;
    - pitch: logarithm of the median step in 20 ms, shares of steps that are very small (instruments and
      machines hold their pitch) and large, deviation and median in semitones, and logarithm of the mean
      length of voiced runs;
    - level: deviation in dB, and skewness;
    - flatness and peak of the spectrum: means of logarithms, deviation, correlation with the level;
    - tilt and variety of the mel cepstrum;
    - logarithm of the mean squared change of the cepstrum and of the level over 20 to 300 ms: noise changes
      at once, notes by steps or hardly, speech with its syllables.
    """
    signal = signal - signal.mean(dtype=np.float64).astype(np.float32)
    signal /= max(np.abs(signal).max(), LEAST_PEAK)  # squares of very small values are 0 in float32
    frames = _frames(signal, rate)
    return np.array([*_voice(frames), *_spectrum(frames)], np.float64)


class _Frames(NamedTuple):
    """Contours of a signal at 100 frames a second, and its pitch at 50.

    Parameters
    ----------
    power : shape (n_frames, n_bins), with a floor.
    mel_db : dB, shape (n_frames, n_mels).
    level : dB, shape (n_frames,).
    loud : dB, the level of the loud frames.
    active : bool, shape (n_frames,): not in a pause.
    track : pitch, every second frame.
    """

    power: np.ndarray
    mel_db: np.ndarray
    level: np.ndarray
    loud: float
    active: np.ndarray
    track: pitch.Pitch


def _frames(signal: np.ndarray, rate: int) -> _Frames:
    hop = round(HOP_S * rate)
    power = _power(signal, rate, hop)
    mel_db = 10 * np.log10(power @ _filters(rate).T)
    level = 10 * np.log10(power.sum(axis=1))
    loud = loud_level(level)
    track = pitch.track(signal, rate, PITCH_EVERY * hop)
    return _Frames(power, mel_db, level, loud, level > loud - ACTIVE_DB, track)


def _voice(frames: _Frames) -> list[float]:
    track = frames.track
    level, active = (each[::PITCH_EVERY][: len(track.voiced)] for each in (frames.level, frames.active))
    voiced, semitones = track.voiced & active, track.semitones
    hnr = track.hnr_db[active]
    steps = np.abs(semitones[1:] - semitones[:-1])[voiced[1:] & voiced[:-1]]
    n_steps, n_active = max(len(steps), 1), max(int(active.sum()), 1)
    return [
        frames.active.mean(),
        voiced.sum() / n_active,
        hnr.mean() if len(hnr) else 0.0,
        hnr.std() if len(hnr) else 0.0,
        _correlation(hnr, level[active]),
        np.log((median(steps) if len(steps) else 0.0) + LEAST_STEP),
        (steps < FLAT_SEMITONES).sum() / n_steps,
        (steps > JUMP_SEMITONES).sum() / n_steps,
        semitones[voiced].std() if voiced.any() else 0.0,
        median(semitones[voiced]) if voiced.any() else NEUTRAL_SEMITONES,
        np.log(_mean_run(voiced) + 1),
    ]


def _spectrum(frames: _Frames) -> list[float]:
    active = frames.active
    lowest = frames.loud - RANGE_DB
    cepstrum = np.maximum(frames.mel_db, lowest - 10 * math.log10(N_MELS)) @ dct_matrix(N_CEPSTRA, N_MELS).T
    shape, level = cepstrum[:, 1:], np.maximum(frames.level, lowest)
    log_power = np.log(frames.power[active])
    mean_log = log_power.mean(axis=1)
    flatness = mean_log - np.log(frames.power[active].mean(axis=1))
    loud = level[active]
    variety = shape[active].var(axis=0).mean()
    return [
        loud.std(),
        _skewness(loud),
        flatness.mean(),
        flatness.std(),
        (log_power.max(axis=1) - mean_log).mean(),
        shape[active, 0].mean(),
        np.log(variety + LEAST_CHANGE_DB2),
        *_changes(shape, active),
        *_changes(level[:, None], active),
        np.log(variety + LEAST_CHANGE_DB2) - np.log(loud.var() + LEAST_CHANGE_DB2),
        _correlation(flatness, loud),
    ]


def _changes(contours: np.ndarray, active: np.ndarray) -> list[float]:
    """Logarithm of the mean squared change over each of `LAGS`, between active frames.

    Where a signal is too short for a lag, that of the lag before is repeated.
    """
    found: list[float] = []
    for lag in LAGS:
        both = active[lag:] & active[:-lag]
        if np.count_nonzero(both) < FEWEST_PAIRS:
            found.append(found[-1] if found else 0.0)
            continue
        step = (contours[lag:] - contours[:-lag])[both]
        found.append(float(np.log(np.mean(step * step) + LEAST_CHANGE_DB2)))
    return found


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    if len(one) < FEWEST_PAIRS:
        return 0.0
    one, other = one - one.mean(), other - other.mean()
    return float(one @ other / (np.sqrt((one @ one) * (other @ other)) + TINY))


def _skewness(values: np.ndarray) -> float:
    centred = values - values.mean()
    return float((centred**3).mean() / max(centred.std(), LEAST_STD_DB) ** 3)


def _mean_run(voiced: np.ndarray) -> float:
    """Mean length of the runs of voiced frames, weighted by length."""
    edges = np.flatnonzero(np.diff(voiced.astype(np.int8), prepend=0, append=0))
    lengths = edges[1::2] - edges[::2]
    return float((lengths * lengths).sum() / max(lengths.sum(), 1))


def _power(signal: np.ndarray, rate: int, hop: int) -> np.ndarray:
    """Power spectrum within `BAND_HZ` with a floor, shape (n_frames, n_bins)."""
    n_fft, bins = _bins(rate)
    length = round(FRAME_S * rate) // 2 * 2
    window = np.hanning(length + 1)[:-1].astype(np.float32)
    power = np.empty((1 + len(signal) // hop, bins.stop - bins.start), np.float32)
    for part, spectrum in spectra(signal, window, hop, n_fft):
        within = spectrum[:, bins]
        np.add(np.square(within.real), np.square(within.imag), out=power[part])
    power += max(FLOOR * power.max(), LEAST_POWER)
    return power


@cache
def _bins(rate: int) -> tuple[int, slice]:
    """Length of the transform, and its bins within `BAND_HZ`."""
    n_fft = fast_length(round(TRANSFORM_S * rate))
    first, last = np.searchsorted(np.fft.rfftfreq(n_fft, 1 / rate), BAND_HZ)
    return n_fft, slice(int(first), int(last))


@cache
def _filters(rate: int) -> np.ndarray:
    """Triangular filters (n_mels, n_bins) in `BAND_HZ`, evenly spaced on the mel scale."""
    n_fft, bins = _bins(rate)
    return mel_triangles(np.fft.rfftfreq(n_fft, 1 / rate)[bins], N_MELS, BAND_HZ)

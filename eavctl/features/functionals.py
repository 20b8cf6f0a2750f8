"""Feature sets ``functionals`` and ``functionals-core``: statistics of speech descriptors over a clip."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from eavctl.errors import SignalError
from eavctl.features import descriptors
from eavctl.features.descriptors import FRAMES_PER_S, MFCC_NAMES, RATE, SPECTRAL_NAMES, Descriptors
from eavctl.features.families import FAMILY
from eavctl.features.pitch import NEUTRAL_HZ, REFERENCE_HZ
from eavctl.features.statistics import (
    OUTLINE_NAMES,
    SHAPE_NAMES,
    STATISTIC_NAMES,
    correlations,
    delayed_correlations,
    delta,
    distribution,
    regression_slopes,
    slope,
    upper_minus_lower,
)
from eavctl.registry import register
from eavctl.signals.transforms import fast_length, rfft

SHORTEST_S = 0.1
FEWEST_VOICED = 5  # frames; below it statistics of the voice are taken over the active frames
N_CEPSTRA = 13  # of the 20 MFCC, those whose correlations are taken
MELS_PER_GROUP = 4
MODULATION_EDGES_HZ = (0.5, 1.5, 3.0, 5.0, 7.0, 10.0, 14.0, 20.0, 28.0, 40.0)
MODULATION_FFT = 1024  # frames, 10 s: longer clips take longer transforms
MODULATION_FLOOR = 1e-3
ENVELOPE_RANGE_DB = 50.0
SLOW_WIDTH = 10  # frames to either side
LEAST_DB2, LEAST_SEMITONE2 = 10.0, 5.0  # sums of squares below which energy and pitch count as steady
DELAYS = (12, 25)  # frames: half a syllable and a whole one, at four syllables a second
DELAYED = ("energy_db", "centroid", "flux")
VOICE_QUALITY = ("energy_db", "centroid", "flux", "alpha_ratio", "hnr")
_OUTLINE = [SHAPE_NAMES.index(name) for name in OUTLINE_NAMES]
RHYTHM_NAMES = (
    "voiced_share",
    "active_share",
    "voiced_runs_per_s",
    "voiced_run_mean_s",
    "voiced_run_std_s",
    "voiced_run_max_s",
    "energy_peaks_per_s",
)


class Block(NamedTuple):
    """Values of one kind, and their names."""

    names: tuple[str, ...]
    values: np.ndarray


def family_of(name: str) -> str:
    """The family of a column, by its name: what is described, whatever the statistic.

    Correlations are a family of their own: each is of two contours.
    """
    if name in RHYTHM_NAMES:
        return "rhythm"
    kind = name.partition("_")[0]
    if kind == "modulation":
        return "modulation"
    if kind in ("corr", "voicedcorr") or kind.startswith("delay"):
        return "correlations"
    contour = name
    for changed in ("voiced_", "delta_", "slowdelta_", "change_"):
        contour = contour.removeprefix(changed)
    starts = {"mfcc": "cepstra", "f0": "pitch", "energy": "energy", "hnr": "voice quality"}
    return next((family for start, family in starts.items() if contour.startswith(start)), "spectrum")


@cache
def names() -> tuple[str, ...]:
    """Names of the columns of `functionals`."""
    return _names(_blocks)


@cache
def core_names() -> tuple[str, ...]:
    """Names of the columns of `functionals_core`."""
    return _names(_core_blocks)


def _names(blocks: Callable[[Descriptors], list[Block]]) -> tuple[str, ...]:
    noise = np.random.default_rng(0).normal(size=RATE).astype(np.float32)
    return tuple(name for block in blocks(descriptors.describe(noise)) for name in block.names)


@register(
    "features",
    "functionals",
    modality="audio",
    version=1,
    rate=RATE,
    columns=names,
    units="see the names: dB, Hz, semitones, log Hz",
    families={FAMILY: family_of},
)
def functionals(signal: np.ndarray, rate: int) -> np.ndarray:
    """Statistics of low-level descriptors of speech.

    Energy, spectral shape, voice quality and 20 MFCC (see `eavctl.features.descriptors`), with their
    deltas and the pitch, are reduced to moments, percentiles and slopes [1]_: over active frames, because
    pauses depend on how a clip was cut, and over voiced frames for voice quality. Added to them are the
    modulation spectrum of the mel bands [2]_, the rhythm of voicing, the change of the spectrum as the voice
    grows louder and higher, and the correlations of cepstra, their deltas, pitch and energy, without delay
    and delayed by an eighth and a quarter of a second [3]_.

    The level is kept (``energy_db``, ``mfcc0``): within a corpus it separates loud from soft speech. The
    length is not: it depends on how a clip was cut.

    Parameters
    ----------
    signal : float32, shape (n_samples,), at least 0.1 s.
    rate : 16000.

    Returns
    -------
    float32 array, one value for each of `names`; finite for every signal that is not constant.

    Raises
    ------
    SignalError : shorter than 0.1 s, or constant.

    References
    ----------
    .. [1] Schuller et al.: The INTERSPEECH 2013 computational paralinguistics challenge, 2013.
    .. [2] Wu, Falk, Chan: Automatic speech emotion recognition using modulation spectral features, Speech
       Communication 53(5), 2011.
    .. [3] Williamson et al.: Vocal biomarkers of depression based on motor incoordination, AVEC 2013.
    """
    return _described(signal, rate, _blocks)


@register(
    "features",
    "functionals-core",
    modality="audio",
    version=1,
    rate=RATE,
    columns=core_names,
    units="see the names: dB, Hz, semitones, log Hz",
    families={FAMILY: family_of},
)
def functionals_core(signal: np.ndarray, rate: int) -> np.ndarray:
    """Those of the `functionals` that hold across data sets: 2341 of 3415 columns.

    Left out are the delayed correlations, by which alone a classifier of one corpus is at chance on another,
    and the correlations over voiced frames, which the microphone and the room change more than those over
    all active frames. Inside a corpus both help.

    Parameters, result and errors are those of `functionals`.
    """
    return _described(signal, rate, _core_blocks)


def _described(signal: np.ndarray, rate: int, blocks: Callable[[Descriptors], list[Block]]) -> np.ndarray:
    """Check a signal, and compute the values of its blocks."""
    if rate != RATE:
        raise ValueError(f"functionals takes {RATE} Hz, not {rate}")
    if len(signal) < SHORTEST_S * rate:
        raise SignalError(f"too short: {len(signal) / rate:.3f} s, and {SHORTEST_S} s are needed")
    if np.ptp(signal) == 0:
        raise SignalError("constant: every sample is the same")
    found = blocks(descriptors.describe(signal))
    return np.concatenate([block.values.ravel() for block in found]).astype(np.float32)


def _blocks(found: Descriptors) -> list[Block]:
    change, pitch = delta(found.mfcc), _centred_pitch(found)
    return [
        *_core_blocks(found),
        _correlation_voiced(found, change, pitch, _voiced(found)),
        *_correlation_delayed(found, pitch),
    ]


def _core_blocks(found: Descriptors) -> list[Block]:
    voiced = _voiced(found)
    first, last = np.flatnonzero(found.active)[[0, -1]]
    spoken = slice(int(first), int(last) + 1)
    change, pitch = delta(found.mfcc), _centred_pitch(found)
    in_active = _over_active(found, change)
    spectral = found.spectral.compress(voiced, axis=1)
    return [
        in_active["spectral"],
        _statistics(SPECTRAL_NAMES, distribution(spectral), slope(spectral), prefix="voiced_"),
        in_active["mfcc"],
        in_active["delta"],
        *_pitch(found),
        in_active["slow"],
        *_with_effort(found, pitch, voiced),
        Block(RHYTHM_NAMES, _rhythm(found, spoken)),
        _modulation(found, spoken),
        _correlation_active(found, change, pitch),
    ]


def _voiced(found: Descriptors) -> np.ndarray:
    """The voiced frames; all active ones where too few are voiced."""
    return found.voiced if found.voiced.sum() >= FEWEST_VOICED else found.active


def _over_active(found: Descriptors, change: np.ndarray) -> dict[str, Block]:
    """Statistics over the active frames of descriptors, cepstra and their deltas, sorted in one call.

    The slow deltas are regressions over 210 ms, a syllable; the others, over 50 ms, follow single sounds.
    """
    slow = delta(np.concatenate([found.mfcc[:N_CEPSTRA], found.spectral]), SLOW_WIDTH)
    groups = (found.spectral, found.mfcc, change, slow)
    contours = np.concatenate(groups).compress(found.active, axis=1)
    n_spectral, n_mfcc = len(found.spectral), len(found.mfcc)
    slopes = slope(contours[: n_spectral + n_mfcc])
    shapes = np.split(distribution(contours), np.cumsum([len(group) for group in groups[:-1]]))
    slow_names = (*MFCC_NAMES[:N_CEPSTRA], *SPECTRAL_NAMES)
    return {
        "spectral": _statistics(SPECTRAL_NAMES, shapes[0], slopes[:n_spectral]),
        "mfcc": _statistics(MFCC_NAMES, shapes[1], slopes[n_spectral:]),
        "delta": Block(_combined("delta_", MFCC_NAMES, SHAPE_NAMES), shapes[2]),
        "slow": Block(_combined("slowdelta_", slow_names, OUTLINE_NAMES), shapes[3][:, _OUTLINE]),
    }


def _statistics(contours: tuple[str, ...], shapes: np.ndarray, slopes: np.ndarray, prefix: str = "") -> Block:
    return Block(_combined(prefix, contours, STATISTIC_NAMES), np.column_stack([shapes, slopes]))


def _pitch(found: Descriptors) -> list[Block]:
    """Statistics of F0 in semitones above 100 Hz, and of its steps from frame to frame."""
    semitones = found.semitones[found.voiced]
    together = found.voiced[1:] & found.voiced[:-1]
    steps = np.diff(found.semitones)[together]
    if len(semitones) < FEWEST_VOICED:
        semitones = np.full(FEWEST_VOICED, 12 * np.log2(NEUTRAL_HZ / REFERENCE_HZ), np.float32)
    if len(steps) < FEWEST_VOICED:
        steps = np.zeros(FEWEST_VOICED, np.float32)
    level, change = semitones[None], np.stack([steps, np.abs(steps)])
    return [
        _statistics(("f0_semitone",), distribution(level), slope(level)),
        Block(_combined("", ("delta_f0_semitone", "change_f0_semitone"), SHAPE_NAMES), distribution(change)),
    ]


def _with_effort(found: Descriptors, pitch: np.ndarray, voiced: np.ndarray) -> list[Block]:
    """Change of the voice's spectrum and cepstra with its level and its pitch."""
    names = (*SPECTRAL_NAMES[1:], *MFCC_NAMES[1:N_CEPSTRA])
    contours = np.concatenate([found.spectral[1:], found.mfcc[1:N_CEPSTRA]]).compress(voiced, axis=1)
    energy, pitch = found.spectral[0, voiced], pitch[voiced]
    return [
        Block(_combined("", names, ("per_db",)), regression_slopes(contours, energy, LEAST_DB2)),
        Block(_combined("", names, ("per_semitone",)), regression_slopes(contours, pitch, LEAST_SEMITONE2)),
        Block(_combined("", names, ("loud_minus_soft",)), upper_minus_lower(contours, energy)),
        Block(_combined("", names, ("high_minus_low",)), upper_minus_lower(contours, pitch)),
    ]


def _rhythm(found: Descriptors, spoken: slice) -> np.ndarray:
    voiced = found.voiced[spoken]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], voiced, [False]])))  # begin, end, begin, ...
    runs = np.diff(edges)[::2] / FRAMES_PER_S
    n_runs = len(runs)
    if not len(runs):
        runs = np.zeros(1)
    seconds = len(voiced) / FRAMES_PER_S
    energy = found.spectral[0, spoken]
    peaks = np.count_nonzero((energy[1:-1] > energy[:-2]) & (energy[1:-1] >= energy[2:]))
    return np.array(
        [
            voiced.mean(),
            found.active[spoken].mean(),
            n_runs / seconds,
            runs.mean(),
            runs.std(),
            runs.max(),
            peaks / seconds,
        ]
    )


def _modulation(found: Descriptors, spoken: slice) -> Block:
    """Log power of each envelope in bands of modulation rate: syllables at 2 to 8 Hz, roughness above."""
    groups = found.log_mel.reshape(-1, MELS_PER_GROUP, found.log_mel.shape[1]).mean(axis=1)
    envelopes = np.concatenate([groups, found.spectral[:1]])[:, spoken]
    envelopes = np.maximum(envelopes, envelopes.max(axis=1, keepdims=True) - ENVELOPE_RANGE_DB)
    n_frames = envelopes.shape[1]
    n_fft = max(MODULATION_FFT, fast_length(n_frames))
    centred = envelopes - envelopes.mean(axis=1, keepdims=True)
    spectrum = rfft(centred * np.hanning(n_frames + 2)[1:-1].astype(np.float32), n_fft)
    power = (spectrum.real**2 + spectrum.imag**2) / n_frames
    edges = np.searchsorted(np.fft.rfftfreq(n_fft, 1 / FRAMES_PER_S), MODULATION_EDGES_HZ)
    bands = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1) / np.diff(edges).astype(np.float32)
    centres = [f"{(a + b) / 2:g}hz" for a, b in pairwise(MODULATION_EDGES_HZ)]
    contours = (*(f"mel{i}" for i in range(len(groups))), "energy")
    return Block(
        _combined("modulation_", contours, tuple(centres)),
        np.log(bands + MODULATION_FLOOR),
    )


def _correlation_active(found: Descriptors, change: np.ndarray, pitch: np.ndarray) -> Block:
    plain, energy = found.mfcc[:N_CEPSTRA], found.spectral[:1]
    change = change[:N_CEPSTRA]
    changes = delta(np.concatenate([change, energy]))
    contours = np.concatenate([plain, change, changes[:-1], pitch[None], energy, changes[-1:]])
    cepstra = MFCC_NAMES[:N_CEPSTRA]
    labels = (
        *cepstra,
        *(f"delta_{name}" for name in cepstra),
        *(f"deltadelta_{name}" for name in cepstra),
        "f0",
        "energy",
        "delta_energy",
    )
    return Block(_pairs(labels, "corr"), correlations(contours.compress(found.active, axis=1)))


def _correlation_voiced(
    found: Descriptors, change: np.ndarray, pitch: np.ndarray, voiced: np.ndarray
) -> Block:
    quality = [SPECTRAL_NAMES.index(name) for name in VOICE_QUALITY]
    contours = np.concatenate(
        [found.mfcc[:N_CEPSTRA], change[:N_CEPSTRA], found.spectral[quality], pitch[None]]
    )
    cepstra = MFCC_NAMES[:N_CEPSTRA]
    labels = (*cepstra, *(f"delta_{name}" for name in cepstra), *VOICE_QUALITY, "f0")
    return Block(_pairs(labels, "voicedcorr"), correlations(contours.compress(voiced, axis=1)))


def _correlation_delayed(found: Descriptors, pitch: np.ndarray) -> list[Block]:
    quality = [SPECTRAL_NAMES.index(name) for name in DELAYED]
    contours = np.concatenate([found.mfcc[:N_CEPSTRA], found.spectral[quality], pitch[None]])
    labels = (*MFCC_NAMES[:N_CEPSTRA], *DELAYED, "f0")
    return [
        Block(
            _combined(f"delay{1000 * delay / FRAMES_PER_S:.0f}ms_", labels, labels),
            delayed_correlations(contours, found.active, delay),
        )
        for delay in DELAYS
    ]


def _centred_pitch(found: Descriptors) -> np.ndarray:
    """F0 minus its mean; 0 in unvoiced frames, so that they add nothing to a correlation."""
    if not found.voiced.any():
        return np.zeros_like(found.semitones)
    return np.where(found.voiced, found.semitones - found.semitones[found.voiced].mean(), 0)


@cache
def _combined(prefix: str, contours: tuple[str, ...], statistics: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{prefix}{contour}_{statistic}" for contour in contours for statistic in statistics)


@cache
def _pairs(labels: tuple[str, ...], prefix: str) -> tuple[str, ...]:
    return tuple(f"{prefix}_{a}_{b}" for i, a in enumerate(labels) for b in labels[i + 1 :])

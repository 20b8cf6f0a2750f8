"""The audio feature sets in this process, after a warm-up, compared with librosa and openSMILE."""

from __future__ import annotations

import sys
from collections.abc import Callable
from math import gcd

import librosa
import numpy as np
from scipy.signal import resample_poly

from benchmarks.measure import RUNS, Result, calls
from eavctl.features import audio
from eavctl.features.functionals import functionals
from eavctl.synthetic import twin_voice

RATE = 16000
CLIPS = ((3.5, RATE), (3.5, 22050), (30.0, RATE))  # seconds and sampling rate of the clips for seed33
TOLERANCE = 1e-4  # of the maximum of each matrix
SHORT_RUNS = 5 * RUNS  # for calls that take milliseconds


def measure(small: bool = False) -> list[Result]:
    """Measure `seed33` at several durations and rates, `seed33-fast`, `functionals` and `logmel`."""
    if small:
        clip = voice(1.0, RATE)
        return [*_seed33(1.0, RATE, 1), *_functionals(clip, 1), _logmel(clip, 1)]
    results = [
        line
        for seconds, rate in CLIPS
        for line in _seed33(seconds, rate, SHORT_RUNS if seconds < 10 else RUNS)
    ]
    return [*results, *_functionals(voice(3.5, RATE), SHORT_RUNS), _logmel(voice(2.9, RATE), SHORT_RUNS)]


def voice(seconds: float, rate: int) -> np.ndarray:
    """Synthetic speech, float32, (n_samples,), within -1 to 1."""
    rng = np.random.default_rng(1)
    drawn = twin_voice.speech(
        twin_voice.draw_speaker(rng), np.zeros(5), round(seconds * twin_voice.RATE), rng
    )
    common = gcd(rate, twin_voice.RATE)
    return resample_poly(drawn, rate // common, twin_voice.RATE // common).astype(np.float32)


def _seed33(seconds: float, rate: int, runs: int) -> list[Result]:
    clip = voice(seconds, rate)
    expected = with_librosa(clip, rate)
    results = []
    for name, ours, worst, goal in (
        ("seed33", audio.seed33, _worst(audio.seed33_matrices(clip.astype(np.float64), rate), expected), 10),
        ("seed33-fast", audio.seed33_fast, _worst(audio.seed33_matrices(clip, rate), expected), None),
    ):
        if goal and worst > TOLERANCE:
            raise AssertionError(f"{name}: {worst:.1e} of a matrix's maximum away from librosa")
        mine, theirs = calls(lambda ours=ours: ours(clip, rate), lambda: with_librosa(clip, rate), runs)
        results.append(
            Result(
                what=f"{name}, {seconds:g} s at {rate} Hz",
                beside="librosa, one call for each matrix",
                ours=mine,
                theirs=theirs,
                goal=goal,
                note=f"within {worst:.0e} of each matrix's maximum",
            )
        )
    return results


def with_librosa(clip: np.ndarray, rate: int) -> dict[str, np.ndarray]:
    """The matrices of `seed33` by one call of librosa each, in float64."""
    y = clip.astype(np.float64)
    return {
        "mfccs": librosa.feature.mfcc(y=y, sr=rate, n_mfcc=13),
        "chroma": librosa.feature.chroma_stft(y=y, sr=rate),
        "mel": librosa.feature.melspectrogram(y=y, sr=rate),
        "centroid": librosa.feature.spectral_centroid(y=y, sr=rate),
        "bandwidth": librosa.feature.spectral_bandwidth(y=y, sr=rate),
        "contrast": librosa.feature.spectral_contrast(y=y, sr=rate),
        "flatness": librosa.feature.spectral_flatness(y=y),
        "zcr": librosa.feature.zero_crossing_rate(y),
        "energy": librosa.feature.rms(y=y),
    }


def _worst(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """Largest difference of any matrix, relative to the maximum of the matrix."""
    return max(
        float(np.abs(found[name] - matrix).max() / np.abs(matrix).max()) for name, matrix in expected.items()
    )


def _functionals(clip: np.ndarray, runs: int) -> list[Result]:
    reference = _egemaps()
    if reference is None:
        print("functionals: skipped, the package opensmile is not installed", file=sys.stderr)
        return []
    mine, theirs = calls(lambda: functionals(clip, RATE), lambda: reference(clip), runs)
    seconds, n_features = len(clip) / RATE, len(functionals(clip, RATE))
    speeds = f"{seconds / mine.seconds:.0f} against {seconds / theirs.seconds:.0f} s of sound in a second"
    return [
        Result(
            what=f"functionals, {seconds:g} s of speech",
            beside="openSMILE eGeMAPSv02",
            ours=mine,
            theirs=theirs,
            goal=15,
            note=f"{speeds}; {n_features} against 88 features",
        )
    ]


def _egemaps() -> Callable[[np.ndarray], object] | None:
    """OpenSMILE's extended Geneva set for a clip of 16 kHz, if its Python package is installed."""
    try:
        import opensmile
    except ImportError:
        return None
    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02, feature_level=opensmile.FeatureLevel.Functionals
    )
    return lambda clip: smile.process_signal(clip, RATE)


def _logmel(clip: np.ndarray, runs: int) -> Result:
    """Measure `logmel` of a clip that is not cut."""
    mine, theirs = calls(lambda: audio.logmel(clip, RATE), lambda: logmel_with_librosa(clip), runs)
    expected = logmel_with_librosa(clip)
    away = np.abs(audio.logmel(clip, RATE)[:, : expected.shape[1]] - expected).max()
    return Result(
        what=f"logmel, {len(clip) / RATE:g} s",
        beside="librosa, melspectrogram and power_to_db",
        ours=mine,
        theirs=theirs,
        note=f"within {away:.0e} dB",
    )


def logmel_with_librosa(clip: np.ndarray) -> np.ndarray:
    """The spectrogram of `logmel` before padding, in dB relative to its maximum."""
    mel = librosa.feature.melspectrogram(
        y=clip, sr=RATE, n_fft=512, win_length=400, hop_length=160, n_mels=64
    )
    return librosa.power_to_db(mel, ref=np.max)

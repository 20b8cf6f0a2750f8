"""Print each ratio with the two medians that it comes from."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread each, before numpy is loaded

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import librosa
import numpy as np
import torch

from benchmarks import fusion
from eavctl.features.audio import logmel, seed33
from eavctl.features.functionals import functionals

RUNS = 7
SECONDS, RATE = 3.5, 16000


def main() -> None:
    """Measure everything."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    time_s = np.arange(int(SECONDS * RATE)) / RATE
    voice = np.sin(2 * np.pi * 150 * time_s + 5 * np.sin(2 * np.pi * 4 * time_s)) * (
        1 + np.sin(2 * np.pi * 3 * time_s)
    )
    clip = (0.2 * voice + 0.01 * rng.normal(size=len(time_s))).astype(np.float32)
    reference, ours = side_by_side(lambda: with_librosa(clip), lambda: seed33(clip, RATE))
    print(
        f"seed33: {reference / ours:.1f} x librosa, one call for each matrix "
        f"({1e3 * ours:.1f} against {1e3 * reference:.1f} ms)"
    )
    for feature in (functionals, logmel):
        taken, _ = side_by_side(lambda feature=feature: feature(clip, RATE), lambda: None)
        print(f"{feature.__name__}: {SECONDS / taken:.0f} x real time ({1e3 * taken:.1f} ms for {SECONDS} s)")
    interpreter, shown = side_by_side(
        lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
        lambda: subprocess.run(
            [sys.executable, "-m", "eavctl", "--help"], check=True, stdout=subprocess.DEVNULL
        ),
    )
    print(f"eavctl --help: {shown / interpreter:.1f} empty interpreters ({1e3 * shown:.0f} ms)")
    for method in ("ambt-mean", "ambt-concat"):
        apart, fused = side_by_side(fusion.STEPS["alone"](), fusion.STEPS[method]())
        print(
            f"{method}, tiny: a training step takes {fused / apart:.2f} x its three encoders alone "
            f"({1e3 * fused:.0f} against {1e3 * apart:.0f} ms, batch {fusion.BATCH}), "
            f"memory {fusion.peak_mb(method):.0f} against {fusion.peak_mb('alone'):.0f} MB"
        )


def with_librosa(clip: np.ndarray) -> None:
    """The matrices of seed33, one call of librosa for each."""
    y = clip.astype(np.float64)
    librosa.feature.mfcc(y=y, sr=RATE, n_mfcc=13)
    for compute in (
        "chroma_stft",
        "melspectrogram",
        "spectral_centroid",
        "spectral_bandwidth",
        "spectral_contrast",
    ):
        getattr(librosa.feature, compute)(y=y, sr=RATE)
    for compute in ("spectral_flatness", "zero_crossing_rate", "rms"):
        getattr(librosa.feature, compute)(y=y)


def side_by_side(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of both, run in turn after one run each that does not count."""
    taken: tuple[list[float], list[float]] = ([], [])
    for run in range(RUNS + 1):
        for times, work in zip(taken, (one, other), strict=True):
            start = time.perf_counter()
            work()
            if run:
                times.append(time.perf_counter() - start)
    return statistics.median(taken[0]), statistics.median(taken[1])


if __name__ == "__main__":
    main()

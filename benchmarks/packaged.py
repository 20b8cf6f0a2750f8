"""The packaged models as whole processes, cold: time and memory until the answer, beside importing numpy."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.measure import Result, commands
from benchmarks.recordings import COLD_RUNS
from benchmarks.sound import RATE, voice
from eavctl.packaged.models import NAMES, packaged

SECONDS, SYLLABLES_HZ = 3.5, 4
MOST = {"speech-small": "0.3 s, 80 MB", "speech": "1 s, 200 MB"}  # intended, whatever stands beside
FLOOR = ["python", "-c", "import numpy"]


def measure(small: bool = False) -> list[Result]:
    """Measure the answer of each packaged model that can run."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        clip = str(Path(folder) / "clip.wav")
        soundfile.write(clip, syllables(), RATE)
        for name in sorted(NAMES, reverse=True):
            if not packaged(name).can_run:
                print(f"{name}: skipped, the weights of its encoder are not installed", file=sys.stderr)
                continue
            answer = ["python", "-m", "eavctl", "predict", clip, "--model", name]
            taken = commands(
                answer, FLOOR, 0 if small else COLD_RUNS, environment={"OPENBLAS_NUM_THREADS": "1"}
            )
            what = f"predict clip.wav, packaged model {name}, cold process"
            results.append(Result(what, "importing numpy", *taken, note=f"wanted: {MOST[name]}"))
    return results


def syllables() -> np.ndarray:
    """Synthetic speech with the rhythm of syllables, by which the models tell speech from other sounds."""
    steady = voice(SECONDS, RATE)
    rhythm = np.sin(2 * np.pi * SYLLABLES_HZ * np.arange(len(steady)) / RATE)
    return steady * np.clip(rhythm + 0.4, 0, 1).astype(np.float32)

"""Peak memory of an extraction of 100,000 clips, compared with 1,000 clips."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.measure import Result, Taken, command_once

FEW, MANY = 1000, 100_000
SECONDS, RATE = 0.15, 16000
CLASSES = ("angry", "happy", "neutral", "sad")


def measure(small: bool = False) -> list[Result]:
    """Measure the extraction of `seed33` from many and from few short clips, with two processes."""
    few, many = (40, 80) if small else (FEW, MANY)
    with tempfile.TemporaryDirectory() as folder:
        taken = [_extract(_made_up(Path(folder, str(n)), n)) for n in (many, few)]
    return [Result(f"memory of extract --jobs 2, {many} clips", f"{few} clips", *taken, memory_goal=0.9)]


def _made_up(folder: Path, n_clips: int) -> Path:
    """A folder of class folders, each with one clip under many names."""
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        first = folder / name / "clip_000000.wav"
        soundfile.write(first, rng.normal(scale=0.1, size=round(SECONDS * RATE)), RATE, subtype="PCM_16")
        for number in range(1, n_clips // len(CLASSES)):
            os.link(first, folder / name / f"clip_{number:06d}.wav")
    return folder


def _extract(folder: Path) -> Taken:
    out = str(folder.with_suffix(".parquet"))
    return command_once(
        ["python", "-m", "eavctl", "extract", str(folder), "--features", "seed33", "-j", "2", "-o", out]
    )

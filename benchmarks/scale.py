"""A hundred thousand and a million recordings: time and memory of every stage, and two workers beside one."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from benchmarks.measure import Result, Taken, command_once
from eavctl.extraction.recipe import Recipe
from eavctl.storage.tables import FeatureWriter, key_frame, key_table

FEW, MANY = 100_000, 1_000_000
SECONDS, RATE = 0.1, 16000
CLASSES = ("angry", "happy", "neutral", "sad")
N_PEOPLE, N_COLUMNS = 200, 88
CHUNK = 10_000
FLAT = 1.2  # times the time of a row that a row may take where there are ten times as many
N_SHARED, N_TENSORS = 4000, 1200  # clips, and rows of a network, of which two workers have half each
SHARED_SECONDS = 3.0  # as clips of speech corpora last: of shorter ones the merging takes as long
EAVCTL = ("python", "-m", "eavctl")


def measure(small: bool = False) -> list[Result]:
    """Measure every stage on many and on few recordings, and Dask and torchrun with two workers."""
    few, many = (400, 800) if small else (FEW, MANY)
    with tempfile.TemporaryDirectory() as folder:
        stages = [_stages(Path(folder, str(n)), n) for n in (few, many)]
        found = [
            Result(
                f"{name}, {many:,} recordings, each",
                f"{few:,}",
                _each(stages[1][name], many),
                _each(stages[0][name], few),
                goal=1 / FLAT,
                note=f"{stages[1][name].seconds:.0f} s in all",
            )
            for name in stages[1]
        ]
        return [*found, _dask(Path(folder), small), _ranks(Path(folder), small)]


def _each(taken: Taken, n: int) -> Taken:
    return Taken(taken.seconds / n, taken.peak_mb)


def _stages(folder: Path, n: int) -> dict[str, Taken]:
    """Every stage on so many recordings, in order, with time and peak memory."""
    folder.mkdir()
    clips = made_clips(folder / "clips", n)
    taken = {"extract -j 2": _run(*_extract(clips, folder / "sound.parquet"), "-j", "2")}
    taken["extract of what is up to date"] = _run(*_extract(clips, folder / "sound.parquet"))
    table = made_table(folder / "made.parquet", n)
    linear, mlp, answers = folder / "linear.joblib", folder / "mlp.pt", folder / "linear.parquet"
    taken["train-linear"] = _run("train-linear", table, "-o", linear, "--predictions", answers)
    options = ["--encoder", "mlp", "--epochs", "1", "--batch", "1024", "--folds", "2", "-j", "2"]
    taken["train-dnn --encoder mlp"] = _run("train-dnn", table, "-o", mlp, *options)
    taken["predict of a table"] = _run(
        "predict", table, "--model", linear, "-o", folder / "predicted.parquet"
    )
    taken["report"] = _run("report", answers, "-o", folder / "report.html")
    return taken


def _dask(folder: Path, small: bool) -> Result:
    """Extraction by two workers of Dask beside one, of features that take long."""
    clips = made_clips(folder / "shared", 80 if small else N_SHARED, SHARED_SECONDS)
    words = ("extract", clips, "--features", "speech-encoder")
    taken = [_run(*words, "--dask", f"local:{n}", "-o", folder / f"shared-{n}.parquet") for n in (2, 1)]
    return Result("extract --features speech-encoder --dask local:2", "local:1", *taken, goal=1.7)


def _ranks(folder: Path, small: bool) -> Result:
    """Training by two ranks of torchrun beside one process, of one thread each."""
    table = made_table(folder / "tensors.parquet", 80 if small else N_TENSORS, (64, 300))
    words = ["-m", "eavctl", "train-dnn", table, "--encoder", "cnn-lstm", "--folds", "2", "-q", "-j", "1"]
    words += ["--epochs", "1" if small else "3", "--batch", "32"]
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    starts: Sequence[Sequence[str]] = (several, ())
    taken = [
        command_once(["python", *start, *map(str, words), "-o", str(folder / f"{len(start)}.pt")])
        for start in starts
    ]
    return Result("train-dnn --encoder cnn-lstm, torchrun of 2 ranks", "one process", *taken)


def _run(*words: str | Path) -> Taken:
    return command_once([*EAVCTL, *map(str, words), "-q"])


def _extract(clips: Path, out: Path) -> tuple[str | Path, ...]:
    return ("extract", clips, "--features", "seed33", "--pattern", "{label}/{subject}_{take}", "-o", out)


def made_clips(folder: Path, n: int, seconds: float = SECONDS) -> Path:
    """A folder of classes with so many clips of noise, each another one, of `N_PEOPLE` people."""
    n_samples = round(seconds * RATE)
    rng = np.random.default_rng(n)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
    first = io.BytesIO()  # its header is that of all: writing each by itself takes a millisecond
    soundfile.write(first, np.zeros(n_samples), RATE, "PCM_16", format="WAV")
    header = first.getvalue()[: -2 * n_samples]
    for number in range(n):
        person, take = number % N_PEOPLE, number // N_PEOPLE
        samples = rng.integers(-3000, 3000, n_samples, np.int16)
        with open(f"{folder}/{CLASSES[take % len(CLASSES)]}/{person:03d}_{take:06d}.wav", "wb") as file:
            file.write(header + samples.tobytes())
    return folder


def made_table(path: Path, n: int, shape: Sequence[int] = (N_COLUMNS,)) -> Path:
    """A feature table of so many rows, of four classes and `N_PEOPLE` people: columns, or tensors.

    Its values are made up; it is told to be of a feature set, or of some of its columns.
    """
    rng = np.random.default_rng(n)
    means = rng.normal(size=(len(CLASSES), *shape))
    recipe = Recipe("logmel" if len(shape) > 1 else "functionals-core")
    columns = recipe.columns and recipe.columns[: shape[0]]
    with FeatureWriter(path, columns, shape) as writer:
        for start in range(0, n, CHUNK):
            numbers = np.arange(start, min(start + CHUNK, n))
            y = rng.integers(len(CLASSES), size=len(numbers))
            names = [f"clip_{number:08d}" for number in numbers]
            people = [f"p{number % N_PEOPLE:03d}" for number in numbers]
            keys = {"sample_id": names, "clip_id": names, "dataset": "made", "subject": people}
            keys |= {"start": 0.0, "end": SECONDS}
            keys |= {"label": np.array(CLASSES, object)[y], "recording": [f"{n:016x}" for n in numbers]}
            x = means[y] + rng.normal(scale=4, size=(len(numbers), *shape))
            writer.write(key_table(key_frame(pd.DataFrame(keys))), x.astype(np.float32))
        more = {"classes": list(CLASSES), "shape": list(shape), "n_rows": n, "rejected": [], "versions": {}}
        writer.close({**recipe.meta(), "speech": True, **more})
    return path

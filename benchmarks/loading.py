"""Training CNN-LSTM from a table, compared with a DataLoader over one file per clip, one thread each."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import RUNS, Result, Taken, command_once
from eavctl.classifiers.dnn import DnnModel, fit
from eavctl.classifiers.network import as_batch
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.memory import keep_freed_memory
from eavctl.storage.tables import FeatureTable, read_features
from eavctl.synthetic.tones import synth_speech

BATCH = 32


def measure(small: bool = False) -> list[Result]:
    """Train both ways in separate processes, interleaved."""
    runs, per_class, epochs = (1, 4, 1) if small else (RUNS, 60, 3)
    with tempfile.TemporaryDirectory() as folder:
        clips, table = Path(folder, "clips"), Path(folder, "logmel.parquet")
        synth_speech(clips, per_class=per_class)
        extract = ("python", "-m", "eavctl", "extract", str(clips), "-o", str(table), "--force")
        told: list[dict[str, float]] = []
        for _ in range(runs):
            made = command_once([*extract, "--features", "logmel"]).seconds
            ours = _told("benchmarks.loading", table, epochs)
            theirs = _told("benchmarks.reference_dataloader", clips, epochs)
            if ours["parameters"] != theirs["parameters"]:
                raise AssertionError(f"{ours['parameters']} parameters beside {theirs['parameters']}")
            told.append({**theirs, **ours, "both": made + ours["seconds"]})
    n_clips = 4 * per_class
    what = f"training cnn-lstm, {n_clips} clips, {epochs} epochs"
    median = {name: statistics.median(each[name] for each in told) for name in told[0]}
    mine, both, plain, helped = (Taken(median[name]) for name in ("seconds", "both", "plain", "workers"))
    share = median["loading"] / median["seconds"]
    note = f"{median['parameters']:.0f} parameters each; loading is {share:.1%} of ours"
    return [
        Result(f"{what}, from a table", "DataLoader over one file a clip", mine, plain, 3, note=note),
        Result(
            f"{what}, table made too", "the same", both, plain, note="the table is made once, in a process"
        ),
        Result(f"{what}, from a table", "DataLoader, 2 workers beside", mine, helped),
    ]


def _told(module: str, *arguments: object) -> dict[str, float]:
    """The standard output of a module."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=one_thread)
    told: dict[str, float] = json.loads(done.stdout)
    return told


def train(table: FeatureTable, epochs: int) -> DnnModel:
    """Train as ``eavctl train-dnn`` does, one fit."""
    settings = TrainSettings(epochs=epochs, batch=BATCH, patience=epochs, device="cpu")
    return fit(table.x, table.keys["label"].to_numpy(), settings=settings)


def loading(path: str, epochs: int) -> float:
    """Seconds for the data loading of a training: read the table, and gather rows in random order."""
    start = time.perf_counter()
    x = read_features(path).x
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(BATCH):
            as_batch(x[rows.numpy()], torch.device("cpu"))
    return time.perf_counter() - start


def main() -> None:
    """Train on a few rows to warm up, then on all rows, timed."""
    path, epochs = sys.argv[1], int(sys.argv[2])
    keep_freed_memory()  # as the command does
    few = read_features(path)
    train(FeatureTable(few.keys[::10], few.x[::10], None), 1)
    start = time.perf_counter()
    model = train(read_features(path), epochs)
    told: dict[str, Any] = {"seconds": time.perf_counter() - start, "loading": loading(path, epochs)}
    told["parameters"] = sum(each.numel() for each in model.member(0)[0].parameters())
    print(json.dumps(told))


if __name__ == "__main__":
    main()

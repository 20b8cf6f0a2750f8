"""Classifiers of one person's EEG, each run left out in turn: the scores of docs/eeg.md.

    python -m benchmarks.eeg_scores RUNS --out runs --methods eegnet bands-svm

RUNS is a folder with runs of one person of PhysioNet EEGMMIDB, such as S001R03.edf; a task whose runs are not
all there is left out. What is done already is not done again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from eavctl.datasets.choice import Choice
from eavctl.datasets.events import Epochs
from eavctl.evaluation import formatting
from eavctl.extraction.recipe import Recipe
from eavctl.stages.extract import extract
from eavctl.stages.train_dnn import train_dnn
from eavctl.stages.train_linear import train_linear
from eavctl.stages.train_svm import train_svm
from eavctl.training.cross_validation import Evaluation
from eavctl.training.train import Trained

SPAN = (0.0, 4.0)  # of an epoch, s
BY_RUN = Evaluation("loso", group="session")


@dataclass(frozen=True)
class Task:
    """Numbers of runs, and the class of each event in them."""

    runs: tuple[int, ...]
    labels: Mapping[str, str]


TASKS = {
    "left or right, R03 R04 R07 R08": Task((3, 4, 7, 8), {"T1": "left", "T2": "right"}),
    "left or right, 6 runs": Task((3, 4, 7, 8, 11, 12), {"T1": "left", "T2": "right"}),
    "hands or feet, R06 R10 R14": Task((6, 10, 14), {"T1": "hands", "T2": "feet"}),
    "rest or movement, R03 to R08": Task((3, 4, 5, 6, 7, 8), {"T0": "rest", "T1": "move", "T2": "move"}),
}
METHODS: Mapping[str, tuple[str, Callable[..., Trained]]] = {  # feature set, training
    "bands-svm": ("eeg-bands", train_svm),
    "bands-linear": ("eeg-bands", train_linear),
    "eegnet": ("eeg-epochs", train_dnn),
}


def main() -> None:
    """Extract and train what is not there yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, help="folder of one person's runs")
    parser.add_argument("--out", type=Path, required=True, help="folder for tables and models")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = {number: sorted(options.runs.glob(f"*R{number:02}.edf")) for number in range(1, 15)}
    tasks = {name: task for name, task in TASKS.items() if all(len(files[run]) == 1 for run in task.runs)}
    print("| | " + " | ".join(tasks) + " |", "|---" * (len(tasks) + 1) + "|", sep="\n")
    for method in options.methods:
        cells = [
            _score(method, task, [files[run][0] for run in task.runs], options.out / _folder(name))
            for name, task in tasks.items()
        ]
        print(f"| {method} | " + " | ".join(cells) + " |", flush=True)


def _folder(task: str) -> str:
    return task.replace(",", "").replace(" ", "-")


def _score(method: str, task: Task, runs: list[Path], folder: Path) -> str:
    """UAR with its interval over the runs."""
    features, train = METHODS[method]
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    for run in runs:
        link = folder / "runs" / run.name
        if not link.exists():
            link.symlink_to(run.resolve())
    table = folder / f"{features}.parquet"
    extract(folder / "runs", table, Recipe(features), choice=Choice(epochs=Epochs(task.labels, SPAN)))
    found: Mapping[str, Any] = train(
        table, None, predictions=folder / f"{method}.parquet", evaluation=BY_RUN
    ).meta["out_of_fold"]
    return formatting.score(found["uar"])


if __name__ == "__main__":
    main()

"""Scores of EEG classifiers, and how they grow with the training rows: the tables of docs/eeg.md.

    python -m benchmarks.eeg_scores runs/ --out tables --methods bands-svm eegnet
    python -m benchmarks.eeg_scores runs/ --out tables --rows 20 45 90 --seeds 1 2

The folder holds runs of one person of PhysioNet EEGMMIDB, such as S001R03.edf, of which whole runs are left
out in turn (tasks whose runs are not all there are skipped), or a data set in the layout of EAV, with the
last 30 % of each person's trials left out. With --rows, each fold trains on that many of its rows, in equal
shares of the classes, drawn by each seed. UAR has its interval over epochs, and over the runs or people that
are left out: epochs of one run are not independent.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eavctl.classifiers.training_loop import TrainSettings
from eavctl.datasets.choice import Choice
from eavctl.datasets.events import Epochs
from eavctl.evaluation import formatting
from eavctl.evaluation.plan import Plan, Split
from eavctl.evaluation.summary import summarize
from eavctl.extraction.recipe import Recipe
from eavctl.stages.extract import extract
from eavctl.stages.train_dnn import EncoderChoice
from eavctl.storage.tables import read_feature_meta
from eavctl.training.column_fitter import ColumnFitter
from eavctl.training.cross_validation import Evaluation, cross_validate, plan_folds
from eavctl.training.dnn_fitter import DnnFitter
from eavctl.training.linear_fitter import LinearFitter
from eavctl.training.rows import read_training_set
from eavctl.training.svm_fitter import SvmFitter
from eavctl.training.train import TableFitter, protocol_meta

BY_RUN = Evaluation("loso", group="session")
LEFT_RIGHT = {"T1": "left", "T2": "right"}
METHODS: Mapping[str, tuple[str, TableFitter]] = {  # feature set, training
    "bands-svm": ("eeg-bands", SvmFitter()),
    "bands-linear": ("eeg-bands", LinearFitter()),
    "cov-linear": ("eeg-cov", LinearFitter()),
    "cov-csp": ("eeg-cov", LinearFitter(step="csp")),
    "cov-svm": ("eeg-cov", SvmFitter()),
    "eegnet": ("eeg-epochs", DnnFitter("eegnet", settings=TrainSettings(device="cpu"))),
}


@dataclass(frozen=True)
class Task:
    """What is told apart, in which runs, and how rows are split."""

    name: str
    runs: tuple[int, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    evaluation: Evaluation = BY_RUN

    def table(self, source: Path, features: str, out: Path) -> Path:
        """Extract a feature set, unless that has been done."""
        folder = out / self.name.replace(",", "").replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        recipe, choice = Recipe(features, segment=5), Choice(where={"task": "speaking"})
        if self.runs:
            recipe, choice = Recipe(features), Choice(epochs=Epochs(self.labels, tmin=0, tmax=4))
            runs = folder / "runs"
            runs.mkdir(exist_ok=True)
            for run in _files(source, self.runs):
                (runs / run.name).unlink(missing_ok=True)
                (runs / run.name).symlink_to(run.resolve())
            source = runs
        extract(source, folder / f"{features}.parquet", recipe, choice=choice)
        return folder / f"{features}.parquet"


OF_RUNS = (
    Task("left or right, R03 R04 R07 R08", (3, 4, 7, 8), LEFT_RIGHT),
    Task("left or right, 6 runs", (3, 4, 7, 8, 11, 12), LEFT_RIGHT),
    Task("hands or feet, R06 R10 R14", (6, 10, 14), {"T1": "hands", "T2": "feet"}),
    Task("rest or movement, R03 to R08", (3, 4, 5, 6, 7, 8), {"T0": "rest", "T1": "move", "T2": "move"}),
)
OF_EAV = (Task("emotion, each person", evaluation=Evaluation("eav-70-30")),)


def main() -> None:
    """Print a table with a line for each method and number of rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="folder of one person's runs, or of EAV")
    parser.add_argument("--out", type=Path, required=True, help="folder for the feature tables")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--tasks", nargs="+", help="words of the names of tasks, such as rest")
    parser.add_argument("--rows", type=int, nargs="+", default=[0], help="training rows; all by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42])
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    tasks = [task for task in OF_RUNS if len(_files(options.source, task.runs)) == len(task.runs)] or OF_EAV
    tasks = [task for task in tasks if not options.tasks or any(word in task.name for word in options.tasks)]
    print(
        f"| | rows | {' | '.join(task.name for task in tasks)} |", "|---" * (len(tasks) + 2) + "|", sep="\n"
    )
    for method in options.methods:
        features, fitter = METHODS[method]
        tables = [task.table(options.source, features, options.out) for task in tasks]
        for n_rows in options.rows:
            cells = [
                _score(table, task.evaluation, fitter, n_rows, options.seeds)
                for table, task in zip(tables, tasks, strict=True)
            ]
            print(f"| {method} | {n_rows or 'all'} | {' | '.join(cells)} |", flush=True)


def _files(folder: Path, runs: Sequence[int]) -> list[Path]:
    return [path for run in runs for path in sorted(folder.glob(f"*R{run:02}.edf"))]


def _score(
    table: Path, evaluation: Evaluation, fitter: TableFitter, n_rows: int, seeds: Sequence[int]
) -> str:
    """UAR: of one seed with its interval, of several their mean and each."""
    data, about = read_training_set([table]), read_feature_meta(table)
    rows = data.rows
    if isinstance(fitter, ColumnFitter):
        fitter = fitter.taking(about.features, about.settings)
    elif isinstance(fitter, DnnFitter):
        fitter = EncoderChoice().augmenting(fitter, data)
    plan = plan_folds(rows, evaluation)
    values = []
    for seed in seeds:
        part = _thinned(plan, rows.y, n_rows, seed) if n_rows else plan
        found = cross_validate(rows, fitter, part).predictions
        over = [summarize(replace(found, meta=_grouped(plan, group))) for group in ("clip_id", plan.group)]
        values.append(over[0]["uar"]["value"])
    if len(seeds) == 1:
        return f"{formatting.score(over[0]['uar'])} {_interval(over[1])}"
    return f"{formatting.number(float(np.mean(values)))} ({' '.join(map(formatting.number, values))})"


def _grouped(plan: Plan, group: str) -> dict[str, Any]:
    """Metadata by which intervals are over a key of rows."""
    return {"protocol": protocol_meta(replace(plan, group=group), None, [])}


def _interval(scores: Mapping[str, Any]) -> str:
    """The ends of the interval of UAR, and over what it is."""
    low, high = scores["uar"]["low"], scores["uar"]["high"]
    if low is None:
        return f"({formatting.too_few(scores)})"
    return f"[{formatting.number(low)}, {formatting.number(high)}] over {scores['over']}"


def _thinned(plan: Plan, y: np.ndarray, n_rows: int, seed: int) -> Plan:
    """The plan with ``n_rows`` training rows in each fold, in equal shares of the classes where there are."""
    rng = np.random.default_rng(seed)

    def thinned(split: Split) -> Split:
        drawn = rng.permutation(split.train)
        rank = np.empty(len(drawn), int)  # of each row among those of its class
        for number in np.unique(y):
            mine = y[drawn] == number
            rank[mine] = np.arange(mine.sum())
        return replace(split, train=np.sort(drawn[np.argsort(rank, kind="stable")][:n_rows]))

    return replace(plan, folds=tuple(thinned(split) for split in plan.folds))


if __name__ == "__main__":
    main()

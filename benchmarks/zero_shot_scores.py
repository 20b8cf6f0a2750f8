"""Zero-shot recognition on twins of EAV with and without a shared cause: the tables of docs/zero-shot.md.

    python -m benchmarks.zero_shot_scores --out runs

Makes a twin of each kind for each seed (other people, other trials), extracts columns of the three
modalities, holds every class out in turn, and prints the recall of the seen classes and of the held-out one,
with intervals over the people of all seeds. No person is on both sides of a fold.

Where one class is held out, a row that is unlike all others is recognised by that alone. So two classes are
held out together too, and their rows are told apart by their two centroids: chance is 0.5.

What is done already is not done again, so that several processes can share the work: each with another of
--seeds.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from eavctl.classifiers.rows import Rows
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.datasets.choice import Choice
from eavctl.datasets.eav import EMOTIONS
from eavctl.evaluation import formatting
from eavctl.evaluation.intervals import Interval, clusters_of, score_intervals
from eavctl.evaluation.metrics import indices
from eavctl.evaluation.zero_shot import score
from eavctl.extraction.recipe import Recipe
from eavctl.fusion.networks.alignment import AlignmentSettings
from eavctl.stages.extract import extract
from eavctl.stages.zero_shot import ZeroShot, zero_shot
from eavctl.synthetic.twin import synth_eav
from eavctl.training.cross_validation import Evaluation, Fit, cross_validate, plan_folds
from eavctl.training.fusion_setup import FusionSetup
from eavctl.training.zero_shot_fitter import NearestCentroid, ZeroShotFitter, centroids_of, fit_without

FEATURES = ("eeg-bands", "functionals", "face-stats")  # the first is the query
KINDS: Mapping[str, Mapping[str, Any]] = {
    "shared": {"latent": "circumplex"},
    "half": {"latent": "circumplex", "latent_strength": 0.5},
    "none": {},  # the same files as with a strength of 0
}
BY_PERSON = Evaluation("group-kfold", folds=2)
MEASURES = ("seen", "unseen", "harmonic", "false_alarms", "informedness")


def main() -> None:
    """Make what is not there yet, and print a line for each kind of twin and held-out class."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for feature tables and predictions")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["shared", "none"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    parser.add_argument("--subjects", type=int, default=8)
    parser.add_argument("--trials", type=int, default=80)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(exist_ok=True)
    print(
        f"| shared cause | held out | {' | '.join(MEASURES)} |", "|---" * (2 + len(MEASURES)) + "|", sep="\n"
    )
    for kind in options.kinds:
        runs = [_run(options.out, kind, seed, options.subjects, options.trials) for seed in options.seeds]
        found = _together(runs)
        for name, each in [(one["class"], one) for one in found["classes"]] + [("mean", found["mean"])]:
            cells = " | ".join(formatting.score(each[measure]) for measure in MEASURES)
            print(f"| {kind} | {name} | {cells} |", flush=True)
    print("| cause | recall of two classes held out together |", "|---|---|", sep="\n")
    for kind in options.kinds:
        pairs = [_pairs(options.out, kind, seed) for seed in options.seeds]
        print(f"| {kind} | {formatting.score(_told_apart(pairs).to_json())} |", flush=True)


def _run(out: Path, kind: str, seed: int, subjects: int, trials: int) -> list[ZeroShot]:
    """Recognition of each class of a twin, in the order of `EMOTIONS`."""
    tables = _tables(out, kind, seed)
    if not all(table.exists() for table in tables):
        twin = out / f"{kind}-{seed}"
        synth_eav(twin, subjects=subjects, trials=trials, seconds=10, snr=3, seed=seed, **KINDS[kind])
        for table, features in zip(tables, FEATURES, strict=True):
            extract(twin, table, Recipe(features, segment=5), choice=Choice(where={"task": "speaking"}))
        shutil.rmtree(twin)
    return [
        zero_shot(
            tables,
            out / f"{kind}-{seed}-{name}.parquet",
            name,
            settings=_settings(seed),
            evaluation=BY_PERSON,
        )
        for name in EMOTIONS
    ]


@dataclass(frozen=True)
class PairFitter(ZeroShotFitter):
    """Holds two classes out of all training, and tells their rows apart."""

    other: str = ""

    def fit(self, rows: Rows, fit: Fit) -> NearestCentroid:
        """See `eavctl.training.cross_validation.Fitter`."""
        seen = rows.taking(np.flatnonzero(rows.labels != self.other))
        aligned = fit_without(seen, self.held_out, self.design, self.settings, fit.note)
        pair = sorted((self.held_out, self.other))
        return NearestCentroid(aligned, centroids_of(aligned, rows, pair), pair)


def _pairs(out: Path, kind: str, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Keys of the rows of each pair of classes, their true and their predicted class."""
    setup = FusionSetup(_tables(out, kind, seed))
    joined = setup.join()
    rows, design = joined.data.rows, setup.design(joined)
    plan, truth = plan_folds(rows, BY_PERSON), indices(rows.labels, rows.classes)
    kept, predicted = [], []
    for pair in combinations(rows.classes, 2):
        fitter = PairFitter(pair[0], design, _settings(seed), pair[1])
        proba = cross_validate(rows, fitter, plan).predictions.proba
        own = np.flatnonzero(np.isin(rows.labels, pair))
        kept.append(own)
        predicted.append(proba[own].argmax(axis=1))
    order = np.concatenate(kept)
    keys = rows.key_frame.iloc[order].assign(dataset=f"twin {seed}")
    return keys, truth[order], np.concatenate(predicted)


def _told_apart(twins: Sequence[tuple[pd.DataFrame, np.ndarray, np.ndarray]]) -> Interval:
    """UAR over the rows of all pairs and seeds."""
    keys, truth, predicted = zip(*twins, strict=True)
    clusters = clusters_of(pd.concat(keys, ignore_index=True))
    named = score_intervals(clusters, np.concatenate(truth), np.concatenate(predicted), len(EMOTIONS))
    return named["uar"]


def _tables(out: Path, kind: str, seed: int) -> list[Path]:
    return [out / f"{kind}-{seed}-{features}.parquet" for features in FEATURES]


def _settings(seed: int) -> AlignmentSettings:
    return AlignmentSettings(TrainSettings(seed=seed, device="cpu"))


def _together(runs: Sequence[Sequence[ZeroShot]]) -> dict[str, Any]:
    """Scores over the rows of all seeds, whose people are not the same."""
    twins = [run[0].predictions.keys.assign(dataset=f"twin {n}") for n, run in enumerate(runs)]
    keys, classes = pd.concat(twins, ignore_index=True), runs[0][0].predictions.classes
    predicted = {
        classes.index(name): np.concatenate([run[place].predictions.proba.argmax(axis=1) for run in runs])
        for place, name in enumerate(EMOTIONS)
    }
    truth = indices(keys["label"].to_numpy(dtype=object), classes)
    return score(clusters_of(keys), truth, predicted, classes)


if __name__ == "__main__":
    main()

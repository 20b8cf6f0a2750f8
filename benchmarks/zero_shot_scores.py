"""Zero-shot recognition on twins of EAV with and without a shared cause: the tables of docs/zero-shot.md.

    python -m benchmarks.zero_shot_scores --out runs

Makes a twin of each kind for each seed (other people, other trials), extracts columns of the three
modalities, holds every class out in turn, and prints the scores before and after the correction of the bias,
with intervals over the people of all seeds. No person is on both sides of a fold. What is done already is not
done again, so that several processes can share the work: each with another of --seeds.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from eavctl.classifiers.training_loop import TrainSettings
from eavctl.datasets.choice import Choice
from eavctl.evaluation import formatting
from eavctl.evaluation.intervals import clusters_of, score_intervals
from eavctl.evaluation.metrics import indices
from eavctl.evaluation.zero_shot import score
from eavctl.extraction.recipe import Recipe
from eavctl.fusion.networks.alignment import AlignmentSettings
from eavctl.stages.extract import extract
from eavctl.storage import files
from eavctl.synthetic.twin import synth_eav
from eavctl.training.cross_validation import Evaluation, plan_folds
from eavctl.training.fusion_setup import FusionSetup
from eavctl.training.zero_shot_recognition import recognize

FEATURES = ("eeg-bands", "functionals", "face-stats")  # the first is the query
KINDS: Mapping[str, Mapping[str, Any]] = {
    "shared": {"latent": "circumplex"},
    "half": {"latent": "circumplex", "latent_strength": 0.5},
    "none": {},  # the same files as with a strength of 0
}
BY_PERSON = Evaluation("group-kfold", folds=2)
MEASURES = ("seen", "unseen", "harmonic", "false_alarms", "informedness")
TITLES = ("cause", "held out", *MEASURES)


def main() -> None:
    """Make what is not there yet, and print a line for each kind of twin and held-out class."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for feature tables and answers")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["shared", "none"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    parser.add_argument("--subjects", type=int, default=8)
    parser.add_argument("--trials", type=int, default=80)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(exist_ok=True)
    print(f"| {' | '.join(TITLES)} |", "|---" * len(TITLES) + "|", sep="\n")
    apart = []
    for kind in options.kinds:
        runs = [_run(options.out, kind, seed, options.subjects, options.trials) for seed in options.seeds]
        for line in _lines(runs):
            print(f"| {kind} | {line} |", flush=True)
        apart.append(
            f"{kind}: two classes held out together are told apart {_told_apart(runs)}, chance 0.500"
        )
    print("", *apart, sep="\n")


def _run(out: Path, kind: str, seed: int, subjects: int, trials: int) -> dict[str, Any]:
    """Keys, true classes and answers of the rows of a twin; see `recognize`."""
    tables = [out / f"{kind}-{seed}-{features}.parquet" for features in FEATURES]
    if not all(table.exists() for table in tables):
        twin = out / f"{kind}-{seed}"
        synth_eav(twin, subjects=subjects, trials=trials, seconds=10, snr=3, seed=seed, **KINDS[kind])
        for table, features in zip(tables, FEATURES, strict=True):
            extract(twin, table, Recipe(features, segment=5), choice=Choice(where={"task": "speaking"}))
        shutil.rmtree(twin)
    setup = FusionSetup(tables)
    joined = setup.join()
    rows, answers = joined.data.rows, out / f"{kind}-{seed}.npz"
    if not answers.exists():
        plan, settings = (
            plan_folds(rows, BY_PERSON),
            AlignmentSettings(TrainSettings(seed=seed, device="cpu")),
        )
        found = recognize(rows, plan, rows.classes, setup.design(joined), settings)
        with files.atomic_write(answers) as handle:
            np.savez(
                handle,
                before=np.stack([found.uncorrected[name] for name in rows.classes]),
                after=np.stack([found.predictions[name].proba.argmax(axis=1) for name in rows.classes]),
                pair_rows=np.concatenate(found.pair_rows),
                pair_answers=np.concatenate(found.pair_answers),
            )
    keys = rows.key_frame.assign(dataset=f"twin {seed}")  # people of other seeds are other people
    truth = indices(rows.labels, rows.classes)
    with np.load(answers) as said:
        return {"keys": keys, "truth": truth, "classes": rows.classes, **said}


def _lines(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Scores over the rows of all seeds: of each held-out class, their means, and the means uncorrected."""
    clusters = clusters_of(pd.concat([run["keys"] for run in runs], ignore_index=True))
    truth, classes = np.concatenate([run["truth"] for run in runs]), runs[0]["classes"]
    after, before = (
        score(clusters, truth, dict(enumerate(np.concatenate([run[name] for run in runs], axis=1))), classes)
        for name in ("after", "before")
    )
    titled = [(one["class"], one) for one in after["classes"]]
    for title, each in (*titled, ("mean", after["mean"]), ("mean, uncorrected", before["mean"])):
        yield " | ".join([title, *(formatting.score(each[measure]) for measure in MEASURES)])


def _told_apart(runs: Sequence[Mapping[str, Any]]) -> str:
    """UAR over the rows of all pairs of classes that were held out together, and all seeds."""
    keys = pd.concat([run["keys"].iloc[run["pair_rows"]] for run in runs], ignore_index=True)
    truth = np.concatenate([run["truth"][run["pair_rows"]] for run in runs])
    answers = np.concatenate([run["pair_answers"] for run in runs])
    found = score_intervals(clusters_of(keys), truth, answers, len(runs[0]["classes"]))
    return formatting.score(found["uar"].to_json())


if __name__ == "__main__":
    main()

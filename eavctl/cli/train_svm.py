"""``eavctl train-svm``: feature tables to a support vector machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.options import (
    Corpora,
    DryRun,
    Folds,
    Force,
    Group,
    Jobs,
    Json,
    Labels,
    Normalize,
    Predictions,
    Protocol,
    Seed,
    Shared,
    Step,
    Tables,
)
from eavctl.cli.training import run_on_columns
from eavctl.cli.values import read_labels, read_names


@command(
    "train-svm",
    "eavctl train-svm feats.parquet -o svm.joblib",
    "eavctl train-svm feats.parquet -o svm.joblib --protocol loso --predictions preds.parquet",
    "eavctl train-svm feats.parquet -o svm.joblib --folds 4 --normalize speaker",
    "eavctl train-svm emodb.parquet ravdess.parquet -o svm.joblib --labels anger=angry,happiness=happy,calm=",
)
def train_svm(
    tables: Tables,
    out: Annotated[Path, typer.Option("--out", "-o", help="Write this model file (.joblib).")],
    protocol: Protocol = "auto",
    folds: Folds = 5,
    group: Group = None,
    shared: Shared = None,
    normalize: Normalize = None,
    labels: Labels = None,
    corpora: Corpora = "equal",
    step: Step = None,
    predictions: Predictions = None,
    jobs: Jobs = 1,
    seed: Seed = 42,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train a support vector machine, scored on held-out folds.

    Scaling, the choice of C and gamma and the calibration of probabilities are fitted on training
    speakers only, inside each fold; the model in the file is fitted on all rows. Feature tables of
    tensors are for train-dnn.
    """
    from eavctl.stages import train_svm as stage
    from eavctl.training.cross_validation import Evaluation

    run_on_columns(
        "train-svm",
        "a support vector machine",
        tables,
        out,
        stage.plan,
        stage.train_svm,
        predictions=predictions,
        evaluation=Evaluation(protocol, folds, group, seed, shared=read_names(shared)),
        normalize=normalize,
        labels=read_labels(labels),
        corpora=corpora,
        step=step,
        jobs=jobs,
        force=force,
        dry_run=dry_run,
        as_json=as_json,
    )

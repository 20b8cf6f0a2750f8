"""``eavctl train-linear``: feature tables to a logistic regression."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.options import (
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
    "train-linear",
    "eavctl train-linear feats.parquet -o linear.joblib",
    "eavctl train-linear feats.parquet -o linear.joblib --protocol loso --predictions preds.parquet",
    "eavctl train-linear feats.parquet -o linear.joblib --folds 4 --normalize speaker",
    "eavctl train-linear emodb.parquet ravdess.parquet -o linear.joblib --labels anger=angry,calm=",
)
def train_linear(
    tables: Tables,
    out: Annotated[Path, typer.Option("--out", "-o", help="Write this model file (.joblib).")],
    answers: Annotated[
        str | None,
        typer.Option(
            help="Answer these classes only, such as angry,happy,neutral,sad; rows of others are trained on, "
            "and never tested.",
            show_default="all",
        ),
    ] = None,
    protocol: Protocol = "auto",
    folds: Folds = 5,
    group: Group = None,
    shared: Shared = None,
    normalize: Normalize = None,
    labels: Labels = None,
    corpora: Annotated[
        str,
        typer.Option(
            help="Let data sets count alike in the training, and the classes in each (equal); the same, with "
            "each data set centred by its own mean (centred); or let all rows count alike (rows)."
        ),
    ] = "equal",
    step: Step = None,
    predictions: Predictions = None,
    jobs: Jobs = 1,
    seed: Seed = 42,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train a logistic regression, scored on held-out folds: for large tables and small models.

    Scaling, the choice of the penalty and the calibration of probabilities are fitted on training speakers
    only, inside each fold; the model in the file is fitted on all rows. Feature tables of tensors are for
    train-dnn.
    """
    from eavctl.stages import train_linear as stage
    from eavctl.training.cross_validation import Evaluation

    run_on_columns(
        "train-linear",
        "a logistic regression",
        tables,
        out,
        stage.plan,
        stage.train_linear,
        predictions=predictions,
        evaluation=Evaluation(protocol, folds, group, seed, shared=read_names(shared)),
        normalize=normalize,
        labels=read_labels(labels),
        corpora=corpora,
        answers=[name.strip() for name in (answers or "").split(",") if name.strip()],
        step=step,
        jobs=jobs,
        force=force,
        dry_run=dry_run,
        as_json=as_json,
    )

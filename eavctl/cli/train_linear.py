"""``eavctl train-linear``: a feature table to a logistic regression."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from eavctl.cli.app import command
from eavctl.cli.options import (
    DryRun,
    Folds,
    Force,
    Group,
    Jobs,
    Json,
    Normalize,
    Predictions,
    Protocol,
    Seed,
    Table,
    check_stdout,
)
from eavctl.cli.training import run_training


@command(
    "train-linear",
    "eavctl train-linear feats.parquet -o linear.joblib",
    "eavctl train-linear feats.parquet -o linear.joblib --protocol loso --predictions preds.parquet",
    "eavctl train-linear feats.parquet -o linear.joblib --folds 4 --normalize speaker",
)
def train_linear(
    table: Table,
    out: Annotated[Path, typer.Option("--out", "-o", help="Write this model file (.joblib).")],
    protocol: Protocol = "auto",
    folds: Folds = 5,
    group: Group = None,
    normalize: Normalize = None,
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

    check_stdout(as_json, out, predictions)
    options: dict[str, Any] = {
        "predictions": predictions,
        "evaluation": Evaluation(protocol, folds, group, seed),
        "normalize": normalize,
        "force": force,
    }
    run_training(
        "train-linear",
        f"a logistic regression on {table}",
        [out, predictions],
        lambda: stage.plan(table, out, **options),
        lambda tick: stage.train_linear(table, out, jobs=jobs, on_fold=tick, **options),
        dry_run=dry_run,
        as_json=as_json,
    )

"""``eavctl tune``: feature tables to a model with tuned settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from eavctl.cli.app import command
from eavctl.cli.options import (
    Corpora,
    Device,
    DryRun,
    Encoders,
    Folds,
    Force,
    Group,
    Json,
    Labels,
    Normalize,
    Predictions,
    Protocol,
    Seed,
    Shared,
    Size,
    Tables,
    Threads,
    check_stdout,
)
from eavctl.cli.training import run_training, torch_threads
from eavctl.cli.values import read_labels, read_names


@command(
    "tune",
    "eavctl tune feats.parquet -o svm.joblib",
    "eavctl tune logmel.parquet -o dnn.pt --method cnn-lstm --trials 30 --space lr=log:1e-4..1e-2",
    "eavctl tune feats.parquet -o mlp.pt --method mlp --space batch=8,16,32 --space epochs=20",
    "eavctl tune eeg.parquet fbank.parquet -o fusion.pt --method attention --size tiny",
    "eavctl tune logmel.parquet -o dnn.pt --recordings dataset/ --space features.n_mels=40,64",
    "eavctl tune feats.parquet -o svm.joblib --storage postgresql://host/studies",
)
def tune(
    tables: Tables,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Write this model file (.joblib of svm and linear, else .pt)."),
    ],
    method: Annotated[
        str | None,
        typer.Option(
            help="Tune svm, linear, an encoder of train-dnn, or a fusion network of train-fusion.",
            show_default="svm for columns, else by the table's feature set",
        ),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Try this many settings in each study.")] = 50,
    space: Annotated[
        list[str] | None,
        typer.Option(
            help="Search a setting in this NAME=RANGE: lr=log:1e-5..1e-3, dropout=0.1..0.5, units=8..64, "
            "batch=8,16,32, or epochs=10 (fixed, for the defaults too); repeatable.",
            show_default="the method's ranges",
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Keep the trials in this journal file or database, such as sqlite:///study.db; processes "
            "with one storage share the trials.",
            show_default="a file beside the model, .study",
        ),
    ] = None,
    recordings: Annotated[
        Path | None,
        typer.Option(
            help="Extract the table again from these recordings for --space features.NAME=VALUE,VALUE."
        ),
    ] = None,
    encoder: Encoders = None,
    size: Size = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Also train on samples with a missing modality.")
    ] = False,
    device: Device = "auto",
    protocol: Protocol = "auto",
    folds: Folds = 5,
    group: Group = None,
    shared: Shared = None,
    normalize: Normalize = None,
    labels: Labels = None,
    corpora: Corpora = "equal",
    predictions: Predictions = None,
    jobs: Threads = None,
    seed: Seed = 42,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Tune the settings of a classifier, scored by nested cross-validation beside the defaults.

    Each outer fold has a study of its own, on its training speakers alone; the outer score is the result,
    and the gap to the best inner score is printed. After an interruption, the same command continues; started
    twice, it shares the work. optuna-dashboard shows the trials.

    Needs the extra 'tune': pip install 'eavctl[tune]'.
    """
    from eavctl.memory import keep_freed_memory
    from eavctl.stages import tune as stage
    from eavctl.training.cross_validation import Evaluation

    check_stdout(as_json, out, predictions)
    choice: dict[str, Any] = {
        "method": method,
        "trials": trials,
        "space": space or (),
        "storage": storage,
        "encoders": encoder or (),
        "size": size,
        "partial": partial,
        "recordings": recordings,
        "device": device,
    }
    options: dict[str, Any] = {
        "choice": stage.TuningChoice(**choice),
        "predictions": predictions,
        "evaluation": Evaluation(protocol, folds, group, seed, shared=read_names(shared)),
        "normalize": normalize,
        "labels": read_labels(labels),
        "corpora": corpora,
        "force": force,
    }
    keep_freed_memory()
    with torch_threads(jobs):
        run_training(
            "tune",
            f"tune {method or 'a classifier'} on {', '.join(tables)} in {trials} trials a study",
            [out, predictions],
            lambda: stage.plan(tables, out, **options),
            lambda tick: stage.tune(tables, out, jobs=jobs or 1, on_fold=tick, **options),
            dry_run=dry_run,
            as_json=as_json,
        )

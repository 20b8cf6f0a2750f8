"""``eavctl train-dnn``: feature tables of tensors to a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from eavctl.cli.app import command
from eavctl.cli.options import (
    Augment,
    Batch,
    Compile,
    Corpora,
    Device,
    DryRun,
    Folds,
    Force,
    FreezeRate,
    Group,
    Json,
    Labels,
    Members,
    Normalize,
    Precision,
    Predictions,
    Protocol,
    Rate,
    Seed,
    Shared,
    Tables,
    TensorBoard,
    Threads,
    check_stdout,
)
from eavctl.cli.training import run_training, torch_processes, train_settings
from eavctl.cli.values import read_labels, read_names, read_settings


@command(
    "train-dnn",
    "eavctl train-dnn logmel.parquet -o dnn.pt",
    "eavctl train-dnn logmel.parquet -o dnn.pt --folds 4 --predictions dnn_preds.parquet",
    "eavctl train-dnn logmel.parquet -o dnn.pt --epochs 50 --lr 0.0005 --tensorboard runs/",
    "eavctl train-dnn eeg.parquet -o eegnet.pt --encoder eegnet --protocol eav-70-30",
    "eavctl train-dnn logmel.parquet -o dnn.pt --augment default,gain:2",
    "eavctl train-dnn faces.parquet -o vit.pt --encoder vit --weights vit-base/ --freeze-epochs 10 --lr 5e-6",
    "eavctl train-dnn faces.parquet -o face.pt --weights efficientnet_b0_rwightman-7f5810bc.pth",
    "eavctl train-dnn logmel.parquet -o dnn.pt --init encoder.pt --freeze-epochs 5",
    by_ranks=True,
)
def train_dnn(
    tables: Tables,
    out: Annotated[Path, typer.Option("--out", "-o", help="Write this model file (.pt).")],
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Train this encoder. Of audio: cnn-lstm, scnn, ast. Of EEG: eegnet, shallow-transformer. Of "
            "video: vit, resnet50-ca, efficientnet-b0. Of any columns: mlp.",
            show_default="by the table's feature set",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            help="Take this size of an encoder that has sizes: base (as published) or tiny.",
            show_default="base, eegnet with kernels of 0.5 s",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Start from public weights: a folder of transformers (config.json and weights), or a state "
            "dict of torchvision or timm (.pth, .pt, .bin, .safetensors)."
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            help="Start from the encoder in this file of pretrain (.pt), which has the encoder's name and "
            "settings.",
            show_default="none",
        ),
    ] = None,
    freeze_epochs: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Freeze the pretrained body, or the encoder of --init, for the first N epochs, such as 10; "
            "then train it at --lr.",
            show_default="0; with --weights a fifth of the epochs, then a tenth of --lr, and with fewer than "
            "200 rows all",
        ),
    ] = None,
    freeze_lr: FreezeRate = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Set the encoder's KEY=VALUE, such as kernel=50; repeatable."),
    ] = None,
    augment: Augment = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Train for at most this many epochs.",
            show_default="40, or with few rows as many as give 600 steps",
        ),
    ] = None,
    batch: Batch = None,
    lr: Rate = None,
    dropout: Annotated[
        float | None,
        typer.Option(help="Drop this share of the embedding before the head.", show_default="0.4"),
    ] = None,
    members: Members = None,
    device: Device = "auto",
    precision: Precision = "float32",
    compile_: Compile = False,
    tensorboard: TensorBoard = None,
    protocol: Protocol = "auto",
    folds: Folds = 5,
    group: Group = None,
    shared: Shared = None,
    normalize: Normalize = None,
    labels: Labels = None,
    corpora: Corpora = "equal",
    predictions: Predictions = None,
    keep_folds: Annotated[
        bool,
        typer.Option("--keep-folds", help="Keep each fold's network, for train-fusion --init."),
    ] = False,
    jobs: Threads = None,
    seed: Seed = 42,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train a network, scored on held-out folds.

    Some of the training speakers are kept for validation: their rows decide when to stop, and probabilities
    are calibrated on them; of fewer than 200 rows none are kept, unless --epochs is given. Each encoder
    augments its training batches in its own way, but not EEG epochs at events; --augment replaces that. After
    an interruption, the same command resumes from its checkpoint, to the same weights. Processes that
    torchrun starts share each batch.
    """
    from eavctl.memory import keep_freed_memory
    from eavctl.stages import train_dnn as stage
    from eavctl.training.cross_validation import Evaluation

    check_stdout(as_json, out, predictions)
    options: dict[str, Any] = {
        "predictions": predictions,
        "encoder": stage.EncoderChoice(
            encoder, size, read_settings(set_ or []), weights, read_names(augment), init
        ),
        "settings": train_settings(
            epochs=epochs, batch=batch, lr=lr, dropout=dropout, members=members, freeze_epochs=freeze_epochs,
            freeze_lr=freeze_lr, seed=seed, device=device, precision=precision, compile=compile_,
        ),
        "evaluation": Evaluation(protocol, folds, group, seed, shared=read_names(shared)),
        "normalize": normalize,
        "labels": read_labels(labels),
        "corpora": corpora,
        "keep_folds": keep_folds,
        "force": force,
    }  # fmt: skip
    keep_freed_memory()
    with torch_processes(jobs, device):
        run_training(
            "train-dnn",
            f"train a network on {', '.join(tables)}",
            [out, predictions],
            lambda: stage.plan(tables, out, **options),
            lambda tick: stage.train_dnn(tables, out, log_dir=tensorboard, on_fold=tick, **options),
            dry_run=dry_run,
            as_json=as_json,
        )

"""``eavctl train-fusion``: feature tables of several modalities to one network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from eavctl.cli.app import command
from eavctl.cli.options import (
    Batch,
    Compile,
    Contrastive,
    Corpora,
    Device,
    DryRun,
    Encoders,
    Epochs,
    FeatureTables,
    Folds,
    Force,
    FreezeRate,
    Group,
    Json,
    Labels,
    Members,
    NetworkSettings,
    Precision,
    Predictions,
    Protocol,
    Rate,
    Seed,
    Shared,
    Size,
    TensorBoard,
    Threads,
    check_stdout,
)
from eavctl.cli.training import run_training, torch_processes, train_settings
from eavctl.cli.values import network_settings, read_labels, read_names
from eavctl.errors import UsageError

MODEL_ENDINGS = (".pt", ".joblib")


@command(
    "train-fusion",
    "eavctl train-fusion eeg.parquet fbank.parquet faces.parquet -o fusion.pt --size tiny",
    "eavctl train-fusion eeg.parquet fbank.parquet faces.parquet -o ambt.pt --method ambt-mean --size tiny "
    "--predictions ambt_preds.parquet",
    "eavctl train-fusion eeg.parquet fbank.parquet faces.parquet --init eeg.pt audio.pt video.pt "
    "--method ambt-mean -o ambt.pt",
    "eavctl train-fusion eeg.parquet logmel.parquet --init clip.pt -o fusion.pt",
    by_ranks=True,
)
def train_fusion(
    tables: FeatureTables,
    out: Annotated[Path, typer.Option("--out", "-o", help="Write this model file (.pt).")],
    method: Annotated[
        str,
        typer.Option(
            help="Fuse by this network: attention, channel-attention; ambt-mean or ambt-concat, between "
            "layers of transformers; or law, where modalities change the weights of each other's "
            "transformers."
        ),
    ] = "attention",
    init: Annotated[
        list[str] | None,
        typer.Option(
            help="Start from these models of train-dnn --keep-folds, or encoders of pretrain, matched to "
            "tables by their features. Several may follow one --init. Then --epochs is 10 and --lr 0.0005 "
            "if not given."
        ),
    ] = None,
    encoder: Encoders = None,
    size: Size = None,
    contrastive: Contrastive = 0.0,
    set_: NetworkSettings = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Also train on samples with a missing modality.")
    ] = False,
    epochs: Epochs = None,
    batch: Batch = None,
    lr: Rate = None,
    freeze_epochs: Annotated[
        int | None,
        typer.Option(min=0, help="Freeze all encoders for the first N epochs, such as 2.", show_default="0"),
    ] = None,
    freeze_lr: FreezeRate = None,
    members: Members = None,
    device: Device = "auto",
    precision: Precision = "float32",
    compile_: Compile = False,
    tensorboard: TensorBoard = None,
    protocol: Protocol = "auto",
    folds: Folds = 5,
    group: Group = None,
    shared: Shared = None,
    labels: Labels = None,
    corpora: Corpora = "equal",
    predictions: Predictions = None,
    jobs: Threads = None,
    seed: Seed = 42,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train one network on the features of several modalities (early fusion), scored on held-out folds.

    Tables are joined on sample_id, each a stream with its own encoder. The model predicts from any subset of
    its modalities; it is scored for every subset, and compared with the models of --init. After an
    interruption, the same command resumes from its checkpoint, to the same weights. Processes that torchrun
    starts share each batch.
    """
    from eavctl.memory import keep_freed_memory
    from eavctl.stages import train_fusion as stage
    from eavctl.training.cross_validation import Evaluation

    check_stdout(as_json, out, predictions)
    tables, starts = _split(tables, init)
    if starts:
        epochs = stage.INIT_SETTINGS.epochs if epochs is None else epochs
        lr = stage.INIT_SETTINGS.lr if lr is None else lr
    settings = train_settings(
        epochs=epochs, batch=batch, lr=lr, members=members, freeze_epochs=freeze_epochs, freeze_lr=freeze_lr,
        seed=seed, device=device, precision=precision, compile=compile_,
    )  # fmt: skip
    choices: dict[str, Any] = {
        "method": method,
        "encoders": encoder or (),
        "size": size,
        "init": starts,
        "partial": partial,
        "network_settings": network_settings(set_, contrastive),
        "labels": read_labels(labels),
        "corpora": corpora,
        "settings": settings,
        "evaluation": Evaluation(protocol, folds, group, seed, shared=read_names(shared)),
        "predictions": predictions,
        "force": force,
    }
    keep_freed_memory()
    with torch_processes(jobs, device):
        run_training(
            "train-fusion",
            f"train {method} on {', '.join(tables)}",
            [out, predictions],
            lambda: stage.plan(tables, out, **choices),
            lambda tick: stage.train_fusion(tables, out, **choices, log_dir=tensorboard, on_fold=tick),
            dry_run=dry_run,
            as_json=as_json,
        )


def _split(names: list[str], init: list[str] | None) -> tuple[list[str], list[str]]:
    """Tables, and models to start from: those that follow the first one of --init count as arguments."""
    models = [name for name in names if name.endswith(MODEL_ENDINGS)]
    if models and not init:
        raise UsageError(f"{models[0]}: a model, where a table is needed; --init takes models to start from")
    return [name for name in names if name not in models], [*(init or []), *models]

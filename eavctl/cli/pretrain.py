"""``eavctl pretrain``: feature tables to a pretrained encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit_result, progress, say, say_plan, warn
from eavctl.cli.options import (
    Augment,
    Compile,
    Device,
    DryRun,
    Force,
    Json,
    Precision,
    Seed,
    Tables,
    TensorBoard,
    Threads,
    Where,
    Without,
    check_stdout,
)
from eavctl.cli.training import shown_at_once, torch_processes
from eavctl.cli.values import read_names, read_settings, read_values
from eavctl.errors import TrainingWarning

if TYPE_CHECKING:
    from eavctl.stages.pretrain import Planned, Pretrained

BY_METHOD = "by the method"


@command(
    "pretrain",
    "eavctl pretrain logmel.parquet -o encoder.pt",
    "eavctl pretrain ravdess.parquet nemo.parquet -o encoder.pt --method byol --epochs 200",
    "eavctl pretrain eeg.parquet -o encoder.pt --method vicreg --encoder eegnet --without subject=1,2,3",
    "eavctl pretrain images.parquet -o encoder.pt --augment crop,flip --method-set temperature=0.2",
    "eavctl pretrain logmel.parquet -o random.pt --epochs 0",
    "eavctl pretrain eeg.parquet logmel.parquet faces.parquet -o clip.pt --method clip --without subject=1,2",
    by_ranks=True,
)
def pretrain(
    tables: Tables,
    out: Annotated[Path, typer.Option("--out", "-o", help="Write the encoder to this file (.pt).")],
    method: Annotated[
        str,
        typer.Option(
            help="Pretrain by this method: simclr, moco, byol, simsiam, vicreg, barlow, swav or dino; or "
            "clip, which aligns tables of two or three modalities, joined by sample_id."
        ),
    ] = "simclr",
    method_set: Annotated[
        list[str] | None,
        typer.Option("--method-set", help="Set the method's KEY=VALUE, such as temperature=0.2; repeatable."),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Pretrain this encoder, one of those of train-dnn; for clip one a table, as "
            "eegnet,cnn-lstm.",
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
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Set the encoder's KEY=VALUE, such as kernel=50; repeatable."),
    ] = None,
    augment: Augment = None,
    where: Where = None,
    without: Without = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=0, help="Pretrain for this many epochs; 0 keeps random weights.", show_default=BY_METHOD
        ),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=2, help="Train on batches of this many rows.", show_default=BY_METHOD)
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(help="Use this peak learning rate of AdamW, such as 0.0005.", show_default=BY_METHOD),
    ] = None,
    device: Device = "auto",
    precision: Precision = "float32",
    compile_: Compile = False,
    tensorboard: TensorBoard = None,
    jobs: Threads = None,
    seed: Seed = 42,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Pretrain an encoder by self-supervision, without labels.

    Each epoch shows the loss; the spread of the embedding, 1 where its directions are evenly distributed;
    its effective rank; and, where rows have labels, the recall of a nearest-neighbour vote on training rows.
    Of clip, how often a sample finds its partner in another modality (recall at 1) stands beside chance; in
    the end it is also measured on the rows of --without. A collapsed embedding ends with 3, and no file is
    written without --force. --where and --without take several values of a key, as subject=1,2. After an
    interruption, the same command resumes from its checkpoint, to the same weights. Processes that torchrun
    starts share each batch.
    """
    from eavctl.memory import keep_freed_memory
    from eavctl.stages import pretrain as stage
    from eavctl.training.selection import Selection

    check_stdout(as_json, out)
    training = {"epochs": epochs, "batch": batch, "lr": lr, "seed": seed, "device": device}
    training |= {"precision": precision, "compile": compile_}
    choice = stage.PretrainingChoice(
        method,
        read_settings(method_set or [], "--method-set"),
        encoder,
        size,
        read_settings(set_ or []),
        read_names(augment),
        {key: value for key, value in training.items() if value is not None},
    )
    selection = Selection(read_values(where, "--where"), read_values(without, "--without"))
    options: dict[str, Any] = {"choice": choice, "selection": selection, "force": force}
    work = f"pretrain an encoder by {method} on {', '.join(tables)}"
    keep_freed_memory()
    with torch_processes(jobs, device):
        if dry_run:
            _print_plan(work, stage.plan(tables, out, **options), out, as_json)
            return
        with progress(work) as tick, shown_at_once(TrainingWarning):
            found = stage.pretrain(tables, out, log_dir=tensorboard, on_epoch=tick, **options)
    _print_result(found, out, as_json)


def _print_plan(work: str, planned: Planned, out: Path, as_json: bool) -> None:
    _warn(planned.warnings)
    about = planned.design.describe()
    epochs, encoder = about["settings"]["epochs"], " and ".join(each["name"] for each in about["encoders"])
    said = f"{work}: {planned.n_rows} rows of {planned.n_clips} clips, encoder {encoder}, {epochs} epochs"
    say_plan(said, [out], up_to_date=planned.up_to_date)
    if as_json:
        facts = {"rows": planned.n_rows, "design": about}
        emit_result("pretrain", [out], facts, up_to_date=planned.up_to_date, dry_run=True)


def _print_result(found: Pretrained, out: Path, as_json: bool) -> None:
    from eavctl.pretraining.facts import words

    _warn(found.warnings)
    for line in words(found.meta["pretraining"]):
        say(line)
    done = "is up to date: " if found.up_to_date else ""
    say(f"{done}encoder of {found.meta['n_rows']} rows -> {out}")
    if as_json:
        facts = {"rows": found.meta["n_rows"], "pretraining": found.meta["pretraining"]}
        emit_result("pretrain", [out], facts, up_to_date=found.up_to_date)


def _warn(warnings: Sequence[str]) -> None:
    for text in warnings:
        warn(text)

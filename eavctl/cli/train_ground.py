"""``eavctl train-ground``: a table of phrases and pictures to a network that finds one in the other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit_result, progress, say, say_plan, warn
from eavctl.cli.options import Device, DryRun, Force, Json, Seed, TensorBoard, Threads, check_stdout
from eavctl.cli.training import torch_threads

if TYPE_CHECKING:
    from eavctl.stages.train_ground import Planned, Trained

BY_SIZE = "by the size"


@command(
    "train-ground",
    "eavctl train-ground scenes.parquet -o ground.pt",
    "eavctl train-ground scenes.parquet -o late.pt --fusion late --epochs 10",
    "eavctl train-ground refcoco.parquet -o ground.pt --size base --weights vit-base/ --weights bert-base/",
)
def train_ground(
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="Table of phrases on pictures (.parquet), or - for stdin.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Write this model file (.pt).")],
    fusion: Annotated[
        str,
        typer.Option(
            help="Let the phrase change the network's weights (law), scale and shift its features (film), "
            "reach its heads alone (late), or nothing (none, a control)."
        ),
    ] = "law",
    size: Annotated[
        str,
        typer.Option(help="Train this size: tiny (from scratch, in minutes) or base (as published)."),
    ] = "tiny",
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            help="Start from the public checkpoint of ViT-B/16, or of BERT, in this folder; repeatable.",
            show_default="none",
        ),
    ] = None,
    freeze_epochs: Annotated[
        int | None,
        typer.Option(
            min=0, help="Freeze the parts with public weights for the first N epochs.", show_default="0"
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Train for this many epochs.", show_default=BY_SIZE)
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Train on batches of this many rows.", show_default=BY_SIZE)
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(help="Use this peak learning rate of AdamW, such as 0.0005.", show_default=BY_SIZE),
    ] = None,
    device: Device = "auto",
    tensorboard: TensorBoard = None,
    jobs: Threads = None,
    seed: Seed = 42,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train a network that finds in a picture what a phrase describes: its box, its mask, or nothing.

    The table is one of 'eavctl extract' from pictures with phrases, such as 'eavctl synth --task grounding'
    makes. Its split val chooses the epoch, and test scores the model: the share of boxes that overlap the
    true one by half (P@0.5), the mean overlap of the masks (mIoU), and the mean recall of phrases that fit
    something and that fit nothing (there), each with its interval over pictures. After an interruption, the
    same command resumes from its checkpoint, to the same weights.
    """
    from eavctl.memory import keep_freed_memory
    from eavctl.stages import train_ground as stage

    check_stdout(as_json, out)
    training = {"epochs": epochs, "batch": batch, "lr": lr, "freeze_epochs": freeze_epochs}
    given = {key: value for key, value in training.items() if value is not None}
    choice = stage.GroundingChoice(fusion, size, weights or [], {**given, "seed": seed, "device": device})
    work = f"train a grounding network ({fusion}, {size}) on {table}"
    keep_freed_memory()
    with torch_threads(jobs):
        if dry_run:
            _print_plan(work, stage.plan(table, out, choice, force=force), out, as_json)
            return
        with progress(work) as tick:
            trained = stage.train_ground(table, out, choice, log_dir=tensorboard, force=force, on_epoch=tick)
    _print_result(trained, out, as_json)


def _print_plan(work: str, planned: Planned, out: Path, as_json: bool) -> None:
    for text in planned.warnings:
        warn(text)
    counts = ", ".join(f"{count} phrases of {name}" for name, count in planned.n_phrases.items())
    epochs = planned.design.settings.epochs
    say_plan(f"{work}: {counts}, {epochs} epochs", [out], up_to_date=planned.up_to_date)
    if as_json:
        facts = {"phrases": dict(planned.n_phrases)}
        emit_result("train-ground", [out], facts, up_to_date=planned.up_to_date, dry_run=True)


def _print_result(trained: Trained, out: Path, as_json: bool) -> None:
    from eavctl.grounding.scores import words

    for text in trained.warnings:
        warn(text)
    meta = trained.meta
    for line in words(meta["scores"] or {}):
        say(line)
    done = "is up to date: " if trained.up_to_date else ""
    say(f"{done}trained on {meta['n_phrases']['train']} phrases -> {out}")
    if as_json:
        facts = {"phrases": meta["n_phrases"], "scores": meta["scores"]}
        emit_result("train-ground", [out], facts, up_to_date=trained.up_to_date)

"""``eavctl zero-shot``: feature tables to predictions of a class that was held out of all training."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit_result, progress, say, say_written, warn
from eavctl.cli.options import (
    Batch,
    Contrastive,
    Device,
    DryRun,
    Encoders,
    FeatureTables,
    Folds,
    Force,
    Group,
    Json,
    Members,
    NetworkSettings,
    Protocol,
    Rate,
    Seed,
    Shared,
    Size,
    Threads,
    check_stdout,
)
from eavctl.cli.training import print_plan, torch_threads, train_settings
from eavctl.cli.values import network_settings, read_names


@command(
    "zero-shot",
    "eavctl zero-shot eeg.parquet fbank.parquet faces.parquet --held-out Calmness -o zero.parquet",
    "eavctl zero-shot eeg.parquet fbank.parquet faces.parquet --held-out all -o zero.parquet --size tiny",
)
def zero_shot(
    tables: FeatureTables,
    out: Annotated[
        str,
        typer.Option(
            "--out", "-o", help="Write this prediction table (.parquet, .csv, .tsv, .jsonl, .xlsx), or -."
        ),
    ],
    held_out: Annotated[
        str, typer.Option(help="Hold this class out of all training, such as Calmness; or all, each in turn.")
    ],
    encoder: Encoders = None,
    size: Size = None,
    contrastive: Contrastive = 0.0,
    set_: NetworkSettings = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Train for at most this many epochs, the alignment for at most 100.",
            show_default="40; alignment 100",
        ),
    ] = None,
    batch: Batch = None,
    lr: Rate = None,
    members: Members = None,
    device: Device = "auto",
    protocol: Protocol = "auto",
    folds: Folds = 5,
    group: Group = None,
    shared: Shared = None,
    jobs: Threads = None,
    seed: Seed = 42,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Measure how well a class is recognized that was held out of all training.

    The first table is the query, such as EEG. A network on the other tables makes a space of embeddings, to
    which the query is aligned; a test row gets the class of the nearest centroid in that space. The bias to
    the classes of training is corrected by a constant, found on training rows by holding out two classes.
    """
    from eavctl.evaluation.zero_shot import lines
    from eavctl.fusion.networks.alignment import AlignmentSettings
    from eavctl.memory import keep_freed_memory
    from eavctl.stages import zero_shot as stage
    from eavctl.training.cross_validation import Evaluation

    check_stdout(as_json, out)
    settings = train_settings(epochs=epochs, batch=batch, lr=lr, members=members, seed=seed, device=device)
    most = AlignmentSettings.epochs
    choices: dict[str, Any] = {
        "encoders": encoder or (),
        "size": size,
        "network_settings": network_settings(set_, contrastive),
        "settings": AlignmentSettings(settings, min(epochs or most, most)),
        "evaluation": Evaluation(protocol, folds, group, seed, shared=read_names(shared)),
        "force": force,
    }
    keep_freed_memory()
    with torch_threads(jobs):
        if dry_run:
            planned = stage.plan(tables, out, held_out, **choices)
            print_plan("zero-shot", f"hold {held_out} out", planned, [out], as_json)
            return
        with progress("zero-shot") as tick:
            result = stage.zero_shot(tables, out, held_out, **choices, on_fold=tick)
    for text in result.warnings:
        warn(text)
    for line in lines(result.scores):
        say(line)
    say_written(f"{'is up to date: ' if result.up_to_date else ''}{len(result.predictions)} rows", out)
    if as_json:
        emit_result("zero-shot", [out], {"zero_shot": result.scores}, up_to_date=result.up_to_date)

"""``eavctl probe``: what a pretrained encoder is worth, with few labels and with many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit, emit_result, progress, say, say_plan, warn
from eavctl.cli.options import (
    Device,
    DryRun,
    Folds,
    Force,
    Group,
    Json,
    Protocol,
    Seed,
    Shared,
    Tables,
    Threads,
    check_stdout,
)
from eavctl.cli.probe_table import lines
from eavctl.cli.training import torch_threads
from eavctl.cli.values import read_names

if TYPE_CHECKING:
    from eavctl.stages.probe import Planned


@command(
    "probe",
    "eavctl probe encoder.pt logmel.parquet --labels 5,20,all -o probe.json",
    "eavctl probe encoder.pt logmel.parquet --labels 10%,all --arms probe,random,raw",
    "eavctl probe encoder.pt images.parquet --protocol given --draws 10 --fits fits/ -o probe.json",
)
def probe(
    encoder: Annotated[Path, typer.Argument(help="Pretrained encoder (.pt), as pretrain writes it.")],
    tables: Tables,
    labels: Annotated[
        str,
        typer.Option(
            help="Label these shares of the training rows: numbers of rows a class, percentages, and all."
        ),
    ] = "5,20,all",
    draws: Annotated[int, typer.Option(min=3, help="Draw the labelled rows this many times.")] = 3,
    arms: Annotated[
        str,
        typer.Option(help="Fit only these of the arms; networks (scratch, finetuned) take most of the time."),
    ] = "probe,random,raw,scratch,finetuned",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write scores, draws and settings to this file (.json)."),
    ] = None,
    fits: Annotated[
        Path | None,
        typer.Option(
            help="Keep finished fits in this folder, where probes of other encoders on the same table find "
            "those that do not depend on the encoder.",
            show_default="beside the output, until it is written",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Train networks for at most this many epochs.",
            show_default="40; with fewer than 500 labelled rows as many as give 600 steps",
        ),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(
            help="Use this peak learning rate of networks.", show_default="0.001, fine-tuning 0.0005"
        ),
    ] = None,
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
    """Judge a pretrained encoder by classifiers fitted on few labels, on held-out folds.

    On the same draws of labelled rows are fitted: a linear probe on the frozen encoder's embeddings (probe);
    one on those of the encoder with random weights (random); one on the features as they are (raw); the
    encoder's network from scratch (scratch); and from the pretrained weights (finetuned). Intervals are over
    people, or clips, and draws. Test persons that the encoder was pretrained on are refused unless --shared
    names them. After an interruption, the same command goes on from its finished fits.
    """
    from eavctl.memory import keep_freed_memory
    from eavctl.stages import probe as stage
    from eavctl.training.cross_validation import Evaluation

    check_stdout(as_json, out)
    given = {"epochs": epochs, "lr": lr, "device": device}
    choice = stage.ProbeChoice(
        read_names(labels),
        draws,
        read_names(arms),
        {key: value for key, value in given.items() if value is not None},
        jobs or 1,
    )
    options: dict[str, Any] = {
        "choice": choice,
        "evaluation": Evaluation(protocol, folds, group, seed, shared=read_names(shared)),
        "force": force,
    }
    outputs = [out] if out else []
    if dry_run:
        _print_plan(encoder, tables, outputs, stage.plan(encoder, tables, out, **options), as_json)
        return
    keep_freed_memory()
    with torch_threads(jobs), progress(f"probe {encoder}") as tick:
        found = stage.probe(encoder, tables, out, fits=fits, on_fit=tick, **options)
    for text in found.warnings:
        warn(text)
    done = "is up to date: " if found.up_to_date else ""
    say(f"{done}{found.facts['n_rows']} test rows -> {out}" if out else f"{found.facts['n_rows']} test rows")
    if as_json:
        emit_result("probe", outputs, found.facts, up_to_date=found.up_to_date)
    else:
        emit(lines(found.facts))


def _print_plan(
    encoder: Path, tables: list[str], outputs: list[Path], planned: Planned, as_json: bool
) -> None:
    """Print what a dry run found."""
    for text in planned.warnings:
        warn(text)
    work = f"probe {encoder} on {', '.join(tables)}, {planned.n_rows} rows: {planned.plan.describe()}"
    say_plan(f"{work}, {planned.n_fits} fits", outputs, up_to_date=planned.up_to_date)
    if as_json:
        emit_result("probe", outputs, planned.facts, up_to_date=planned.up_to_date, dry_run=True)

"""``eavctl show``: what a file is."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit, emit_result, say_plan
from eavctl.cli.options import DryRun, Json
from eavctl.errors import UsageError


@command(
    "show",
    "eavctl show feats.parquet",
    "eavctl show svm.joblib --json",
    "eavctl show speech-small",
    "eavctl show svm.joblib --markdown",
    "eavctl show probe.json",
)
def show(
    file: Annotated[
        Path,
        typer.Argument(
            help="Table (.parquet), model (.joblib, .pt, .onnx), result of a probe (.json), or packaged "
            "model: speech or speech-small."
        ),
    ],
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a model's card for a model hub, as README.md.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Show what a table or model is, how good it is, and what it was trained on.

    The first lines say what it is and how good; then come confusion, classes, training data, rejected
    recordings, settings, versions and hashes. --json has all of it, except that long lists of columns, clips
    and recordings are a count and the first names.
    """
    from eavctl.stages.show import card
    from eavctl.stages.show import show as run

    if markdown and as_json:
        raise UsageError("--markdown and --json are two forms of the output: choose one")
    if markdown:
        written = card(file)
        say_plan(f"print the card of {file}", []) if dry_run else emit(written.splitlines())
        return
    facts = run(file)
    if dry_run:
        facts = {key: facts[key] for key in ("file", "kind")}
        say_plan(f"show {file} ({facts['kind']})", [])
    if as_json:
        emit_result("show", [], facts, dry_run=dry_run)
    elif not dry_run:
        from eavctl.cli.facts import lines

        emit(lines(facts, shutil.get_terminal_size().columns if sys.stdout.isatty() else None))

"""``eavctl report``: prediction tables to a page."""

from __future__ import annotations

from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit_json, say
from eavctl.cli.options import Force, Json
from eavctl.errors import UsageError


@command(
    "report",
    "eavctl report preds.parquet -o report.html",
    "eavctl report svm_preds.parquet dnn_preds.parquet fused.parquet -o report.html",
    "eavctl report preds.parquet --json",
)
def report(
    tables: Annotated[
        list[str], typer.Argument(help="Prediction tables (.parquet); a column of the page each.")
    ],
    out: Annotated[str | None, typer.Option("--out", "-o", help="Page to write (.html), or -.")] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Judge prediction tables: scores with intervals, each class, each subject, confusion matrices."""
    from eavctl.stages.report import report as run

    if out is None and not as_json:
        raise UsageError("nothing to write: give -o report.html, or --json")
    if as_json and out == "-":
        raise UsageError("--json and -o - both want stdout: name a file with -o")
    summary = run(tables, out, force=force)
    if as_json:
        emit_json(summary)
    if out:
        say(f"{len(tables)} {'table' if len(tables) == 1 else 'tables'} -> {out}")

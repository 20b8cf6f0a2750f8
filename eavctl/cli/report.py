"""``eavctl report``: prediction tables to a page."""

from __future__ import annotations

from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit_result, say, say_plan
from eavctl.cli.options import DryRun, Force, Json, check_stdout
from eavctl.errors import UsageError


@command(
    "report",
    "eavctl report preds.parquet -o report.html",
    "eavctl report svm_preds.parquet dnn_preds.parquet fused.parquet -o report.html",
    "eavctl report preds.parquet --json",
)
def report(
    tables: Annotated[
        list[str], typer.Argument(help="Prediction tables (.parquet), each a column of the page.")
    ],
    out: Annotated[str | None, typer.Option("--out", "-o", help="Write this page (.html), or -.")] = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Score prediction tables: intervals, each class, each subject, confusion matrices."""
    from eavctl.stages.report import make_report

    if out is None and not as_json:
        raise UsageError("nothing to write: give -o report.html, or --json")
    check_stdout(as_json, out)
    found = make_report(tables, out, force=force, dry_run=dry_run)
    outputs = [out] if out else []
    count = f"{len(tables)} {'table' if len(tables) == 1 else 'tables'}"
    if dry_run:
        say_plan(f"report on {count}", outputs)
    elif out:
        say(f"{count} -> {out}")
    if as_json:
        emit_result("report", outputs, found, dry_run=dry_run)

"""``eavctl report``: prediction tables to a page, or to tables of scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit, emit_result, say, say_plan
from eavctl.cli.options import DryRun, Force, Json, check_stdout
from eavctl.cli.values import read_pairs
from eavctl.errors import DataError, UsageError
from eavctl.storage.files import STDIO

SHOWN = 3  # scores that are too low, in the error


@command(
    "report",
    "eavctl report preds.parquet -o report.html",
    "eavctl report svm_preds.parquet dnn_preds.parquet fused.parquet -o report.html",
    "eavctl report svm_preds.parquet dnn_preds.parquet -o report.html --names svm_preds=SVM,dnn_preds=CNN",
    "eavctl report preds.parquet --markdown --fail-under uar=0.6",
    "eavctl report preds.parquet -o table.tex --csv scores.csv",
    "eavctl report preds.parquet --json",
)
def report(
    tables: Annotated[
        list[str], typer.Argument(help="Prediction tables (.parquet), each a model of the report.")
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            help="Write a page (.html, or -), a table of the models (.md, .tex), all scores (.csv), or "
            "everything (.json), by the ending.",
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="Give the report this title.", show_default="by the models")
    ] = None,
    names: Annotated[
        str | None,
        typer.Option(
            help="Name the models, as FILE=NAME by the files without ending, such as svm_preds=SVM,b=CNN.",
            show_default="the files",
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(help="Also write all scores to this table (.csv), a row a model, metric and class."),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the models with their intervals as a markdown table.")
    ] = False,
    latex: Annotated[
        bool, typer.Option("--latex", help="Print the models with their intervals as a LaTeX table.")
    ] = False,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(
            help="Exit with 3 if a model's METRIC is below VALUE, such as uar=0.6: uar, macro_f1, accuracy; "
            "with _low the lower end of the interval; NAME:uar=0.6 for one model; repeatable."
        ),
    ] = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Score prediction tables: what was trained, intervals, classes, subjects, calibration, confusion.

    The page is one file without scripts, for screens and paper. With --fail-under everything is written
    before the command ends with 3.
    """
    from eavctl.report.table_formats import latex_of, markdown_of
    from eavctl.stages.report import make_report

    if out is None and csv is None and not (as_json or markdown or latex):
        raise UsageError("nothing to write: give -o report.html, --markdown, --latex, --csv or --json")
    check_stdout(as_json, out, csv, *[STDIO] * (markdown + latex))
    found = make_report(
        tables,
        out,
        csv=csv,
        title=title,
        names=read_pairs(names.split(","), "--names") if names else None,
        fail_under=fail_under or (),
        force=force,
        dry_run=dry_run,
    )
    outputs = [str(path) for path in (out, csv) if path is not None]
    count = f"{len(tables)} {'table' if len(tables) == 1 else 'tables'}"
    if dry_run:
        say_plan(f"report on {count}", outputs)
    elif outputs:
        say(f"{count} -> {' and '.join(outputs)}")
    if not dry_run and (markdown or latex):
        emit((markdown_of if markdown else latex_of)(found).splitlines())
    if as_json:
        emit_result("report", outputs, found, dry_run=dry_run)
    if failed := found["failed"]:
        more = f"; and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
        raise DataError("; ".join(failed[:SHOWN]) + more)

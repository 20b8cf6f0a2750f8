"""``eavctl convert``: a table to a file for other programs."""

from __future__ import annotations

from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit_result, say, say_plan
from eavctl.cli.options import DryRun, Force, Json, check_stdout


@command(
    "convert",
    "eavctl convert preds.parquet preds.csv",
    "eavctl convert feats.parquet feats.xlsx",
    "eavctl convert preds.parquet - --to jsonl",
)
def convert(
    table: Annotated[
        str, typer.Argument(help="Table of features, predictions or rejected recordings (.parquet), or -.")
    ],
    out: Annotated[str, typer.Argument(help="Write this file (.csv, .tsv, .jsonl, .xlsx), or -.")],
    to: Annotated[
        str | None,
        typer.Option(help="Write - in this format: csv, tsv, jsonl or xlsx.", show_default="by the ending"),
    ] = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Convert a table to CSV, TSV, JSON lines or Excel, for other programs.

    Numbers keep every bit; missing values are empty cells, or null in JSON lines. The metadata, such as the
    classes and the protocol, are left out, so eavctl does not read these files: keep the Parquet table.
    Tables of tensors become JSON lines only, as nested lists.
    """
    from eavctl.stages import convert as stage

    check_stdout(as_json, out)
    call = stage.plan if dry_run else stage.convert
    found = call(table, out, to=to, force=force)
    size = f"{found.n_rows} rows, {found.n_columns} columns"
    if dry_run:
        say_plan(f"convert {size}", [out])
    else:
        say(f"{size} -> {out}")
    if as_json:
        emit_result("convert", [out], found._asdict(), dry_run=dry_run)

"""``eavctl bench``: what a model costs on this machine, and its exported forms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit, emit_result, say, say_plan, warn
from eavctl.cli.options import CalibrationTables, CheckTables, DryRun, Json
from eavctl.evaluation import formatting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eavctl.export.measured import Measured

TITLES = ("variant", "size", "load", "p50", "p95", "rows/s", "memory", "change", "decisions", "UAR")


@command(
    "bench",
    "eavctl bench dnn.pt --check logmel.parquet",
    "eavctl bench eegnet.pt --check eeg.parquet --calibrate eeg.parquet --json",
    "eavctl bench ambt.pt --check eeg.parquet --check speech.parquet --check faces.parquet",
)
def bench(
    model: Annotated[
        Path,
        typer.Argument(help="Model (.joblib, .pt, .onnx), or packaged model: speech or speech-small."),
    ],
    check: CheckTables = None,
    calibrate: CalibrationTables = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Measure a model beside its exported forms, on this machine with one thread.

    The table has the size of the file, the time to load it in a new process, percentiles of the time for one
    row, rows a second in batches of 32, and the peak memory of a process; then the largest change of a
    probability, decisions that change, and, of rows with labels, the UAR and its interval.
    """
    from eavctl.stages import bench as stage

    tables, calibration = check or [], calibrate or []
    if dry_run:
        planned = stage.plan(model, tables, calibration)
        say_plan(f"measure {model} ({planned.kind}) on {planned.rows.what}", [])
        if as_json:
            emit_result("bench", [], planned.facts(), dry_run=True)
        return
    say(f"measuring {model}, which takes a minute")
    found = stage.bench(model, tables, calibration)
    for note in found.notes:
        warn(note)
    if as_json:
        emit_result("bench", [], found.facts())
    else:
        emit([f"{model}: {found.kind}, on {found.rows.what}", *table(found.variants)])


def table(variants: Sequence[Measured]) -> list[str]:
    """Lines of a table of variants, with aligned columns."""
    rows = [TITLES, *(cells(each) for each in variants)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{n}}" for cell, n in zip(row, widths, strict=True)).rstrip() for row in rows]


def cells(measured: Measured) -> tuple[str, ...]:
    """One line of the table."""
    from eavctl.export.measured import mb, ms

    cost, change = measured.cost, measured.change
    return (
        measured.name,
        mb(cost.n_bytes),
        f"{cost.load_s:.2f} s",
        ms(cost.p50_s),
        ms(cost.p95_s),
        "" if cost.rows_per_s is None else f"{cost.rows_per_s:.3g}",
        "" if cost.peak_mb is None else f"{cost.peak_mb:.0f} MB",
        f"{change.largest:.1g}",
        f"{change.decisions} of {change.n_rows}",
        "" if change.uar is None else formatting.score(change.uar),
    )

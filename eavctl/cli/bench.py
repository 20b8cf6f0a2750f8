"""``eavctl bench``: what a model costs on this machine, and its exported forms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit, emit_result, say, say_plan, warn
from eavctl.cli.options import CalibrationTables, CheckTables, DryRun, Json
from eavctl.cli.variants import table


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
        emit([f"{model}: {found.kind}, on {found.rows.what}", *table(found.facts()["variants"])])

"""``eavctl export``: a model to an ONNX file, checked against the original."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit_result, say, say_plan
from eavctl.cli.options import CheckTables, DryRun, Force, Json


@command(
    "export",
    "eavctl export svm.joblib -o svm.onnx",
    "eavctl export cnn.pt -o cnn.onnx --check logmel.parquet",
    "eavctl export ambt.pt -o ambt.onnx --check eeg.parquet --check audio.parquet --check faces.parquet",
    "eavctl export cnn.pt -o cnn.safetensors",
    "eavctl export speech-small -o speech.onnx",
)
def export(
    model: Annotated[
        Path, typer.Argument(help="Model (.joblib, .pt), or packaged model: speech or speech-small.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="Write this file: .onnx, or .safetensors for the weights of a network."
        ),
    ],
    check: CheckTables = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Export a model as ONNX, from features to calibrated probabilities.

    predict, live and serve take the file as they take the model, without torch. Before it is written, its
    answers are compared with the model's in batches of 1, 2, 7 and 32, on the rows of --check or on 256
    made-up ones: no probability may differ by more than 0.00001, and no decision at all.
    """
    from eavctl.stages import export as stage

    tables = check or []
    if dry_run:
        planned = stage.plan(model, out, check=tables, force=force)
        on = f", checked on {planned.rows.what}" if planned.rows else ""
        say_plan(f"export {planned.model} ({planned.kind}){on}", [out])
        if as_json:
            facts = {"model": planned.model, "kind": planned.kind}
            emit_result("export", [out], facts, dry_run=True)
        return
    exported = stage.export(model, out, check=tables, force=force)
    if about := exported.export:
        found = about["check"]
        change = found["largest_change"]["proba"]
        say(f"opset {about['opset']}; time is {'free' if about['free_time'] else 'fixed'}, batches are free")
        say(f"checked on {found['what']}: largest change of a probability {change:.1e}, no decision changed")
    say(f"{exported.size / 1e6:.2f} MB -> {out}")
    if as_json:
        emit_result("export", [out], exported._asdict())

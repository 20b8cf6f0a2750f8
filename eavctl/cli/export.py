"""``eavctl export``: a model to an ONNX file, checked against the original."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit_result, say, say_plan, warn
from eavctl.cli.options import CalibrationTables, CheckTables, DryRun, Force, Json
from eavctl.cli.variants import table
from eavctl.errors import UsageError

ENOUGH = 256  # rows to check on


@command(
    "export",
    "eavctl export svm.joblib -o svm.onnx",
    "eavctl export cnn.pt -o cnn.onnx --check logmel.parquet",
    "eavctl export ambt.pt -o ambt.onnx --check eeg.parquet --check audio.parquet --check faces.parquet",
    "eavctl export ast.pt -o ast.onnx --int8 --check fbank.parquet",
    "eavctl export eegnet.pt -o eegnet.onnx --int8 --check eeg.parquet --calibrate eeg.parquet",
    "eavctl export ast.pt -o ast.onnx --half --tensorrt 11",
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
    int8: Annotated[
        bool,
        typer.Option(
            "--int8", help="Write weights of 8 bits, where the file is then smaller, faster and as good."
        ),
    ] = False,
    calibrate: CalibrationTables = None,
    half: Annotated[
        bool, typer.Option("--half", help="Write float16, for GPUs, where the answers stay as good.")
    ] = False,
    tensorrt: Annotated[
        int | None,
        typer.Option(
            min=10,
            max=11,
            help="Print the trtexec command for TensorRT 10 or 11, and run it where that is installed.",
            show_default="none",
        ),
    ] = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Export a model as ONNX, from features to calibrated probabilities.

    predict, live and serve take the file as they take the model, without torch. Before it is written, its
    answers are compared with the model's in batches of 1 to 32 rows, on those of --check or on 256 made-up
    ones: no probability may differ by more than 0.00001, and no decision at all.

    --int8 and --half are measured beside float32 on the same rows: size, time, and, of rows with labels, the
    UAR with its interval. Where int8 is not smaller and faster, or the answers of either get worse, the file
    stays float32; --force overrides that. Int8 of convolutional networks, and of any network for TensorRT,
    needs --calibrate.
    """
    from eavctl.stages import export as stage

    if int8 and half:
        raise UsageError("--int8 and --half: choose one")
    if calibrate and not int8:
        raise UsageError("--calibrate is for --int8")
    precision = "int8" if int8 else "float16" if half else "float32"
    form = stage.Form(precision, calibrate or [], tensorrt)
    options: dict[str, Any] = {"check": check or [], "form": form, "force": force}
    if dry_run:
        planned = stage.plan(model, out, **options)
        on = f", checked on {planned.rows.what}" if planned.rows else ""
        form_words = "" if precision == "float32" else f" as {precision}"
        say_plan(f"export {planned.model} ({planned.kind}){form_words}{on}", [out])
        if as_json:
            facts = {"model": planned.model, "kind": planned.kind}
            emit_result("export", [out], facts, dry_run=True)
        return
    exported = stage.export_model(model, out, **options)
    if about := exported.export:
        found = about["check"]
        change = found["largest_change"]["proba"]
        say(f"opset {about['opset']}; time is {'free' if about['free_time'] else 'fixed'}, batches are free")
        if found["rows"] < found["of"]:
            say(f"the network is large: checked on {found['rows']} rows of {found['of']}")
        elif found["rows"] < ENOUGH:
            say(f"checked on fewer than {ENOUGH} rows, for the tables have no more")
        batches = ", ".join(map(str, found["batches"]))
        say(f"checked on {found['what']}, in batches of {batches}:")
        say(f"largest change of a probability {change:.1e}, no decision changed")
    if exported.converted:
        for line in table(exported.converted["variants"]):
            say(line)
    for note in exported.notes:
        warn(note)
    say(f"{exported.size / 1e6:.2f} MB -> {out}")
    if exported.engine:
        _say_engine(exported.engine)
    if as_json:
        emit_result("export", [out], exported._asdict())


def _say_engine(engine: Mapping[str, Any]) -> None:
    """The command that builds the engine, or that it was built."""
    words = shlex.join(engine["command"])
    if engine["built"]:
        say(f"engine built by TensorRT {engine['version']}: {words}")
        return
    say(f"TensorRT is not installed here; where version {engine['version']} is, run:")
    say(words)
    if engine["version"] >= 11:
        say("the engine has the precision of the file: --half for float16, --int8 for int8")

"""``eavctl predict``: recordings and a model to classes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.judging import judge
from eavctl.cli.options import Force, Json


@command(
    "predict",
    "eavctl predict clip.wav",
    "eavctl predict clip.wav --model svm.joblib --plot analysis.png",
    "eavctl predict talk.wav --window 3 --hop 1 --json",
    "eavctl predict dataset/ -o preds.parquet",
    "eavctl predict subject3/ --trial 12 --model ambt.pt",
    "eavctl predict --eeg rec.edf --audio a.wav --video v.mp4 --model ambt.pt",
)
def predict(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Recordings, folders, manifests, feature tables, or - for stdin."),
    ] = None,
    eeg: Annotated[str | None, typer.Option(help="EEG of one recording in separate files.")] = None,
    audio: Annotated[str | None, typer.Option(help="Its sound.")] = None,
    video: Annotated[str | None, typer.Option(help="Its pictures.")] = None,
    model: Annotated[
        Path | None, typer.Option(help="Model file; else svm.joblib in the working folder.")
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", "-o", help="Write a prediction table (.parquet), or -.")
    ] = None,
    window: Annotated[float | None, typer.Option(help="Judge windows of so many seconds.")] = None,
    hop: Annotated[
        float | None, typer.Option(help="Seconds from window to window; a window's length.")
    ] = None,
    layout: Annotated[str | None, typer.Option(help="Layout of folders, where it is not recognised.")] = None,
    trial: Annotated[int | None, typer.Option(min=1, help="Only this trial of a subject's folder.")] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw waveform, mel spectrogram, MFCC and chroma of a recording (.png)."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="End with 3 if any recording is bad.")] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Say which emotion recordings express, and how sure that is.

    How sure: the share of right answers among the out-of-fold recordings of the training that were judged
    with about the same probability. A fusion model judges by what there is of a recording, and says what it
    used, how much each weighed, and what was absent.
    """
    judge(
        sources or [],
        model,
        separate={k: path for k, path in (("eeg", eeg), ("audio", audio), ("video", video)) if path},
        out=out,
        window=window,
        hop=hop,
        layout=layout,
        trial=trial,
        plot=plot,
        strict=strict,
        force=force,
        as_json=as_json,
    )

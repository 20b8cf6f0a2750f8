"""``eavctl live``: microphone, camera and EEG, or files at their own speed, to answers window by window."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.options import DryRun, Force, Json, JudgingModel, JudgingWeights, Who, WhoModel
from eavctl.cli.values import read_who
from eavctl.errors import UsageError


@command(
    "live",
    "eavctl live --audio mic:default",
    "eavctl live --audio mic:default --video camera:0 --eeg lsl:openbci --model ambt.pt",
    "eavctl live --audio talk.wav --model speech-small --hop 0.5",
    "eavctl live --audio a.wav --video v.mp4 --model ambt.pt --speed 4 --record preds.parquet",
    "eavctl live --video camera:0 --model faces.pt --who 'the man on the right'",
    "eavctl live --audio - --json",
    "eavctl live --list",
)
def live(
    audio: Annotated[
        str | None,
        typer.Option(
            help="Listen to mic:default, mic:NAME, lsl:NAME, a file, or - (raw 16-bit mono, 16 kHz)."
        ),
    ] = None,
    video: Annotated[str | None, typer.Option(help="Watch camera:0, or a file.")] = None,
    eeg: Annotated[str | None, typer.Option(help="Take EEG from lsl:NAME, or a file.")] = None,
    model: JudgingModel = None,
    weights: JudgingWeights = None,
    window: Annotated[
        float | None,
        typer.Option(help="Judge windows of this many seconds, such as 3.", show_default="the model's"),
    ] = None,
    hop: Annotated[
        float | None,
        typer.Option(help="Start a window every N seconds, such as 0.5.", show_default="1"),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            help="Let the times of modalities differ by this many seconds, and wait as long for one."
        ),
    ] = 0.1,
    speed: Annotated[
        float, typer.Option(help="Play files at this many times their own speed, such as 4.")
    ] = 1.0,
    quality: Annotated[
        str,
        typer.Option(
            help="Lower rate, frames and picture size when answers come late (auto), or never (fixed)."
        ),
    ] = "auto",
    smooth: Annotated[
        float,
        typer.Option(help="Smooth probabilities over this many seconds, such as 5; 0 for no smoothing."),
    ] = 0.0,
    abstain: Annotated[
        float,
        typer.Option(help="Answer 'unsure' below this probability of the answer, 0 to 1, such as 0.5."),
    ] = 0.0,
    who: Who = None,
    who_model: WhoModel = None,
    record: Annotated[
        Path | None,
        typer.Option(
            help="Also write the answers to this prediction table (.parquet, .csv, .tsv, .jsonl, .xlsx)."
        ),
    ] = None,
    show_list: Annotated[
        bool, typer.Option("--list", help="List microphones, cameras and LSL streams, and end.")
    ] = False,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Judge live sources, window by window, until they end or Ctrl-C.

    A terminal shows bars, the last minute's course, confidence, sources, latency and losses; a pipe, or
    --json, gets one JSON object a window. A modality that stalls is absent from windows until it comes back,
    and the answer says so. Where answers come late, quality is lowered, with a message. Ctrl-C
    prints a summary and ends with 130; --record writes its table first.

    Microphones and LSL need the extra 'live': pip install 'eavctl[live]'.
    """
    from eavctl.cli.listening import list_devices, listen
    from eavctl.live.settings import LiveSettings

    if show_list:
        list_devices(as_json=as_json)
        return
    sources = {k: uri for k, uri in (("eeg", eeg), ("audio", audio), ("video", video)) if uri}
    if not sources:
        raise UsageError("no source: give one, such as --audio mic:default; --list lists the devices")
    if quality not in ("auto", "fixed"):
        raise UsageError(f"--quality is auto or fixed, not {quality}")
    settings = LiveSettings(window, hop, tolerance, speed, quality == "auto", smooth)
    listen(
        sources,
        model,
        settings,
        weights=weights or [],
        abstain=abstain,
        who=read_who(who, who_model),
        record=record,
        force=force,
        dry_run=dry_run,
        as_json=as_json,
    )

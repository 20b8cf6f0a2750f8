"""``eavctl predict``: recordings and a model to classes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.judging import judge
from eavctl.cli.options import (
    DryRun,
    Epoch,
    Events,
    Force,
    Hop,
    Jobs,
    Json,
    JudgingModel,
    JudgingWeights,
    Layout,
    Rejected,
    Segment,
    Strict,
    Where,
    Who,
    WhoModel,
    check_stdout,
)
from eavctl.cli.values import read_epochs, read_pairs, read_who


@command(
    "predict",
    "eavctl predict clip.wav",
    "eavctl predict clip.wav --model speech-small",
    "eavctl predict clip.wav --model svm.joblib --plot analysis.png",
    "eavctl predict talk.wav --segment 3 --hop 1 --json",
    "eavctl predict dataset/ --abstain 0.5 -o preds.parquet",
    "eavctl predict dataset/ -o preds.parquet --rejected bad.csv --jobs 2",
    "eavctl predict calls/ --adapt -o preds.parquet",
    'eavctl predict talk.mp4 --who "the woman on the left" --model faces.pt',
    "eavctl predict subject3/ --trial 12 --model ambt.pt",
    "eavctl predict EAV/ --where task=speaking --model ambt.pt -o preds.parquet",
    "eavctl predict run.edf --events T1=left,T2=right --epoch 0,4 --model eegnet.pt",
    "eavctl predict --eeg rec.edf --audio a.wav --video v.mp4 --model ambt.pt",
)
def predict(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Recordings, folders, manifests, feature tables, or - for stdin."),
    ] = None,
    eeg: Annotated[str | None, typer.Option(help="EEG file of one recording, such as rec.edf.")] = None,
    audio: Annotated[
        str | None, typer.Option(help="Audio file of the same recording, such as a.wav.")
    ] = None,
    video: Annotated[
        str | None, typer.Option(help="Video file of the same recording, such as v.mp4.")
    ] = None,
    model: JudgingModel = None,
    weights: JudgingWeights = None,
    out: Annotated[
        str | None, typer.Option("--out", "-o", help="Write this prediction table (.parquet), or -.")
    ] = None,
    layout: Layout = None,
    where: Where = None,
    trial: Annotated[
        int | None,
        typer.Option(
            min=1, help="Judge only this trial of a subject's folder, or epoch of --events, such as 12."
        ),
    ] = None,
    events: Events = None,
    epoch: Epoch = None,
    segment: Segment = None,
    hop: Hop = None,
    abstain: Annotated[
        float,
        typer.Option(help="Answer 'unsure' below this probability of the answer, 0 to 1, such as 0.5."),
    ] = 0.0,
    adapt: Annotated[
        bool,
        typer.Option(
            "--adapt",
            help="Standardize features by the recordings at hand, 20 or more, without labels, and by the "
            "speakers that are named; for recordings of one source, unlike the training's.",
        ),
    ] = False,
    who: Who = None,
    who_model: WhoModel = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Draw one recording (.png): spectrograms of audio; traces, bands and scalp maps of EEG; "
            "faces of video."
        ),
    ] = None,
    rejected: Rejected = None,
    strict: Strict = False,
    jobs: Jobs = 1,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Predict which emotion recordings express, and with what confidence.

    Confidence is the share of right answers among out-of-fold recordings of the training that were judged
    with about the same probability. An answer is unsure where the recording is unlike the training data, or
    its probability is below --abstain. A fusion model uses the modalities that a recording has; the output
    lists their weights, and the missing ones. With --segment each segment is judged, else whole recordings.

    The packaged models are for speech, and for research; 'speech', the better one, needs the weights of
    pipecat-ai. 'eavctl show speech' prints its card.
    """
    from eavctl.datasets.choice import Choice
    from eavctl.memory import keep_freed_memory

    check_stdout(as_json, out, rejected)
    keep_freed_memory()
    judge(
        sources or [],
        model,
        weights=weights or [],
        separate={k: path for k, path in (("eeg", eeg), ("audio", audio), ("video", video)) if path},
        out=out,
        choice=Choice(layout, read_pairs(where or [], "--where"), read_epochs(events, epoch)),
        trial=trial,
        segment=segment,
        hop=hop,
        abstain=abstain,
        adapt=adapt,
        who=read_who(who, who_model),
        plot=plot,
        rejected=rejected,
        jobs=jobs,
        strict=strict,
        force=force,
        dry_run=dry_run,
        as_json=as_json,
    )

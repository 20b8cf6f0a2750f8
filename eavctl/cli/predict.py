"""``eavctl predict``: recordings and a model to classes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from eavctl.cli.app import command
from eavctl.cli.judging import judge
from eavctl.cli.options import (
    Columns,
    Dask,
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
    Pattern,
    Rejected,
    Segment,
    Strict,
    TMax,
    TMin,
    Where,
    Who,
    WhoModel,
    check_stdout,
    executor_of,
)
from eavctl.cli.values import read_choice, read_epochs, read_who
from eavctl.errors import UsageError


@command(
    "predict",
    "eavctl predict clip.wav",
    "eavctl predict clip.wav --model speech-small",
    "eavctl predict clip.wav --model svm.joblib --plot analysis.png",
    "eavctl predict talk.wav --segment 3 --hop 1 --json",
    "eavctl predict calls/ --jsonl --jobs 2",
    "eavctl predict --files-from names.txt --jsonl",
    "eavctl predict --watch incoming/ --jsonl",
    "eavctl predict dataset/ --abstain 0.5 -o preds.parquet",
    "eavctl predict dataset/ -o preds.parquet --rejected bad.csv --jobs 2",
    "eavctl predict s3://bucket/clips/ -o preds.parquet",
    "eavctl predict dataset/ -o preds.parquet --dask local:4",
    "eavctl predict calls.csv --columns recording=path -o preds.parquet",
    "eavctl predict calls/ --adapt -o preds.parquet",
    'eavctl predict talk.mp4 --who "the woman on the left" --model faces.pt',
    "eavctl predict subject3/ --trial 12 --model ambt.pt",
    "eavctl predict EAV/ --where task=speaking --model ambt.pt -o preds.parquet",
    "eavctl predict run.edf --events T1,T2 --model eegnet.pt",
    "eavctl predict runs/ --events T1=left,T2=right --model eegnet.pt -o preds.parquet",
    "eavctl predict --eeg rec.edf --audio a.wav --video v.mp4 --model ambt.pt",
)
def predict(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Recordings, folders, manifests or feature tables, also at a URL; or - for stdin."
        ),
    ] = None,
    eeg: Annotated[str | None, typer.Option(help="EEG file of one recording, such as rec.edf.")] = None,
    audio: Annotated[
        str | None, typer.Option(help="Audio file of the same recording, such as a.wav.")
    ] = None,
    video: Annotated[
        str | None, typer.Option(help="Video file of the same recording, such as v.mp4.")
    ] = None,
    files_from: Annotated[
        str | None,
        typer.Option(
            help="Judge the recordings in this list too, one name a line, or each ended by a null byte; - "
            "reads names from stdin as they come."
        ),
    ] = None,
    watch: Annotated[
        Path | None,
        typer.Option(help="Judge recordings that are written to this folder, until Ctrl-C."),
    ] = None,
    model: JudgingModel = None,
    weights: JudgingWeights = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", "-o", help="Write this prediction table (.parquet, .csv, .tsv, .jsonl, .xlsx), or -."
        ),
    ] = None,
    layout: Layout = None,
    columns: Columns = None,
    pattern: Pattern = None,
    where: Where = None,
    trial: Annotated[
        int | None,
        typer.Option(
            min=1, help="Judge only this trial of a subject's folder, or epoch of --events, such as 12."
        ),
    ] = None,
    events: Events = None,
    tmin: TMin = None,
    tmax: TMax = None,
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
    jsonl: Annotated[
        bool,
        typer.Option("--jsonl", help="Print one JSON object a row as soon as it is judged, in order."),
    ] = False,
    rejected: Rejected = None,
    strict: Strict = False,
    jobs: Jobs = 1,
    dask: Dask = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Predict which emotion recordings express, and with what confidence.

    Confidence is the share of right answers among out-of-fold recordings of the training that were judged
    with about the same probability. An answer is unsure where the recording is unlike the training data, or
    its probability is below --abstain. A fusion model uses the modalities that a recording has; the output
    lists their weights, and the missing ones. With --segment each segment is judged, else whole recordings.

    With --events each epoch is judged. Epochs begin and end, and are corrected, as those of the training. An
    event without a class, as in T1,T2, is enough; with its class the row has a label.

    --jsonl prints what --json lists under predictions, each object as soon as it is there; a recording that
    cannot be used has its reason under rejected. --watch waits for new files, and judges each once it is
    closed; it needs the extra 'watch': pip install 'eavctl[watch]'.

    The packaged models are for speech, and for research; 'speech', the better one, needs the weights of
    pipecat-ai. 'eavctl show speech' prints its card.
    """
    from eavctl.memory import keep_freed_memory

    check_stdout(as_json or jsonl, out, rejected)
    keep_freed_memory()
    epochs = read_epochs(events, tmin, tmax, epoch, needs_classes=False)
    choice = read_choice(layout, columns, pattern, where, epochs)
    options: dict[str, Any] = {
        "weights": weights or [],
        "separate": {k: path for k, path in (("eeg", eeg), ("audio", audio), ("video", video)) if path},
        "files_from": files_from,
        "choice": choice,
        "trial": trial,
        "segment": segment,
        "hop": hop,
        "abstain": abstain,
        "who": read_who(who, who_model),
        "rejected": rejected,
        "jobs": jobs,
        "executor": executor_of(dask),
        "strict": strict,
        "force": force,
        "dry_run": dry_run,
        "as_json": as_json,
    }
    if watch or (jsonl and not dry_run):
        from eavctl.cli.streaming import stream

        needs_all = {"--adapt": adapt, "-o": out, "--plot": plot, "--json": as_json and not dry_run}
        of_sets = "--layout, --columns, --pattern and --where"
        selects = choice.layout or choice.columns or choice.where
        beside = {"recordings": sources, "--files-from": files_from, of_sets: selects} if watch else {}
        clash = next((name for name, value in {**needs_all, **beside}.items() if value), None)
        if clash:
            why = (
                "prints each answer at once" if clash in needs_all else "takes what is written to the folder"
            )
            raise UsageError(f"{'--watch' if watch else '--jsonl'} {why}: leave {clash} out")
        stream(sources or [], model, watch=watch, as_lines=jsonl, **options)
        return
    judge(sources or [], model, out=out, adapt=adapt, plot=plot, **options)

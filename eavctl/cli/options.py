"""Options that several commands share, each defined once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from eavctl.errors import UsageError
from eavctl.settings import MOST_SEED
from eavctl.storage.files import STDIO
from eavctl.version import __version__


def _print_version(asked: bool) -> None:
    if asked:
        print(f"eavctl {__version__}")
        raise typer.Exit


def check_stdout(as_json: bool, *outputs: str | Path | None) -> None:
    """Refuse two outputs to stdout.

    Raises
    ------
    UsageError : two outputs are ``-``; or one is, with ``--json``.
    """
    wanted = [output for output in outputs if str(output) == STDIO]
    if wanted and as_json:
        raise UsageError("--json and an output - both go to stdout: name a file, such as -o out.parquet")
    if len(wanted) > 1:
        raise UsageError("two outputs are -, and stdout takes one: name a file for the other")


def executor_of(dask: str | None) -> str:
    """The executor that a command line asks for: Dask, or copies of this process."""
    address = dask or os.environ.get("DASK_SCHEDULER_ADDRESS")  # Dask's own
    return f"dask:{address}" if address else "fork"


# --- every command ----------------------------------------------------------------------------------------

Version = Annotated[
    bool,
    typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
]
Seed = Annotated[
    int, typer.Option("--seed", "-s", min=0, max=MOST_SEED, help="Draw all random numbers from this seed.")
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", "-f", help="Overwrite files not written by eavctl; recompute even if up to date."
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", "-n", help="Check inputs and outputs and print what would be done; write nothing."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout, and no other text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose", "-v", count=True, show_default=False, help="Print more; twice for tracebacks of errors."
    ),
]

# --- parallel work -------------------------------------------------------------------------------------

Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        help="Use this many processes, at most one a processor; the result does not depend on it.",
    ),
]
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="Compute on the workers of this Dask scheduler, such as tcp://host:8786, or on N new processes "
        "of this machine, as local:N, whatever --jobs says. Needs eavctl[dask].",
        show_default="DASK_SCHEDULER_ADDRESS, if it is set",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option("--jobs", "-j", min=1, help="Use this many threads.", show_default="all cores"),
]

# --- recordings -------------------------------------------------------------------------------------------

Layout = Annotated[
    str | None,
    typer.Option(
        help="Read the data set by this layout, such as folder, csv, bids or ravdess; 'eavctl list layouts' "
        "names all.",
        show_default="recognised",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        help="Say what columns of a manifest mean, as COLUMN=KEY, such as file=path,emotion=label; or rename "
        "kept columns, as pred=old_pred.",
        show_default="by their names",
    ),
]
Pattern = Annotated[
    str | None,
    typer.Option(
        help="Read keys from the recordings' names, such as '{subject}_{label}_{take}' or "
        "'{subject}/{label}_{}'; {} and * are ignored, and other names are kept.",
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(help="Take only recordings with this KEY=VALUE, such as task=speaking; repeatable."),
]
Without = Annotated[
    list[str] | None,
    typer.Option(help="Leave out rows with this KEY=VALUE, such as dataset=emodb; repeatable."),
]
Events = Annotated[
    str | None,
    typer.Option(help="Cut continuous EEG at these events, as EVENT=CLASS, such as T1=left,T2=right."),
]
TMin = Annotated[
    float | None,
    typer.Option(
        "--tmin",
        help="Start epochs at this time in seconds from the onset of their events, such as -0.2.",
        show_default="0",
    ),
]
TMax = Annotated[
    float | None,
    typer.Option(
        "--tmax",
        help="End epochs at this time in seconds from the onset of their events, such as 0.8.",
        show_default="as long as the shortest event",
    ),
]
Epoch = Annotated[str | None, typer.Option(hidden=True, help="START,END: --tmin and --tmax of old scripts.")]
DistinctNames = Annotated[
    bool,
    typer.Option(
        "--distinct-names",
        help="Take labels and subjects that look alike, such as 1 and 01, for different ones.",
    ),
]
Segment = Annotated[
    float | None,
    typer.Option(help="Cut recordings into segments of this many seconds, such as 5.", show_default="whole"),
]
Hop = Annotated[
    float | None,
    typer.Option(help="Start a segment every N seconds, such as 2.5.", show_default="the segment's length"),
]
Rejected = Annotated[
    Path | None,
    typer.Option(
        help="Also write recordings that cannot be used, with reasons, to this table "
        "(.parquet, .csv, .tsv, .jsonl, .xlsx)."
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 3 if any recording cannot be used.")]

# --- training and evaluation ------------------------------------------------------------------------------

Tables = Annotated[
    list[str],
    typer.Argument(metavar="TABLE...", help="Feature table (.parquet), or - for stdin; several are stacked."),
]
Labels = Annotated[
    str | None,
    typer.Option(
        help="Rename classes, as NAME=CLASS, such as anger=angry,happiness=happy; NAME= leaves a class out."
    ),
]
Corpora = Annotated[
    str,
    typer.Option(
        help="Let data sets count alike in the training, and the classes in each (equal), or all rows (rows)."
    ),
]
Protocol = Annotated[
    str,
    typer.Option(
        help="Split rows by this protocol: auto, random, stratified, group-kfold, loso, lodo (one data set "
        "left out at a time), eav-70-30, eav-50-50 (each subject apart) or given (the table's own split or "
        "fold column). auto takes lodo of several data sets, group-kfold where the table names subjects or "
        "has epochs of several recordings, else stratified."
    ),
]
Folds = Annotated[int, typer.Option(min=2, help="Split into this many folds.")]
Group = Annotated[
    str | None,
    typer.Option(
        help="Keep this key on one side of every split: subject, session, recording, trial, clip_id, task, "
        "dataset, or block (neighbouring trials of one class).",
        show_default="subject",
    ),
]
Shared = Annotated[
    str | None,
    typer.Option(
        help="Accept that a pretrained encoder has met test rows of these subjects, clips or data sets, as "
        "NAME,NAME, or all; every output then says so.",
        show_default="none",
    ),
]
Normalize = Annotated[
    str | None,
    typer.Option(
        help="Normalize features without labels. speaker, dataset: standardize them by the clips of the same "
        "speaker or data set; subject: align the EEG of each person (eeg-cov, eeg-epochs). Prediction then "
        "needs several clips of each speaker, 20 of each data set, or 10 segments of each subject, and every "
        "output says so.",
        show_default="none",
    ),
]
Step = Annotated[
    str | None,
    typer.Option(
        help="Take covariances (eeg-cov) to their tangent space (tangent), or to the log powers of common "
        "spatial patterns (csp).",
        show_default="tangent, of covariances",
    ),
]
Predictions = Annotated[
    Path | None,
    typer.Option(
        help="Also write out-of-fold probabilities to this table (.parquet, .csv, .tsv, .jsonl, .xlsx)."
    ),
]

Epochs = Annotated[
    int | None, typer.Option(min=1, help="Train for at most this many epochs.", show_default="40")
]
Batch = Annotated[
    int | None, typer.Option(min=1, help="Train on batches of this many rows.", show_default="16")
]
Rate = Annotated[
    float | None,
    typer.Option(help="Use this peak learning rate of AdamW, such as 0.0005.", show_default="0.001"),
]
FreezeRate = Annotated[
    float | None,
    typer.Option(help="Use this peak learning rate while the body is frozen.", show_default="0.0005"),
]
Members = Annotated[
    int | None, typer.Option(min=1, help="Average the probabilities of this many networks.", show_default="1")
]
Augment = Annotated[
    str | None,
    typer.Option(
        help="Augment training batches by: default, none, or NAMES such as crop,jitter:0.2,blur:p=1. Of "
        "images: crop, flip, jitter, grey, blur, erase. Of spectrograms: background, tempo, time-crop, "
        "mel-shift, gain, time-mask, band-mask. Of EEG: surrogate, band-stop, time-crop, noise, time-mask, "
        "channel-dropout."
    ),
]
Device = Annotated[str, typer.Option(help="Train on cpu, cuda, or auto (cuda where there is one).")]
Precision = Annotated[
    str,
    typer.Option(
        help="Multiply matrices in training in float32, or in bfloat16, in which recent GPUs are fast."
    ),
]
Compile = Annotated[
    bool, typer.Option("--compile", help="Compile the network, which takes a minute and pays on a GPU.")
]
TensorBoard = Annotated[Path | None, typer.Option(help="Write TensorBoard scalars to this folder.")]

# --- judging by a trained model ---------------------------------------------------------------------------

JudgingModel = Annotated[
    Path | None,
    typer.Option(
        "--model",
        help="Judge by this model (.joblib, .pt, .onnx), or by a packaged one: speech or speech-small.",
        show_default="svm.joblib, if it exists, else the better packaged model that can run",
    ),
]
JudgingWeights = Annotated[
    list[Path] | None,
    typer.Option(
        "--weights",
        help="Encode speech by the checkpoint in this folder, or embed by the encoder in this file (.pt), "
        "that of the model's training; repeatable.",
        show_default="those of pipecat-ai, if it is installed",
    ),
]

# --- grounding --------------------------------------------------------------------------------------------

Who = Annotated[
    str | None,
    typer.Option(
        help='Of several faces in a film, follow the one that this phrase describes, such as "the woman on '
        'the left".',
        show_default="the largest face",
    ),
]
GroundingModel = Annotated[
    Path | None,
    typer.Option(
        "--model",
        help="Find phrases by this model of 'eavctl train-ground' (.pt).",
        show_default="the packaged model",
    ),
]
WhoModel = Annotated[
    Path | None,
    typer.Option(
        "--who-model",
        help="Read phrases by this model of 'eavctl train-ground' (.pt).",
        show_default="the packaged model",
    ),
]

# --- exported models --------------------------------------------------------------------------------------

CheckTables = Annotated[
    list[str] | None,
    typer.Option(
        "--check",
        help="Check and measure on the rows of this feature table (.parquet); repeat it for each stream.",
        show_default="made-up rows",
    ),
]
CalibrationTables = Annotated[
    list[str] | None,
    typer.Option(
        "--calibrate",
        help="Calibrate int8 on rows of this feature table (.parquet); repeat it for each stream.",
        show_default="none",
    ),
]

# --- fusion networks --------------------------------------------------------------------------------------

FeatureTables = Annotated[
    list[str],
    typer.Argument(metavar="FEATURES...", help="Feature tables (.parquet), two or more."),
]
Encoders = Annotated[
    list[str] | None,
    typer.Option(
        help="Train this encoder; repeat it, once for each table in their order. In train-fusion also svm or "
        "linear, for tables of columns.",
        show_default="by the tables' feature sets",
    ),
]
Size = Annotated[
    str | None,
    typer.Option(
        help="Take this size of encoders trained from scratch: base (as published) or tiny.",
        show_default="base, eegnet with kernels of 0.5 s",
    ),
]
Contrastive = Annotated[
    float,
    typer.Option(min=0, help="Weight of a contrastive loss between a sample's embeddings, such as 0.1."),
]
NetworkSettings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Set the network's KEY=VALUE, such as modality_dropout=0.5; repeatable."),
]

"""Options that several commands share, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eavctl.settings import MOST_SEED

Table = Annotated[Path, typer.Argument(help="Feature table (.parquet), or - for stdin.")]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        help="Processes to work with, such as 8; never more than there are processors. Results are the same.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", "-s", min=0, max=MOST_SEED, help="Seed of every draw.")]
Force = Annotated[
    bool, typer.Option("--force", "-f", help="Overwrite files of others, compute even what is up to date.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would be done, write nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and errors.")]
Verbose = Annotated[
    int, typer.Option("--verbose", "-v", count=True, help="Say more; twice for tracebacks of errors.")
]

Protocol = Annotated[
    str,
    typer.Option(
        help="Who is tested on whom: auto, random, stratified, group-kfold, loso, eav-70-30, eav-50-50 (each "
        "subject apart) or given (the table's own split or fold column). auto takes group-kfold where the "
        "table names subjects or has epochs of several recordings, else stratified."
    ),
]
Folds = Annotated[int, typer.Option(min=2, help="Number of folds.")]
Group = Annotated[
    str | None,
    typer.Option(
        help="What must never stand on both sides of a split: subject (the default), session, recording, "
        "trial, clip_id, task, dataset, or block: neighbouring trials of one class."
    ),
]
Normalize = Annotated[
    str | None,
    typer.Option(
        help="'speaker': standardise by the speaker's own clips, without labels. It needs several clips of "
        "the speaker being judged, and every output says so."
    ),
]
Predictions = Annotated[
    Path | None, typer.Option(help="Also write the out-of-fold probabilities to this table (.parquet).")
]

Epochs = Annotated[int | None, typer.Option(min=1, help="Passes over the training rows, at most.")]
Batch = Annotated[int | None, typer.Option(min=1, help="Rows a step.")]
Rate = Annotated[float | None, typer.Option(help="Greatest learning rate of AdamW.")]
FreezeRate = Annotated[float | None, typer.Option(help="Greatest learning rate of the frozen epochs.")]
Members = Annotated[int | None, typer.Option(min=1, help="Networks whose answers are averaged.")]
Device = Annotated[str, typer.Option(help="cpu, cuda or auto.")]
TensorBoard = Annotated[Path | None, typer.Option(help="Folder for TensorBoard scalars.")]

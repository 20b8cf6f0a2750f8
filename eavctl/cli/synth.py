"""``eavctl synth``: a data set of made-up recordings, to try the commands on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit_json, progress, say
from eavctl.cli.options import DryRun, Force, Jobs, Json, Seed
from eavctl.errors import UsageError


@command(
    "synth",
    "eavctl synth --per-class 50",
    "eavctl synth --per-class 5 --classes happy,sad --out small/",
    "eavctl synth --layout eav --subjects 4 --trials 200 --out EAV/",
)
def synth(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")] = Path("dataset"),
    layout: Annotated[str, typer.Option(help="folder (tones) or eav (EEG, sound and pictures).")] = "folder",
    per_class: Annotated[int, typer.Option(min=1, help="folder: recordings a class.")] = 50,
    classes: Annotated[
        str, typer.Option(help="folder: which classes, with commas between.")
    ] = "happy,sad,angry,neutral",
    subjects: Annotated[int, typer.Option(min=1, help="eav: people.")] = 4,
    trials: Annotated[int, typer.Option(min=10, help="eav: trials of each, a multiple of 10.")] = 200,
    seconds: Annotated[float, typer.Option(help="eav: length of a trial.")] = 20.0,
    snr: Annotated[float, typer.Option(help="eav: strength of what tells classes apart; 0 is none.")] = 1.0,
    jobs: Jobs = 1,
    seed: Seed = 42,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make a data set of made-up recordings.

    folder: tones that differ by class in how fast their loudness swings. eav: the files of the EAV data set,
    with class information planted in each modality, in some trials in one and in some in another. Both
    check the plumbing and say nothing about emotion.
    """
    if layout not in ("folder", "eav"):
        raise UsageError(f"synth makes the layouts folder and eav, not {layout!r}")
    names = tuple(name.strip() for name in classes.split(",") if name.strip())
    count, what = per_class * len(names), f"recordings of {', '.join(names)}"
    if layout == "eav":
        count, what = subjects * trials, f"trials of {subjects} subjects, {seconds:g} s each"
    if dry_run:
        say(f"would write {count} {what} to {out}")
        return
    with progress("synth") as tick:
        if layout == "eav":
            from eavctl.datasets.twin import synth_eav

            synth_eav(
                out, subjects=subjects, trials=trials, seconds=seconds, snr=snr, seed=seed, jobs=jobs,
                force=force, on_trial=tick,
            )  # fmt: skip
        else:
            from eavctl.datasets.synthesis import synth_speech

            synth_speech(out, per_class=per_class, classes=names, seed=seed, force=force, on_clip=tick)
    if as_json:
        emit_json({"out": str(out), "layout": layout, "recordings": count})
    say(f"{count} {'trials' if layout == 'eav' else 'recordings'} -> {out}")

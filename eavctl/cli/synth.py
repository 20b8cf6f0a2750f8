"""``eavctl synth``: a data set of synthetic recordings, to try the commands on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit_result, progress, say, say_plan
from eavctl.cli.options import DryRun, Force, Jobs, Json, Seed
from eavctl.errors import UsageError


@command(
    "synth",
    "eavctl synth --per-class 50",
    "eavctl synth --per-class 5 --classes happy,sad --out small/",
    "eavctl synth --layout eav --subjects 4 --trials 200 --out EAV/",
)
def synth(
    out: Annotated[Path, typer.Option("--out", "-o", help="Write to this folder.")] = Path("dataset"),
    layout: Annotated[
        str, typer.Option(help="Make this layout: folder (tones) or eav (EEG, audio and video).")
    ] = "folder",
    per_class: Annotated[int, typer.Option(min=1, help="folder: recordings of each class.")] = 50,
    classes: Annotated[
        str, typer.Option(help="folder: classes, separated by commas, such as happy,sad.")
    ] = "happy,sad,angry,neutral",
    subjects: Annotated[int, typer.Option(min=1, help="eav: number of subjects.")] = 4,
    trials: Annotated[int, typer.Option(min=10, help="eav: trials of each subject, a multiple of 10.")] = 200,
    seconds: Annotated[float, typer.Option(help="eav: length of a trial, in seconds.")] = 20.0,
    snr: Annotated[
        float, typer.Option(help="eav: strength of the class information, such as 2; 0 for none.")
    ] = 1.0,
    interaction: Annotated[
        bool,
        typer.Option(
            "--interaction",
            help="eav: face and voice show a class only together, by agreement or by contradiction.",
        ),
    ] = False,
    jobs: Jobs = 1,
    seed: Seed = 42,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make a data set of synthetic recordings.

    folder: tones that differ by class in how fast their loudness changes. eav: the files of the EAV data
    set, with class information in each modality, in some trials in one and in some in another. Both check
    that the commands work; scores on them say nothing about emotion.
    """
    if layout not in ("folder", "eav"):
        raise UsageError(f"synth makes the layouts folder and eav, not {layout!r}")
    names = tuple(name.strip() for name in classes.split(",") if name.strip())
    with progress("synth", at_once=False) as tick:
        if layout == "eav":
            from eavctl.synthetic.twin import synth_eav

            count = synth_eav(
                out, subjects=subjects, trials=trials, seconds=seconds, snr=snr, seed=seed,
                interaction=interaction, jobs=jobs, force=force, dry_run=dry_run, on_trial=tick,
            )  # fmt: skip
            what, of = "trials", f"{subjects} subjects, {seconds:g} s each"
        else:
            from eavctl.synthetic.tones import synth_speech

            count = synth_speech(
                out, per_class=per_class, classes=names, seed=seed, force=force, dry_run=dry_run, on_clip=tick
            )
            what, of = "recordings", ", ".join(names)
    if dry_run:
        say_plan(f"write {count} {what} of {of}", [out])
    else:
        say(f"{count} {what} -> {out}")
    if as_json:
        emit_result("synth", [out], {"layout": layout, "recordings": count}, dry_run=dry_run)

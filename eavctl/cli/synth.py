"""``eavctl synth``: a data set of made-up recordings, to try the commands on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit_json, progress, say
from eavctl.cli.options import DryRun, Force, Json, Seed


@command(
    "synth", "eavctl synth --per-class 50", "eavctl synth --per-class 5 --classes happy,sad --out small/"
)
def synth(
    per_class: Annotated[int, typer.Option(min=1, help="Recordings a class.")] = 50,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")] = Path("dataset"),
    classes: Annotated[
        str, typer.Option(help="Which classes, with commas between.")
    ] = "happy,sad,angry,neutral",
    seed: Seed = 42,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make tones that differ by class in how fast their loudness swings.

    They check the plumbing and say nothing about emotion in voices.
    """
    names = tuple(name.strip() for name in classes.split(",") if name.strip())
    if dry_run:
        say(f"would write {per_class * len(names)} recordings of {', '.join(names)} to {out}")
        return
    from eavctl.datasets.synthesis import synth_speech

    with progress("synth") as tick:
        count = synth_speech(out, per_class=per_class, classes=names, seed=seed, force=force, on_clip=tick)
    if as_json:
        emit_json({"out": str(out), "recordings": count, "classes": list(names)})
    say(f"{count} recordings -> {out}")

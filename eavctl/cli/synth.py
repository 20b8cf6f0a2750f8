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
    "eavctl synth --layout eav --latent circumplex --out places/",
    "eavctl synth --task grounding --scenes 3000 --out scenes/",
)
def synth(
    out: Annotated[Path, typer.Option("--out", "-o", help="Write to this folder.")] = Path("dataset"),
    task: Annotated[
        str,
        typer.Option(
            help="Make data for this task: emotion (recordings), or grounding (pictures of shapes and "
            "people, with phrases for one of them)."
        ),
    ] = "emotion",
    scenes: Annotated[
        int, typer.Option(min=10, help="grounding: pictures for training; a tenth each for val and test.")
    ] = 3000,
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
    latent: Annotated[
        str | None,
        typer.Option(
            help="eav: let all modalities of a trial show one cause: circumplex, a valence and an arousal "
            "around those of its class."
        ),
    ] = None,
    latent_strength: Annotated[
        float,
        typer.Option(help="eav: share of that cause in the class information, from 0 to 1, such as 0.5."),
    ] = 1.0,
    jobs: Jobs = 1,
    seed: Seed = 42,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make a data set of synthetic recordings.

    folder: tones that differ by class in how fast their loudness changes. eav: the files of the EAV data
    set, with class information in each modality, in some trials in one and in some in another. Both check
    that the commands work; scores on them say nothing about emotion. grounding: made-up scenes, in which a
    woman has long hair and a man short hair; the test also asks for what training never shows.
    """
    if task not in ("emotion", "grounding"):
        raise UsageError(f"synth makes data for the tasks emotion and grounding, not {task!r}")
    if layout not in ("folder", "eav"):
        raise UsageError(f"synth makes the layouts folder and eav, not {layout!r}")
    if (interaction or latent is not None) and layout != "eav":
        raise UsageError("--interaction and --latent are for the twin of EAV: add --layout eav")
    names = tuple(name.strip() for name in classes.split(",") if name.strip())
    with progress("synth", at_once=False) as tick:
        if task == "grounding":
            from eavctl.synthetic.scenes import synth_scenes

            count = synth_scenes(
                out, scenes=scenes, seed=seed, jobs=jobs, force=force, dry_run=dry_run, on_scene=tick
            )
            what, of = "scenes", "shapes and people, with phrases"
        elif layout == "eav":
            from eavctl.synthetic.twin import synth_eav

            count = synth_eav(
                out, subjects=subjects, trials=trials, seconds=seconds, snr=snr, seed=seed,
                interaction=interaction, latent=latent, latent_strength=latent_strength, jobs=jobs,
                force=force, dry_run=dry_run, on_trial=tick,
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
        made = "refs" if task == "grounding" else layout
        emit_result("synth", [out], {"layout": made, "recordings": count}, dry_run=dry_run)

"""``eavctl ground``: find in a picture or a film what a phrase describes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit, emit_result, progress, say, say_plan, warn
from eavctl.cli.options import DryRun, Force, GroundingModel, Json, check_stdout

if TYPE_CHECKING:
    from eavctl.stages.ground import Grounded, Moment


@command(
    "ground",
    'eavctl ground people.jpg "the woman on the left"',
    'eavctl ground talk.mp4 "the person on the right" -o found.png',
    'eavctl ground scene.png "the small red circle left of the square" --model ground.pt --json',
)
def ground(
    source: Annotated[Path, typer.Argument(help="Picture or film, such as people.jpg or talk.mp4.")],
    phrase: Annotated[str, typer.Argument(help='What to find, in English, such as "the woman on the left".')],
    model: GroundingModel = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", "-o", help="Draw box and mask on the picture, or on frames of the film (.png), or -."
        ),
    ] = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Find in a picture or a film what a phrase describes: its box and mask, or that it is not there.

    The score is the probability that the phrase fits something; from 0.5 on it is said to be there. Of a film
    five frames a second are looked at, and answers of single frames beside the track are left out. Boxes are
    left, top, right and bottom in pixels. The packaged model knows people and simple shapes in made-up
    pictures; docs/grounding.md says how far that carries.
    """
    from eavctl.stages.ground import ground as run

    check_stdout(as_json, out)
    outputs = [out] if out else []
    with progress("ground", at_once=False) as tick:
        found = run(source, phrase, model, out=out, force=force, dry_run=dry_run, on_frame=tick)
    for text in found.warnings:
        warn(text)
    if dry_run:
        say_plan(f"find {phrase!r} in {source}", outputs)
    elif not as_json and out != "-":
        emit(_line(each) for each in found.moments)
    if not dry_run:
        say(_summary(found) + (f" -> {out}" if out else ""))
    if as_json:
        moments = [] if dry_run else [each.to_json() for each in found.moments]
        facts = {"phrase": phrase, "size": list(found.size), "found": moments}
        emit_result("ground", outputs, facts, dry_run=dry_run)


def _line(moment: Moment) -> str:
    time = "" if moment.time is None else f"{moment.time:8.2f} s  "
    box = "not there" if moment.box is None else " ".join(f"{edge:.0f}" for edge in moment.box)
    return f"{time}{moment.score:.3f}  {box}"


def _summary(found: Grounded) -> str:
    if len(found.moments) == 1:
        return "found" if found.share else "nothing fits"
    return f"found in {found.share:.0%} of {len(found.moments)} frames"

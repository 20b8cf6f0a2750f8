"""``eavctl extract``: recordings to a feature table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from eavctl.cli.app import command
from eavctl.cli.console import detail, emit_json, progress, say, warn
from eavctl.cli.options import DryRun, Force, Jobs, Json
from eavctl.errors import UsageError

SHOWN = 20  # rejected recordings named on stderr before the rest is counted


def read_settings(pairs: list[str]) -> dict[str, Any]:
    """Settings given as ``KEY=VALUE``, a value being JSON or, failing that, a text.

    Raises
    ------
    UsageError : one is not of that form.
    """
    settings = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign:
            raise UsageError(f"--set takes KEY=VALUE, not {pair!r}")
        try:
            settings[key] = json.loads(value)
        except ValueError:
            settings[key] = value
    return settings


@command(
    "extract",
    "eavctl extract dataset/ -o feats.parquet",
    "eavctl extract dataset/ --features logmel -o logmel.parquet --jobs 2",
    "eavctl extract manifest.csv --segment 2 --hop 1 -o segments.parquet",
)
def extract(
    source: Annotated[Path, typer.Argument(help="Folder of recordings, or a manifest (.csv, .parquet).")],
    out: Annotated[str, typer.Option("--out", "-o", help="Feature table to write (.parquet), or -.")],
    features: Annotated[
        str, typer.Option(help="Feature set: functionals, seed33 or logmel.")
    ] = "functionals",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the feature set, as KEY=VALUE; repeatable."),
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="Layout: folder, ravdess or csv; recognised where not given.")
    ] = None,
    segment: Annotated[
        float | None, typer.Option(help="Cut recordings into segments of so many seconds.")
    ] = None,
    hop: Annotated[
        float | None, typer.Option(help="Seconds from segment to segment; a segment's length.")
    ] = None,
    rejected: Annotated[
        Path | None, typer.Option(help="Also write the recordings that cannot be used to this table.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="End with 3 if any recording is bad.")] = False,
    jobs: Jobs = 1,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Turn recordings into a feature table.

    A recording that cannot be used is named with its reason, here and in the table's metadata, and the
    rest goes on. Run again after an interruption, it goes on where it stopped.
    """
    from eavctl.datasets.manifest import find
    from eavctl.stages.extract import extract as run
    from eavctl.stages.recipe import Recipe

    recipe = Recipe(features, read_settings(set_ or []), segment, hop)
    if as_json and out == "-":
        raise UsageError("--json and -o - both want stdout: name a file with -o")
    if dry_run:
        manifest = find(source, layout)
        say(f"would extract {features!r} from {len(manifest)} recordings (layout {manifest.layout}) to {out}")
        return
    with progress("extract") as tick:
        result = run(
            source, out, recipe, layout=layout, jobs=jobs, force=force, strict=strict, rejected=rejected,
            on_clip=tick,
        )  # fmt: skip
    for note in result.notes:
        warn(note)
    for bad in result.rejected[:SHOWN]:
        at = f" at {bad['start']:.2f} s" if bad.get("start") is not None else ""
        warn(f"{bad['path']}{at}: {bad['reason']}")
    if len(result.rejected) > SHOWN:
        warn(f"... and {len(result.rejected) - SHOWN} more; --rejected FILE lists all")
    if as_json:
        emit_json(
            {
                "out": out,
                "rows": result.n_rows,
                "shape": list(result.shape),
                "recordings": result.n_recordings,
                "rejected": list(result.rejected),
                "up_to_date": result.up_to_date,
            }
        )
    detail(f"feature set {features!r}, settings {recipe.settings}")
    size = f"{result.shape[0]} features" if len(result.shape) == 1 else "x".join(map(str, result.shape))
    done = "is up to date: " if result.up_to_date else ""
    say(f"{done}{result.n_rows} rows, {size}, {len(result.rejected)} rejected -> {out}")

"""``eavctl extract``: recordings to a feature table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.console import detail, emit_json, progress, say, warn
from eavctl.cli.options import DryRun, Force, Jobs, Json
from eavctl.cli.values import read_epochs, read_pairs, read_settings
from eavctl.errors import UsageError

FAST = "-fast"  # ends the names of variants in single precision
SHOWN = 20  # rejected recordings named on stderr before the rest is counted


def _fast(features: str) -> str:
    """The name of a feature set's fast variant."""
    from eavctl import registry

    variants = [name for name in registry.names("features") if name.endswith(FAST)]
    if features + FAST not in variants:
        known = ", ".join(name.removesuffix(FAST) for name in variants)
        raise UsageError(f"--fast is for {known}; {features!r} has no faster variant")
    return features + FAST


@command(
    "extract",
    "eavctl extract dataset/ -o feats.parquet",
    "eavctl extract dataset/ --features logmel -o logmel.parquet --jobs 2",
    "eavctl extract manifest.csv --segment 2 --hop 1 -o segments.parquet",
    "eavctl extract EAV/ --features eeg-epochs --segment 5 --where task=speaking -o eeg.parquet",
    "eavctl extract runs/ --features eeg-bands --events T1=left,T2=right -o bands.parquet",
)
def extract(
    source: Annotated[
        Path, typer.Argument(help="Folder of recordings, one EEG recording, or a manifest (.csv, .parquet).")
    ],
    out: Annotated[str, typer.Option("--out", "-o", help="Feature table to write (.parquet), or -.")],
    features: Annotated[
        str,
        typer.Option(
            help="Feature set. Of sound: functionals, seed33, means180 (columns), logmel, fbank (tensors). "
            "Of EEG: eeg-bands (columns), eeg-epochs (tensor). Of video: face-stats (columns), faces "
            "(tensor)."
        ),
    ] = "functionals",
    fast: Annotated[
        bool, typer.Option("--fast", help="seed33 in single precision: less exact, a set of its own.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the feature set, as KEY=VALUE; repeatable."),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(help="Layout: folder, ravdess, eav, eeg or csv; recognised where not given."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="Only recordings with this key, as KEY=VALUE, such as task=speaking; repeatable."),
    ] = None,
    events: Annotated[
        str | None,
        typer.Option(help="Cut continuous EEG at events: EVENT=CLASS, with commas between."),
    ] = None,
    epoch: Annotated[
        str | None,
        typer.Option(help="START,END of an epoch, seconds from its event; as long as the shortest event."),
    ] = None,
    face_model: Annotated[
        Path | None, typer.Option(help="A YuNet face detector (.onnx) in place of the built-in one.")
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
    distinct_names: Annotated[
        bool,
        typer.Option(
            "--distinct-names",
            help="Labels and subjects that differ in case or spacing alone are different ones.",
        ),
    ] = False,
    jobs: Jobs = 1,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Turn recordings into a feature table.

    A recording that cannot be used is named with its reason, here and in the table's metadata, and the
    rest goes on. Run again after an interruption, it goes on where it stopped.
    """
    from eavctl.evaluation.names import class_line
    from eavctl.stages.extract import Choice
    from eavctl.stages.extract import extract as run
    from eavctl.stages.recipe import Recipe, noting

    settings = read_settings(set_ or []) | ({"face_model": str(face_model)} if face_model else {})
    recipe = Recipe(_fast(features) if fast else features, settings, segment, hop)
    choice = Choice(layout, read_pairs(where or [], "--where"), read_epochs(events, epoch), distinct_names)
    if as_json and out == "-":
        raise UsageError("--json and -o - both want stdout: name a file with -o")
    if dry_run:
        with noting() as oddities:
            manifest = choice.of(source).holding(recipe.modality)
        for note in oddities:
            warn(note)
        say(f"would extract {features!r} from {len(manifest)} recordings (layout {manifest.layout}) to {out}")
        return
    with progress("extract", at_once=False) as tick:
        result = run(
            source, out, recipe, choice=choice, jobs=jobs, executor="fork", force=force, strict=strict,
            rejected=rejected, on_clip=tick,
        )  # fmt: skip
    for note in result.notes:
        warn(note)
    for bad in result.rejected[:SHOWN]:
        at = f" at {bad['start']:.2f} s" if bad.get("start") is not None else ""
        warn(f"{bad['path']}{at}: {bad['reason']}")
    if len(result.rejected) > SHOWN:
        warn(f"... and {len(result.rejected) - SHOWN} more; --rejected FILE lists all")
    if result.n_without:
        say(f"{result.n_without} recordings have no {recipe.modality} and were left out")
    if as_json:
        emit_json(
            {
                "out": out,
                "rows": result.n_rows,
                "shape": list(result.shape),
                "recordings": result.n_recordings,
                "without": result.n_without,
                "rejected": list(result.rejected),
                "account": result.account,
                "class_counts": dict(result.class_counts),
                "up_to_date": result.up_to_date,
            }
        )
    detail(f"feature set {features!r}, settings {recipe.settings}")
    size = f"{result.shape[0]} features" if len(result.shape) == 1 else "x".join(map(str, result.shape))
    for name, values in result.account.items():
        say(f"{name.replace('_', ' ')}: {values['mean']:.1%} (least in one row: {values['least']:.1%})")
    if result.class_counts:
        say(class_line(result.class_counts))
    done = "is up to date: " if result.up_to_date else ""
    say(f"{done}{result.n_rows} rows, {size}, {len(result.rejected)} rejected -> {out}")

"""``eavctl extract``: recordings to a feature table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eavctl.cli.app import command
from eavctl.cli.console import (
    detail,
    emit_result,
    progress,
    say,
    say_plan,
    say_written,
    warn,
    warn_of_rejected,
)
from eavctl.cli.options import (
    Columns,
    Dask,
    DistinctNames,
    DryRun,
    Epoch,
    Events,
    Force,
    Hop,
    Jobs,
    Json,
    Layout,
    Pattern,
    Rejected,
    Seed,
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
from eavctl.cli.values import read_choice, read_epochs, read_settings, read_who
from eavctl.errors import UsageError
from eavctl.signals.accounts import PEOPLE
from eavctl.storage.keys import PATHS

if TYPE_CHECKING:
    from eavctl.extraction.augmentation import Augmentation
    from eavctl.extraction.recipe import Recipe
    from eavctl.stages.extract import Extracted, Planned

WIDEST = 32  # characters of a cell in the rows that --dry-run shows
FAST = "-fast"  # ends the names of variants in single precision


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
    "eavctl extract dataset/ -o feats.parquet --dask tcp://host:8786",
    "eavctl extract manifest.csv --segment 2 --hop 1 -o segments.parquet",
    "eavctl extract list.xlsx --columns clip=path,mood=label -o feats.parquet",
    "eavctl extract flat/ --pattern '{subject}_{label}_{take}' -o feats.parquet",
    "eavctl extract dataset/ --augment noise,room --copies 2 -o robust.parquet",
    "eavctl extract dataset/ --features speech-encoder --weights wavlm-base/ -o speech.parquet",
    "eavctl extract dataset/ --features embedding --weights encoder.pt -o emb.parquet",
    "eavctl extract EAV/ --features eeg-epochs --segment 5 --where task=speaking -o eeg.parquet",
    'eavctl extract meetings/ --features faces --who "the woman on the left" -o faces.parquet',
    "eavctl extract scenes/ -o scenes.parquet",
    "eavctl extract fashion-mnist/ -o images.parquet",
    "eavctl extract s3://bucket/data/ -o s3://bucket/feats.parquet",
    "eavctl extract runs/ --features eeg-cov --events T1=left,T2=right --tmin 0 --tmax 4 -o cov.parquet",
)
def extract(
    source: Annotated[
        Path,
        typer.Argument(
            help="Folder of recordings or pictures, one EEG recording, or a manifest (.csv, .xlsx, .jsonl); "
            "also at a URL."
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            help="Write this feature table (.parquet, .csv, .tsv, .jsonl, .xlsx), or -; a name that ends "
            "with a slash, such as table/, is a folder of Parquet files, one folder a data set.",
        ),
    ],
    features: Annotated[
        str | None,
        typer.Option(
            help="Compute this feature set. Of audio: functionals, speech-encoder, seed33, means180 "
            "(columns), logmel, fbank (tensors). Of EEG: eeg-cov, eeg-bands (columns), eeg-epochs (tensor). "
            "Of video: face-stats (columns), faces (tensor). Of pictures: images, scenes (tensors). Of what "
            "an encoder of 'eavctl pretrain' takes: embedding (columns).",
            show_default="scenes of pictures with phrases, images of other pictures, else functionals",
        ),
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Compute seed33 in single precision, as a feature set of its own.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Set the feature set's KEY=VALUE, such as n_mels=80; repeatable."),
    ] = None,
    layout: Layout = None,
    columns: Columns = None,
    pattern: Pattern = None,
    where: Where = None,
    events: Events = None,
    tmin: TMin = None,
    tmax: TMax = None,
    epoch: Epoch = None,
    face_model: Annotated[
        Path | None,
        typer.Option(help="Detect faces by this YuNet model (.onnx).", show_default="built-in detector"),
    ] = None,
    who: Who = None,
    who_model: WhoModel = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Encode speech by the public checkpoint (config.json and weights) in this folder; or embed "
            "by the encoder in this file of 'eavctl pretrain', such as encoder.pt.",
            show_default="those of pipecat-ai, if it is installed",
        ),
    ] = None,
    segment: Segment = None,
    hop: Hop = None,
    augment: Annotated[
        str | None,
        typer.Option(
            help="Add altered copies of each recording, for training only: noise, room, band, "
            "codec, gain, tempo, pitch, several such as noise,room, or all. A copy gets each with a chance "
            "of one half.",
            show_default="none",
        ),
    ] = None,
    copies: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Make this many altered copies.", show_default="1"),
    ] = None,
    seed: Seed = 42,
    rejected: Rejected = None,
    strict: Strict = False,
    distinct_names: DistinctNames = False,
    jobs: Jobs = 1,
    dask: Dask = None,
    force: Force = False,
    rehash: Annotated[
        bool,
        typer.Option(
            "--rehash",
            help="Read every recording to see whether it has changed, not only its size and times.",
        ),
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Turn recordings into a feature table.

    Recordings that cannot be used are listed with their reasons, on stderr and in the table's metadata; all
    others are extracted. After an interruption, the same command continues where it stopped.
    """
    from eavctl.extraction.recipe import Recipe
    from eavctl.memory import keep_freed_memory
    from eavctl.stages.extract import default_features, plan
    from eavctl.stages.extract import extract as run

    check_stdout(as_json, out, rejected)
    settings = read_settings(set_ or []) | ({"face_model": str(face_model)} if face_model else {})
    augmentation = _augmentation(augment, copies, seed)
    epochs = read_epochs(events, tmin, tmax, epoch)
    choice = read_choice(layout, columns, pattern, where, epochs, distinct_names=distinct_names)
    features = features or default_features(source, choice.layout)
    recipe = Recipe(_fast(features) if fast else features, settings, segment, hop)
    recipe = recipe.with_weights(*([weights] if weights else []))
    recipe = replace(recipe, who=read_who(who, who_model))
    outputs: list[str | Path] = [out, *([rejected] if rejected else [])]
    if dry_run:
        planned = plan(
            source, out, recipe, choice=choice, augmentation=augmentation, executor=executor_of(dask),
            force=force, rehash=rehash, strict=strict, rejected=rejected,
        )  # fmt: skip
        _print_plan(planned, recipe, outputs, as_json)
        return
    keep_freed_memory()
    with progress("extract", at_once=False) as tick:
        result = run(
            source, out, recipe, choice=choice, augmentation=augmentation, jobs=jobs,
            executor=executor_of(dask), force=force, rehash=rehash, strict=strict, rejected=rejected,
            on_clip=tick,
        )  # fmt: skip
    _print_result(result, recipe, outputs, as_json)


def _augmentation(names: str | None, copies: int | None, seed: int) -> Augmentation | None:
    """The altered copies that are asked for, if any."""
    if names is None:
        if copies is not None:
            raise UsageError("--copies needs --augment, such as --augment all")
        return None
    from eavctl.extraction.augmentation import parse

    return parse(names, copies or 1, seed)


def _print_plan(planned: Planned, recipe: Recipe, outputs: list[str | Path], as_json: bool) -> None:
    """Print what would be extracted."""
    _warn(planned.notes, planned.rejected)
    n = planned.n_recordings
    for line in _as_lines(planned.first):
        say(line)
    _say_settings(recipe)
    work = f"extract {recipe.features!r} from {n} recordings (layout {planned.layout})"
    say_plan(work, outputs, up_to_date=planned.up_to_date)
    if as_json:
        facts = {
            "features": recipe.features,
            "who": recipe.who and recipe.who.phrase,
            "layout": planned.layout,
            "recordings": n,
            "first": list(planned.first),
            "without": planned.n_without,
            "rejected": list(planned.rejected),
        }
        emit_result("extract", outputs, facts, up_to_date=planned.up_to_date, dry_run=True)


def _as_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows as a table of text: the keys and extra columns that any of them has, but not the paths."""
    names = [name for name in dict.fromkeys(key for row in rows for key in row) if name not in PATHS]
    names = [
        name for name in names if any(row.get(name) != row["clip_id"] for row in rows) or name == "clip_id"
    ]
    lines = [names, *([_cell(row.get(name, "-")) for name in names] for row in rows)]
    lines = [[text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}~" for text in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _cell(value: Any) -> str:
    """A value as text; times to the millisecond."""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _print_result(result: Extracted, recipe: Recipe, outputs: list[str | Path], as_json: bool) -> None:
    """Print what was extracted, and what cannot be used."""
    from eavctl.evaluation.names import class_line

    _warn(result.notes, result.rejected)
    if result.n_without:
        say(f"{result.n_without} recordings have no {recipe.modality} and were left out")
    if result.epoch:
        say("epochs from {:g} to {:g} s at events".format(*result.epoch))
    _say_settings(recipe)
    detail(f"feature set {recipe.features!r}, settings {recipe.settings}")
    size = f"{result.shape[0]} features" if len(result.shape) == 1 else "x".join(map(str, result.shape))
    for name, values in result.account.items():
        say(_people(values, recipe) if name == PEOPLE else _share(name, values))
    if result.class_counts:
        say(class_line(result.class_counts))
    done = "is up to date: " if result.up_to_date else ""
    rows = f"{result.n_rows} rows" + (f" and {result.n_copies} of altered copies" if result.n_copies else "")
    say_written(f"{done}{rows}, {size}, {len(result.rejected)} rejected", outputs[0])
    if as_json:
        facts = {
            "features": recipe.features,
            "who": recipe.who and recipe.who.phrase,
            "rows": result.n_rows,
            "copies": result.n_copies,
            "epoch": result.epoch,
            "shape": list(result.shape),
            "recordings": result.n_recordings,
            "without": result.n_without,
            "rejected": list(result.rejected),
            "account": result.account,
            "class_counts": dict(result.class_counts),
        }
        emit_result("extract", outputs, facts, up_to_date=result.up_to_date)


def _say_settings(recipe: Recipe) -> None:
    for line in recipe.told():
        say(line)


def _share(name: str, values: Mapping[str, float]) -> str:
    """What the feature set reports of the rows, as shares."""
    return f"{name.replace('_', ' ')}: {values['mean']:.1%} (least in one row: {values['least']:.1%})"


def _people(values: Mapping[str, float], recipe: Recipe) -> str:
    """How many people the rows show, and which of them is followed."""
    if values["mean"] == 1:
        return "people: 1 in every row"
    fitting = recipe.who and f"the one who fits {recipe.who.phrase!r} is followed"
    followed = fitting or "the largest face is followed, --who names another"
    return f"people: {values['mean']:.1f} in a row on average; {followed}"


def _warn(notes: Iterable[str], rejected: Sequence[Mapping[str, Any]]) -> None:
    for note in notes:
        warn(note)
    warn_of_rejected(rejected)

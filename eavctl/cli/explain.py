"""``eavctl explain``: what a model relies on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit, emit_result, progress, say, say_plan, warn
from eavctl.cli.options import DryRun, Force, Json, Labels, Seed, Tables, Threads, check_stdout
from eavctl.cli.training import torch_threads
from eavctl.cli.values import read_labels

SHOWN, LARGEST = 15, 3  # parts of a view, and columns of a pattern, that are printed


@command(
    "explain",
    "eavctl explain svm.joblib feats.parquet",
    "eavctl explain svm.joblib feats.parquet -o explain.html",
    "eavctl explain eegnet.pt epochs.parquet --json",
    "eavctl explain svm.joblib elsewhere.parquet --labels anger=angry,calm=",
)
def explain(
    model: Annotated[str, typer.Argument(help="Model file (.joblib, .pt, .onnx), or a packaged model.")],
    tables: Tables,
    out: Annotated[str | None, typer.Option("--out", "-o", help="Write this page (.html), or -.")] = None,
    labels: Labels = None,
    jobs: Threads = None,
    seed: Seed = 42,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Measure what a model relies on: families of features, bands, channels, windows in time.

    Each part is left out in turn. New rows are judged by the model itself, and rows of its training by models
    that are fitted again without them, fold by fold. Families of columns are replaced by those of other rows;
    windows, bands and channels of tensors by the mean. Intervals are over people.
    """
    from eavctl.stages import explain as stage

    check_stdout(as_json, out)
    outputs = [out] if out else []
    renamed = read_labels(labels)
    if dry_run:
        planned = stage.plan(model, tables, out, labels=renamed, force=force)
        for text in planned.warnings:
            warn(text)
        say_plan(f"leave out {planned.parts} parts of {planned.n_rows} rows: {planned.how}", outputs)
        if as_json:
            emit_result("explain", outputs, {"rows": planned.n_rows, "how": planned.how}, dry_run=True)
        return
    threads = jobs or os.cpu_count() or 1
    with torch_threads(jobs if model.endswith(".pt") else None), progress(f"explain {model}") as tick:
        found = stage.explain(
            model, tables, out, labels=renamed, jobs=threads, seed=seed, force=force, on_fold=tick
        )
    for text in found["warnings"]:
        warn(text)
    say(found["how"])
    if as_json:
        emit_result("explain", outputs, found)
    elif out != "-":
        emit(_lines(found))
    if out:
        say(f"{found['rows']} rows -> {out}")


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The scores, and a table of each view."""
    from eavctl.evaluation import formatting

    note = formatting.intervals_over(found, found["uar"])
    yield (
        f"UAR {formatting.score(found['uar'])} with all features ({note}); chance "
        f"{formatting.number(found['chance'])}"
    )
    for view in found["views"]:
        yield ""
        yield from _table(view)
    if found["patterns"]:
        yield ""
    for name, columns in (found["patterns"] or {}).items():
        shown = ", ".join(
            f"{each['column']} {formatting.signed(each['pattern'])}" for each in columns[:LARGEST]
        )
        yield f"pattern of {name}: {shown}"


def _table(view: Mapping[str, Any]) -> Iterator[str]:
    from eavctl.evaluation import formatting
    from eavctl.report.explain_page import ordered

    parts = ordered(view)
    rows = [[view["name"], "drop of UAR", "drop of probability", "alone"]]
    rows += [
        [
            part["name"],
            formatting.difference(part["drop"]),
            formatting.difference(part["probability"]),
            formatting.score(part["alone"]) if part["alone"] else "",
        ]
        for part in parts[:SHOWN]
    ]
    if not parts[0]["alone"]:
        rows = [row[:-1] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
    if len(parts) > SHOWN:
        yield f"... and {len(parts) - SHOWN} more; --json and -o have all"

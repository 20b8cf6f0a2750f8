"""Prediction tables to one page, to tables of scores, and to JSON-able values."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eavctl.errors import UsageError
from eavctl.evaluation.thresholds import Threshold, failures
from eavctl.report.summary import summary
from eavctl.report.table_formats import csv_of, text_of
from eavctl.storage import files, tables
from eavctl.storage.ownership import ENDINGS, Output, guard
from eavctl.storage.paths import Paths, named


def make_report(
    inputs: Paths,
    out: str | os.PathLike[str] | None = None,
    *,
    csv: str | os.PathLike[str] | None = None,
    title: str | None = None,
    names: Mapping[str, str] | None = None,
    fail_under: Sequence[str] = (),
    force: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Score prediction tables, and write a report on them if ``out`` is given.

    Parameters
    ----------
    inputs : prediction tables.
    out : report to write: a page (.html, or ``-``), a table of the models with their intervals (.md, .tex),
        a table of all scores (.csv), or everything (.json).
    csv : also write all scores to this table (.csv).
    title : of the report; by default by the models.
    names : of the models, by the names of their files with or without ending; by default the latter.
    fail_under : least scores, as ``METRIC=VALUE`` or ``NAME:METRIC=VALUE``
        (`eavctl.evaluation.thresholds.Threshold`).
    force : overwrite files that eavctl did not write.
    dry_run : check everything, and write nothing.

    Returns
    -------
    As `eavctl.report.summary.summary`, JSON-able, with ``failed``: a sentence for each score that is below
    its least.

    Raises
    ------
    DataError : a table that cannot be read, or has no labels.
    UsageError : an output is one of the tables, or a file that eavctl did not write; ``csv`` does not end in
        .csv; a name or a least score for a model that is not there.
    """
    inputs = named(inputs)
    thresholds = [Threshold.parse(text) for text in fail_under]
    outputs = [(out, ENDINGS["report"]), (csv, (".csv",))]
    guard([Output(path, "report", own) for path, own in outputs if path is not None], inputs, force=force)
    stems = [files.stem(path) for path in inputs]
    read = [tables.read_predictions(path) for path in inputs]
    found = summary(read, _renamed(inputs, stems, names or {}), files=stems, title=title)
    found["failed"] = failures(found["models"], thresholds)
    if dry_run:
        return found
    if out is not None:
        ending = "" if files.is_stream(out) else Path(out).suffix
        files.write_bytes(out, text_of(found, ending).encode())
    if csv is not None:
        files.write_bytes(csv, csv_of(found).encode())
    return found


def _renamed(paths: Sequence[str], stems: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """The names of the models, each by that of its file, with or without ending."""
    known = {*paths, *stems, *(Path(path).name for path in paths)}
    for name in names:
        if name not in known:
            raise UsageError(f"--names {name}: no such table; there are {', '.join(stems)}")
    return [
        next((names[key] for key in (path, Path(path).name, stem) if key in names), stem)
        for path, stem in zip(paths, stems, strict=True)
    ]

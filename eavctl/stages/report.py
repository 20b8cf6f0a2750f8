"""Prediction tables to one page, and its content as JSON-able values."""

from __future__ import annotations

import os
from typing import Any

from eavctl.report import html
from eavctl.report.summary import summary
from eavctl.storage import files, tables
from eavctl.storage.ownership import Output, guard
from eavctl.storage.paths import Paths, named


def make_report(
    inputs: Paths,
    out: str | os.PathLike[str] | None = None,
    *,
    force: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Score prediction tables, and write a page about them if ``out`` is given.

    Parameters
    ----------
    inputs : prediction tables.
    out : page to write (.html), or ``-``.
    force : overwrite a file that eavctl did not write.
    dry_run : check everything, and write nothing.

    Returns
    -------
    As `eavctl.report.html.summary`, JSON-able.

    Raises
    ------
    DataError : a table that cannot be read, or has no labels.
    UsageError : ``out`` is one of the tables, or a file that eavctl did not write.
    """
    inputs = named(inputs)
    if out is not None:
        guard([Output(out, "report")], inputs, force=force)
    read = [tables.read_predictions(path) for path in inputs]
    names = [files.stem(path) for path in inputs]
    found = summary(read, names)
    if out is not None and not dry_run:
        files.write_bytes(out, html.page_of(found).encode())
    return found

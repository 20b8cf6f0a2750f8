"""A feature table in two dimensions, as a page and as JSON-able values."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from eavctl.errors import DataError
from eavctl.evaluation.groups import copies, full, identify, short
from eavctl.report.map_page import map_page
from eavctl.report.projection import FEWEST_ROWS, agreement, project
from eavctl.storage import files, tables
from eavctl.storage.ownership import PAGE, Output, guard
from eavctl.storage.paths import named

MOST_ROWS = 2000
DECIMALS = 4  # of coordinates and shares


class Planned(NamedTuple):
    """What a map would show: rows of the table, and rows drawn of them."""

    n_rows: int
    n_drawn: int


def make_map(
    table: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    rows: int = MOST_ROWS,
    seed: int = 42,
    force: bool = False,
) -> dict[str, Any]:
    """Project the rows of a feature table to two dimensions, and write a page if ``out`` is given.

    Parameters
    ----------
    table : feature table; altered copies are left out.
    out : page to write (.html), or ``-``.
    rows : draw at most this many rows at random.
    seed : of the draw and of t-SNE.
    force : overwrite a file that eavctl did not write.

    Returns
    -------
    JSON-able: ``rows`` and ``drawn``, ``explained`` (shares of the variance), ``colourings`` (class, person
    and data set: the rows of each name, and the share of the nearest rows that have it), and ``points``.

    Raises
    ------
    DataError : the table cannot be read, has fewer than 4 rows, or all of them are equal.
    UsageError : ``out`` is the table, or a file that eavctl did not write.
    """
    path = _guarded(table, out, force)
    read = tables.read_features(path)
    chosen = _drawn(read.keys, rows, seed)
    keys = read.keys.iloc[chosen].reset_index(drop=True)
    projected = project(read.x[chosen], seed)
    colourings = _colourings(keys, read.meta.get("classes", ()), projected.components)
    names = list(zip(*(each.names for each in colourings), strict=True)) or [()] * len(keys)
    found = {
        "table": files.stem(path),
        "features": str(read.meta["features"]),
        "shape": list(read.x.shape[1:]),
        "has_columns": read.columns is not None,
        "rows": int((~copies(read.keys)).sum()),
        "drawn": len(keys),
        "seed": seed,
        "constant": projected.n_constant,
        "explained": _rounded([*projected.explained, 0.0][:2]),
        "components": projected.components.shape[1],
        "explained_by_components": round(float(projected.explained.sum()), DECIMALS),
        "colourings": [each.facts(len(keys)) for each in colourings],
        "points": [
            {"sample_id": sample, "names": list(own), "pca": _rounded(pca), "tsne": _rounded(tsne)}
            for sample, own, pca, tsne in zip(
                keys["sample_id"], names, projected.pca, projected.tsne, strict=True
            )
        ],
    }
    if out is not None:
        files.write_bytes(out, map_page(found).encode())
    return found


def plan(
    table: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    rows: int = MOST_ROWS,
    force: bool = False,
) -> Planned:
    """What `make_map` would do with the same parameters; nothing is computed or written.

    Raises
    ------
    DataError, UsageError : where `make_map` raises them before it computes.
    """
    path = _guarded(table, out, force)
    tables.read_feature_meta(path)
    keys = tables.read_keys(path)
    return Planned(int((~copies(keys)).sum()), len(_drawn(keys, rows, 0)))


class _Colouring(NamedTuple):
    """Names of the rows by which they are coloured: those of ``by``, in order, None of rows without."""

    by: str
    names: Sequence[str | None]
    order: Sequence[str]
    nearest: tuple[float, float] | None

    def facts(self, n_rows: int) -> dict[str, Any]:
        """JSON-able."""
        counts = Counter(self.names)
        return {
            "by": self.by,
            "rows": n_rows,
            "names": [{"name": name, "rows": counts[name]} for name in self.order],
            "nearest": self.nearest and _rounded(self.nearest),
        }


def _guarded(table: str | os.PathLike[str], out: str | os.PathLike[str] | None, force: bool) -> str:
    (path,) = named(table)
    if out is not None:
        guard([Output(out, "report", PAGE)], [path], force=force)
    return os.fspath(path)


def _drawn(keys: pd.DataFrame, rows: int, seed: int) -> np.ndarray:
    """Indices of rows in random order, so that none is drawn above the others for its name."""
    own = np.flatnonzero(~copies(keys))
    if len(own) < FEWEST_ROWS:
        raise DataError(f"a map needs at least {FEWEST_ROWS} rows, and the table has {len(own)}")
    return np.random.default_rng(seed).permutation(own)[:rows]


def _colourings(keys: pd.DataFrame, classes: Sequence[str], components: np.ndarray) -> list[_Colouring]:
    """Of class, person and data set, those of which the rows have at least two."""
    has_one = keys["dataset"].nunique() < 2
    people = [None if who is None else (short if has_one else full)(who) for who in identify(keys, "subject")]
    found = {
        "class": _texts(keys, "label"),
        "person": people,
        "data set": _texts(keys, "dataset"),
    }
    colourings = []
    for by, names in found.items():
        distinct = set(filter(None, names))
        if len(distinct) > 1:
            first = [name for name in classes if name in distinct] if by == "class" else []
            order = [*first, *sorted(distinct - set(first))]
            colourings.append(_Colouring(by, names, order, agreement(components, names)))
    return colourings


def _texts(keys: pd.DataFrame, name: str) -> list[str | None]:
    return [None if pd.isna(value) or value == "" else str(value) for value in keys[name]]


def _rounded(values: Sequence[float] | np.ndarray) -> list[float]:
    return [round(float(value), DECIMALS) for value in values]

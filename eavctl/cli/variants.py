"""Variants of a model side by side, as commands print them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eavctl.evaluation import formatting

TITLES = ("variant", "size", "load", "p50", "p95", "rows/s", "memory", "change", "decisions", "UAR")


def table(variants: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines of a table with aligned columns.

    Parameters
    ----------
    variants : see `eavctl.export.measured.Measured.to_json`; the first one is the original.
    """
    rows = [TITLES, *map(_cells, variants)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:<{n}}" for cell, n in zip(row, widths, strict=True)).rstrip() for row in rows]
    return lines + [_difference(each) for each in variants[1:] if each["difference"]]


def _cells(measured: Mapping[str, Any]) -> tuple[str, ...]:
    speed, peak, uar = (measured[name] for name in ("rows_per_s", "peak_mb", "uar"))
    return (
        measured["name"],
        f"{measured['n_bytes'] / 1e6:.3g} MB",
        f"{measured['load_s']:.2f} s",
        f"{1e3 * measured['p50_s']:.3g} ms",
        f"{1e3 * measured['p95_s']:.3g} ms",
        "" if speed is None else f"{speed:.3g}",
        "" if peak is None else f"{peak:.0f} MB",
        f"{measured['largest']:.1g}",
        f"{measured['decisions']} of {measured['n_rows']}",
        "" if uar is None else formatting.score(uar),
    )


def _difference(measured: Mapping[str, Any]) -> str:
    """The paired difference of the UAR from that of the original, and whether it is sure."""
    found = measured["difference"]
    judged = "better" if found["better"] else "worse" if found["worse"] else "not shown to differ"
    note = formatting.intervals_over(found, found["difference"])
    difference = formatting.difference(found["difference"])
    return f"{measured['name']}: UAR {difference}, {formatting.p_value(found)} ({note}): {judged}"

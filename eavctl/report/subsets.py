"""What a fusion is worth without some of its inputs, as a table of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eavctl.report.markup import Markup, el
from eavctl.report.pictures import interval_bar


def subset_table(entries: Sequence[Mapping[str, Any]], chance: float) -> Markup:
    """A row a subset of the inputs, beside the best model alone of those that are left.

    Parameters
    ----------
    entries : of `eavctl.fusion.subsets.table_of`.
    chance : UAR of guessing.
    """
    titles = ["UAR"]
    if any(entry["best"] for entry in entries):
        titles += ["best model alone", "difference"]
    head = el("tr", el("th", "inputs"), [el("th", title, scope="col") for title in titles])
    rows = [
        el("tr", el("th", " + ".join(entry["inputs"]), scope="row"), _cells(entry, chance)[: len(titles)])
        for entry in entries
    ]
    return el(
        "div",
        el("h3", "With every subset of the inputs"),
        el("div", el("table", el("thead", head), el("tbody", rows), class_="grid"), class_="scroll"),
    )


def _cells(entry: Mapping[str, Any], chance: float) -> list[Markup]:
    uar, difference = entry["uar"], entry["difference"]
    score = el(
        "td",
        el("span", f"{uar['value']:.3f}", class_="score"),
        el("small", f"{uar['low']:.3f} to {uar['high']:.3f}"),
        interval_bar(uar["value"], uar["low"], uar["high"], chance),
    )
    if entry["best"] is None:
        return [score, el("td", ""), el("td", "")]
    judged = f"{difference['value']:+.3f}, {difference['low']:+.3f} to {difference['high']:+.3f}"
    return [
        score,
        el("td", f"{entry['best']} {entry['best_uar']:.3f}"),
        el("td", judged + (": worse" if entry["worse"] else "")),
    ]

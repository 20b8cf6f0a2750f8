"""The scores of a fusion with every subset of its inputs, as a table of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eavctl.evaluation import formatting
from eavctl.fusion.subsets import is_worse
from eavctl.report.markup import Markup, el
from eavctl.report.pictures import score_cell


def subset_table(entries: Sequence[Mapping[str, Any]], chance: float) -> Markup:
    """A table with a row per subset of the inputs, compared with the best single model in it.

    Parameters
    ----------
    entries : results of `eavctl.fusion.subsets.table_of`.
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
        [el("p", reason) for reason in formatting.reasons((entry, entry["uar"]) for entry in entries)],
    )


def _cells(entry: Mapping[str, Any], chance: float) -> list[Markup]:
    score = el("td", score_cell(entry["uar"], chance))
    if entry["best"] is None:
        return [score, el("td", ""), el("td", "")]
    judged = f"worse, {formatting.p_value(entry)}" if is_worse(entry) else None
    return [
        score,
        el("td", f"{entry['best']} {formatting.number(entry['best_uar'])}"),
        el("td", ": ".join(filter(None, [formatting.difference(entry["difference"]), judged]))),
    ]

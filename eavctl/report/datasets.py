"""The scores of each data set, as a table of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eavctl.evaluation import formatting
from eavctl.report.markup import Markup, el
from eavctl.report.pictures import score_cell

SCORES = {"uar": "UAR", "macro_f1": "macro F1", "accuracy": "accuracy"}


def dataset_table(model: Mapping[str, Any]) -> Markup | None:
    """A row for each data set, and one for their mean; None for predictions of a single data set."""
    if not model["per_dataset"]:
        return None
    titles = (*SCORES.values(), "chance (UAR)", "rows")
    head = el("tr", el("th", ""), [el("th", title, scope="col") for title in titles])
    rows = [_row(entry) for entry in model["per_dataset"]]
    over = model["over_datasets"]
    mean = el("tr", el("th", "mean", scope="row"), el("td", score_cell(over["uar"], None)), class_="total")
    note = formatting.intervals_over(over, over["uar"])
    return el(
        "div",
        el("h3", "Each data set"),
        el("table", el("thead", head), el("tbody", rows, mean), class_="grid"),
        el("p", f"Mean over {over['n_clusters']} data sets: {note}.", class_="soft"),
        class_="scroll",
    )


def _row(entry: Mapping[str, Any]) -> Markup:
    scores = [score_cell(entry[key], entry["chance"] if key == "uar" else None) for key in SCORES]
    facts = (formatting.number(entry["chance"]), f"{entry['n_rows']:,}")
    cells = [el("td", cell) for cell in (*scores, *facts)]
    return el("tr", el("th", entry["dataset"], scope="row"), cells)

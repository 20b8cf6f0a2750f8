"""Coverage against accuracy as a part of the report: a chart, and the scores at some coverages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eavctl.evaluation import formatting
from eavctl.report.markup import Markup, el

WIDTH, HEIGHT, LEFT, BELOW, ABOVE = 420, 240, 36, 36, 10
SERIES = {"accuracy": ("accuracy", -4), "uar": ("UAR", 4)}  # title, and offset of the intervals in pixels


def coverage_part(model: Mapping[str, Any]) -> Markup:
    """The chart and the table for the ``coverage`` of a model (`eavctl.evaluation.coverage.coverage`)."""
    found = model["coverage"]
    return el(
        "div",
        el("h3", "Coverage against accuracy: scores of the most confident predictions"),
        el(
            "div",
            coverage_chart(found, model["chance"]),
            el("div", _table(found["at"]), class_="scroll"),
            class_="pair",
        ),
        el("p", _in_words(found)),
    )


def coverage_chart(found: Mapping[str, Any], chance: float) -> Markup:
    """Accuracy and UAR over coverage as two lines, with intervals at some coverages.

    Parameters
    ----------
    found : result of `eavctl.evaluation.coverage.coverage`.
    chance : UAR of guessing.
    """
    return el(
        "svg",
        _axes(),
        el("line", x1=_x(0), x2=_x(1), y1=_y(chance), y2=_y(chance), class_="chance"),
        [
            el("g", _intervals(found["at"], name, offset), _line(found["curve"], name), class_=name)
            for name, (_, offset) in SERIES.items()
        ],
        _legend(),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
        class_="chart",
        role="img",
        aria_label="; ".join(
            f"{title} over coverage, mean {formatting.number(found['area'][name])}"
            for name, (title, _) in SERIES.items()
        ),
    )


def _x(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - 20), 2)


def _y(score: float) -> float:
    return round(ABOVE + (1 - score) * (HEIGHT - ABOVE - BELOW), 2)


def _axes() -> list[Markup]:
    ticks = [tick / 4 for tick in range(5)]
    return [
        el("line", x1=_x(0), x2=_x(1), y1=_y(0), y2=_y(0), class_="axis"),
        el("line", x1=_x(0), x2=_x(0), y1=_y(0), y2=_y(1), class_="axis"),
        *(el("text", f"{at:.0%}", x=_x(at), y=HEIGHT - BELOW + 15, class_="tick") for at in ticks),
        *(el("text", f"{at:g}", x=LEFT - 16, y=_y(at) + 4, class_="tick") for at in ticks),
        el("text", "coverage", x=_x(0.5), y=HEIGHT - 4, class_="tick"),
    ]


def _line(curve: Sequence[Mapping[str, Any]], name: str) -> Markup:
    points = " ".join(f"{_x(point['coverage'])},{_y(point[name])}" for point in curve)
    return el("polyline", points=points, class_="curve")


def _intervals(at: Sequence[Mapping[str, Any]], name: str, offset: float) -> list[Markup]:
    """A bar for the interval at each coverage, beside that of the other score."""
    return [
        el(
            "line",
            x1=round(_x(point["coverage"]) + offset, 2),
            x2=round(_x(point["coverage"]) + offset, 2),
            y1=_y(point[name]["low"]),
            y2=_y(point[name]["high"]),
            class_="interval",
        )
        for point in at
        if point[name]["low"] is not None
    ]


def _legend() -> list[Markup]:
    """What the lines are, beside the name of the axis, where no line is."""
    y = HEIGHT - 8
    return [
        el(
            "g",
            el("line", x1=x, x2=x + 24, y1=y, y2=y, class_="curve"),
            el("text", title, x=x + 30, y=y + 4, class_="name"),
            class_=name,
        )
        for (name, (title, _)), x in zip(SERIES.items(), (LEFT, WIDTH - 90), strict=True)
    ]


def _table(at: Sequence[Mapping[str, Any]]) -> Markup:
    titles = ("coverage", "confidence from", "rows", *(title for title, _ in SERIES.values()))
    head = el("tr", [el("th", title, scope="col") for title in titles])
    rows = [
        el(
            "tr",
            el("th", f"{point['coverage']:.0%}", scope="row"),
            el("td", f"{point['confidence']:.2f}"),
            el("td", point["n_rows"]),
            [el("td", formatting.score(point[name])) for name in SERIES],
        )
        for point in at
    ]
    return el("table", el("thead", head), el("tbody", rows), class_="numbers")


def _in_words(found: Mapping[str, Any]) -> str:
    areas = " and ".join(
        f"of {title} {formatting.number(found['area'][name])}" for name, (title, _) in SERIES.items()
    )
    text = f"Area under the curve {areas}."
    if found["n_unsure"] is None:
        return text
    text += f" {found['n_unsure']} rows are unsure."
    if not found["n_unsure"] or found["sure"] is None:
        return text
    scores = ", ".join(
        f"{title} {formatting.score(found['sure'][name])}" for name, (title, _) in SERIES.items()
    )
    return f"{text} The other {found['sure']['n_rows']} rows: {scores}."

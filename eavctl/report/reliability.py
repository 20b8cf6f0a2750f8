"""Calibration as a part of the report: a reliability diagram with counts and intervals, and the error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eavctl.evaluation import formatting
from eavctl.report.markup import Markup, el

WIDTH, HEIGHT, LEFT, BELOW, ABOVE = 420, 320, 36, 36, 10
COUNTS = 56  # height of the counts, in pixels
GAP = 16


def reliability_part(model: Mapping[str, Any]) -> Markup:
    """The diagram and its table for the ``calibration_curve`` of a model."""
    curve = model["calibration_curve"]
    return el(
        "div",
        el("h3", "Calibration: how often answers of a confidence are right"),
        el("div", reliability_diagram(curve), el("div", _table(curve), class_="scroll"), class_="pair"),
        el("p", f"Expected calibration error: {formatting.calibration(model)}. {_in_words(curve)}"),
    )


def reliability_diagram(curve: Sequence[Mapping[str, Any]]) -> Markup:
    """Accuracy over confidence, with an interval for each bin, and below the number of rows of each bin.

    Parameters
    ----------
    curve : result of `eavctl.evaluation.calibration_curve.calibration_curve`.
    """
    return el(
        "svg",
        _axes(),
        el("line", x1=_x(0), y1=_y(0), x2=_x(1), y2=_y(1), class_="ideal"),
        el("g", [_interval(each) for each in curve], _line(curve), [_dot(each) for each in curve]),
        _counts(curve),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
        class_="chart",
        role="img",
        aria_label=f"accuracy over confidence in {len(curve)} bins",
    )


def _x(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - 20), 2)


def _y(score: float) -> float:
    return round(ABOVE + (1 - score) * (HEIGHT - ABOVE - BELOW - COUNTS - GAP), 2)


def _axes() -> list[Markup]:
    ticks, bottom = [tick / 4 for tick in range(5)], HEIGHT - BELOW
    return [
        el("line", x1=_x(0), x2=_x(1), y1=_y(0), y2=_y(0), class_="axis"),
        el("line", x1=_x(0), x2=_x(0), y1=_y(0), y2=_y(1), class_="axis"),
        el("line", x1=_x(0), x2=_x(1), y1=bottom, y2=bottom, class_="axis"),
        *(el("text", f"{at:g}", x=_x(at), y=bottom + 15, class_="tick") for at in ticks),
        *(el("text", f"{at:g}", x=LEFT - 16, y=_y(at) + 4, class_="tick") for at in ticks),
        el("text", "confidence", x=_x(0.5), y=HEIGHT - 4, class_="tick"),
        el("text", "right", x=_x(0) + 8, y=_y(1) + 8, class_="name"),
        el("text", "rows", x=_x(0) + 8, y=bottom - COUNTS + 8, class_="name"),
    ]


def _line(curve: Sequence[Mapping[str, Any]]) -> Markup:
    points = " ".join(f"{_x(each['confidence'])},{_y(each['right']['value'])}" for each in curve)
    return el("polyline", points=points, class_="curve")


def _dot(each: Mapping[str, Any]) -> Markup:
    right = formatting.score(each["right"])
    told = f"{each['n_rows']:,} rows of confidence {each['confidence']:.2f}: right {right}"
    return el(
        "circle",
        el("title", told),
        cx=_x(each["confidence"]),
        cy=_y(each["right"]["value"]),
        r=4,
        class_="dot",
    )


def _interval(each: Mapping[str, Any]) -> Markup | None:
    low, high = each["right"]["low"], each["right"]["high"]
    if low is None:
        return None
    x = _x(each["confidence"])
    return el("line", x1=x, x2=x, y1=_y(low), y2=_y(high), class_="interval")


def _counts(curve: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """A bar for the number of rows of each bin."""
    most, bottom = max(each["n_rows"] for each in curve), HEIGHT - BELOW
    bars = []
    for each in curve:
        height = round(COUNTS * each["n_rows"] / most, 2)
        x, width = _x(each["low"]) + 1, round(_x(each["high"]) - _x(each["low"]) - 2, 2)
        told = el("title", f"{each['n_rows']:,} rows")
        bars.append(
            el("rect", told, x=x, y=round(bottom - height, 2), width=width, height=height, class_="bar")
        )
    return bars


def _table(curve: Sequence[Mapping[str, Any]]) -> Markup:
    head = el("tr", [el("th", title, scope="col") for title in ("confidence", "mean", "rows", "right")])
    rows = [
        el(
            "tr",
            el("th", f"{each['low']:.2f} to {each['high']:.2f}", scope="row"),
            el("td", f"{each['confidence']:.2f}"),
            el("td", f"{each['n_rows']:,}"),
            el("td", formatting.score(each["right"])),
        )
        for each in curve
    ]
    return el("table", el("thead", head), el("tbody", rows), class_="numbers")


def _in_words(curve: Sequence[Mapping[str, Any]]) -> str:
    n_rows = sum(each["n_rows"] for each in curve)
    gap = sum(each["n_rows"] * (each["right"]["value"] - each["confidence"]) for each in curve) / n_rows
    side = "above" if gap > 0 else "below"
    return f"Over all rows, accuracy is {abs(gap):.3f} {side} the mean confidence."

"""The pictures of a report as inline SVG and shaded tables, without a library or another file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eavctl.evaluation import formatting
from eavctl.report.markup import Markup, el

# One blue hue from white to dark: ordered by lightness, for print and for readers with colour blindness.
_LIGHT, _DEEP = (247, 250, 253), (12, 62, 122)
_WHITE_TEXT_FROM = 0.62  # where white and dark text have the same contrast

BAR_WIDTH, BAR_HEIGHT = 200, 14
STRIP_WIDTH, STRIP_MARGIN = 1000, 24
DOT, DOT_STEP = 5.0, 11.0


def interval_bar(score: Mapping[str, Any], chance: float | None) -> Markup:
    """A score from 0 to 1 as a dot, its interval, if any, as a band, and chance as a thin line.

    Parameters
    ----------
    score : ``value``, ``low`` and ``high``.
    chance : chance level; None draws no line.
    """
    middle = BAR_HEIGHT / 2

    def x(at: float) -> float:
        return round(4 + at * (BAR_WIDTH - 8), 2)

    mark = (
        el("line", x1=x(chance), x2=x(chance), y1=1, y2=BAR_HEIGHT - 1, class_="chance") if chance else None
    )
    low, high = score["low"], score["high"]
    band = None
    if low is not None:
        band = el(
            "rect", x=x(low), width=round(x(high) - x(low), 2), y=middle - 5, height=10, rx=2, class_="band"
        )
    return el(
        "svg",
        el("line", x1=x(0), x2=x(1), y1=middle, y2=middle, class_="rail"),
        mark,
        band,
        el("circle", cx=x(score["value"]), cy=middle, r=3, class_="dot"),
        viewBox=f"0 0 {BAR_WIDTH} {BAR_HEIGHT}",
        width=BAR_WIDTH,
        height=BAR_HEIGHT,
        role="img",
        aria_label=formatting.score(score),
    )  # fmt: skip


def score_cell(score: Mapping[str, Any], chance: float | None) -> list[Markup | None]:
    """A score in large print, its interval, if any, in small print, and both as a bar."""
    low, high = score["low"], score["high"]
    extent = None if low is None else f"{formatting.number(low)} to {formatting.number(high)}"
    return [
        el("span", formatting.number(score["value"]), class_="score"),
        el("small", extent) if extent else None,
        interval_bar(score, chance),
    ]


def confusion_table(confusion: list[list[int]], classes: list[str]) -> Markup:
    """Confusion matrix in per cent of each true class, with counts below; larger shares are darker."""
    head = el("tr", el("th", "true \u2193  predicted \u2192", class_="corner"),
              [el("th", el("span", name), scope="col") for name in classes])  # fmt: skip
    rows = []
    for i, (name, counts) in enumerate(zip(classes, confusion, strict=True)):
        total = sum(counts)
        cells = [_cell(count, total, is_right=i == j) for j, count in enumerate(counts)]
        rows.append(el("tr", el("th", name, scope="row"), cells))
    return el("table", el("thead", head), el("tbody", rows), class_="confusion")


def subject_strip(subjects: list[dict[str, Any]], mean: float, chance: float) -> Markup:
    """One dot per subject at its UAR; dots that would overlap are stacked."""
    ordered = sorted(subjects, key=lambda s: (s["uar"], s["subject"]))
    levels = _stack([_strip_x(s["uar"]) for s in ordered])
    floor = 34 + DOT_STEP * max(levels)
    dots = [
        el("circle", el("title", f"{s['subject']}: {s['uar']:.3f}, {s['n_rows']} rows"),
           cx=_strip_x(s["uar"]), cy=round(floor - 10 - DOT_STEP * level, 2), r=DOT, class_="dot")
        for s, level in zip(ordered, levels, strict=True)
    ]  # fmt: skip
    ticks = [
        [el("line", x1=_strip_x(t / 10), x2=_strip_x(t / 10), y1=floor, y2=floor + 4, class_="axis"),
         el("text", f"{t / 10:.1f}", x=_strip_x(t / 10), y=floor + 16, class_="tick")]
        for t in range(0, 11, 2)
    ]  # fmt: skip
    lines = [
        el("line", x1=_strip_x(at), x2=_strip_x(at), y1=14, y2=floor, class_=kind)
        for at, kind in ((chance, "chance"), (mean, "mean"))
    ]
    labels = [
        el("text", text, x=_strip_x(at), y=10, class_="tick")
        for at, text in ((chance, f"chance {chance:.3f}"), (mean, f"all {mean:.3f}"))
    ]
    axis = el("line", x1=_strip_x(0), x2=_strip_x(1), y1=floor, y2=floor, class_="axis")
    return el(
        "svg",
        axis, ticks, lines, labels, dots,
        viewBox=f"0 0 {STRIP_WIDTH} {floor + 22}",
        class_="strip",
        role="img",
        aria_label=f"UAR of {len(subjects)} subjects, {ordered[0]['uar']:.3f} to {ordered[-1]['uar']:.3f}",
    )  # fmt: skip


def _strip_x(score: float) -> float:
    return round(STRIP_MARGIN + score * (STRIP_WIDTH - 2 * STRIP_MARGIN), 2)


def _stack(positions: list[float]) -> list[int]:
    """The lowest level for each dot, from left to right, at which it overlaps no previous dot."""
    last: list[float] = []
    levels = []
    for x in positions:
        level = next((i for i, before in enumerate(last) if x - before >= DOT_STEP), len(last))
        last[level : level + 1] = [x]
        levels.append(level)
    return levels


def _cell(count: int, total: int, *, is_right: bool) -> Markup:
    share = count / total if total else 0.0
    mixed = [round(light + (deep - light) * share) for light, deep in zip(_LIGHT, _DEEP, strict=True)]
    ink = "#fff" if share >= _WHITE_TEXT_FROM else "#16202c"
    style = f"background:#{''.join(f'{channel:02x}' for channel in mixed)};color:{ink}"
    text = f"{100 * share:.0f}" if total else "\u2013"
    return el("td", el("b", text), el("small", count), style=style, class_="right" if is_right else None)

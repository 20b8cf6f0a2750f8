"""The pictures of a report as inline SVG and shaded tables, without a library or another file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eavctl.evaluation import formatting
from eavctl.report.markup import Markup, el

Colour = tuple[float, float, float]

# One blue hue, ordered by lightness, for print and for readers with colour blindness; from the paper's colour
# on, in the light theme and in the dark one.
THEMES: Mapping[str, tuple[Colour, Colour]] = {
    "light": ((247, 250, 253), (12, 62, 122)),
    "dark": ((27, 34, 44), (141, 188, 242)),
}
SHADES = 20  # steps from one to the other
BLACK, WHITE = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)

BAR_WIDTH, BAR_HEIGHT = 200, 14
STRIP_WIDTH, STRIP_MARGIN = 1000, 24
DOT, DOT_STEP = 5.0, 11.0
WORST, WORST_OF_SEVERAL = 3, 2  # people who are named: of one data set, and of each of several
LABEL_STEP, LONGEST_NAME = 16, 32
TURN = 0.6  # UAR from which on names stand to the left of their dots, where there is room


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
    """Confusion matrix in per cent of each true class, with counts below; larger shares are darker.

    On a dark screen they are lighter; the colours are those of `shade_style`.
    """
    head = el("tr", el("th", "true \u2193  predicted \u2192", class_="corner"),
              [el("th", el("span", name), scope="col") for name in classes])  # fmt: skip
    rows = []
    for i, (name, counts) in enumerate(zip(classes, confusion, strict=True)):
        total = sum(counts)
        cells = [_cell(count, total, is_right=i == j) for j, count in enumerate(counts)]
        rows.append(el("tr", el("th", name, scope="row"), cells))
    return el("table", el("thead", head), el("tbody", rows), class_="confusion", style=f"--n:{len(classes)}")


def shade_style() -> str:
    """The rules for the cells of `confusion_table`, in both themes; text is black or white."""
    dark = "\n".join(_shade_rules("dark"))
    return (
        "\n".join(_shade_rules("light"))
        + f"\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n"
    )


def shade(number: int, theme: str) -> tuple[Colour, Colour]:
    """Background and text of a shade, sRGB from 0 to 255; the text has a contrast of 4.5 or more."""
    first, last = THEMES[theme]
    red, green, blue = (float(round(a + (b - a) * number / SHADES)) for a, b in zip(first, last, strict=True))
    background = red, green, blue
    return background, max((BLACK, WHITE), key=lambda text: contrast(background, text))


def contrast(one: Colour, other: Colour) -> float:
    """Contrast of two sRGB colours by WCAG 2.2, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def subject_strip(subjects: Sequence[Mapping[str, Any]], mean: float, chance: float) -> Markup:
    """One dot per subject at its UAR, a lane for each data set; those of lowest UAR are named.

    Dots that would overlap are stacked.

    Parameters
    ----------
    subjects : each with ``subject``, ``uar``, ``n_rows``, and perhaps ``dataset``.
    mean : UAR of all rows.
    chance : UAR of guessing.
    """
    lanes: dict[str, list[Mapping[str, Any]]] = {}
    for each in sorted(subjects, key=lambda s: (s["uar"], s["subject"])):
        lanes.setdefault(str(each.get("dataset") or ""), []).append(each)
    n_named = WORST if len(lanes) == 1 else WORST_OF_SEVERAL
    top, parts = 16.0, []
    for name in sorted(lanes):
        lane, top = _lane(name if len(lanes) > 1 else "", lanes[name], n_named, top)
        parts.append(lane)
    ticks = [
        [el("line", x1=_strip_x(t / 10), x2=_strip_x(t / 10), y1=top, y2=top + 4, class_="axis"),
         el("text", f"{t / 10:.1f}", x=_strip_x(t / 10), y=top + 16, class_="tick")]
        for t in range(0, 11, 2)
    ]  # fmt: skip
    lines = [
        el("line", x1=_strip_x(at), x2=_strip_x(at), y1=14, y2=top, class_=kind)
        for at, kind in ((chance, "chance"), (mean, "mean"))
    ]
    labels = [
        el("text", text, x=_strip_x(at), y=10, class_="tick")
        for at, text in ((chance, f"chance {chance:.3f}"), (mean, f"all {mean:.3f}"))
    ]
    uars = [each["uar"] for each in subjects]
    return el(
        "svg",
        lines, labels, parts, ticks,
        viewBox=f"0 0 {STRIP_WIDTH} {top + 22:g}",
        width=STRIP_WIDTH,
        class_="strip wide",
        role="img",
        aria_label=f"UAR of {len(subjects)} subjects, {min(uars):.3f} to {max(uars):.3f}",
    )  # fmt: skip


def _lane(
    title: str, subjects: Sequence[Mapping[str, Any]], n_named: int, top: float
) -> tuple[Markup, float]:
    """The dots of one data set, by ascending UAR, above their axis; and where the axis is."""
    levels = _stack([_strip_x(s["uar"]) for s in subjects])
    worst = subjects[: min(n_named, len(subjects) - 1)]
    start = top + (18 if title else 4)
    floor = round(start + LABEL_STEP * len(worst) + DOT_STEP * max(levels) + 20, 2)
    dots = [
        el("circle", el("title", f"{s['subject']}: {s['uar']:.3f}, {s['n_rows']} rows"),
           cx=_strip_x(s["uar"]), cy=round(floor - 10 - DOT_STEP * level, 2), r=DOT,
           class_="dot worst" if i < len(worst) else "dot")
        for i, (s, level) in enumerate(zip(subjects, levels, strict=True))
    ]  # fmt: skip
    is_left = bool(worst) and worst[-1]["uar"] > TURN
    heights = range(len(worst))[::-1] if is_left else range(len(worst))  # no line crosses a name
    names = [
        _named(s, start + LABEL_STEP * (at + 0.5), floor - 10 - DOT_STEP * level, is_left=is_left)
        for s, at, level in zip(worst, heights, levels, strict=False)
    ]
    axis = el("line", x1=_strip_x(0), x2=_strip_x(1), y1=floor, y2=floor, class_="axis")
    heading = el("text", _short(title), x=STRIP_MARGIN, y=start - 4, class_="name") if title else None
    return el("g", axis, heading, [lead for lead, _ in names], dots, [name for _, name in names]), floor


def _named(subject: Mapping[str, Any], y: float, bottom: float, *, is_left: bool) -> tuple[Markup, Markup]:
    """A line up from a dot, and the name at its end."""
    x = _strip_x(subject["uar"])
    text = f"{_short(subject['subject'])} {subject['uar']:.3f}"
    at, kind = (x - 6, "name end") if is_left else (x + 6, "name")
    name = el("text", text, x=round(at, 2), y=round(y + 4, 2), class_=kind)
    return el("line", x1=x, x2=x, y1=round(y - 4, 2), y2=round(bottom, 2), class_="lead"), name


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}\u2026"


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
    text = f"{100 * share:.0f}" if total else "\u2013"
    kind = f"s{round(share * SHADES)}" + (" right" if is_right else "")
    return el("td", el("b", text), el("small", count), class_=kind)


def _shade_rules(theme: str) -> Iterator[str]:
    for number in range(SHADES + 1):
        background, text = shade(number, theme)
        yield f".s{number} {{ background: {_hex(background)}; color: {_hex(text)}; }}"


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{int(channel):02x}" for channel in colour)


def _luminance(colour: Colour) -> float:
    parts = [channel / 255 for channel in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

"""The map of a feature table as a page: two scatter plots, coloured by class, person or data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eavctl.report.markup import Markup, el
from eavctl.report.page import page

SIDE, MARGIN, RADIUS = 500, 10, 2.6
# Distinct hues first, then their lighter twins; names beyond these share the last, a grey.
PALETTE = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22",
    "#7fb2dd", "#ffbb78", "#98df8a", "#ff9896", "#c5b0d5", "#c49c94", "#f7b6d2", "#9edae5", "#dbdb8d",
)  # fmt: skip
OTHER = "#9aa3ad"
TITLES = {"pca": "Principal components", "tsne": "t-SNE"}
STYLE = """
.by { position: absolute; opacity: 0; pointer-events: none; }
.switch { margin: 20px 0 6px; display: flex; gap: 6px; align-items: baseline; flex-wrap: wrap; }
.switch label { padding: 3px 12px; border: 1px solid var(--line); border-radius: 4px; cursor: pointer; }
.maps { display: flex; flex-wrap: wrap; gap: 12px 24px; }
.maps figure { margin: 0; flex: 1 1 420px; max-width: 560px; }
.maps svg { width: 100%; height: auto; display: block; border: 1px solid var(--line); border-radius: 4px; }
.maps circle { fill-opacity: 0.75; }
.legend { display: none; list-style: none; margin: 10px 0; padding: 0; flex-wrap: wrap; gap: 3px 18px; }
.legend li { cursor: default; overflow-wrap: anywhere; }
.legend svg { width: 11px; height: 11px; margin-right: 6px; }
"""


def map_page(found: Mapping[str, Any]) -> str:
    """The page for the result of `eavctl.stages.map.make_map`."""
    colourings: Sequence[Mapping[str, Any]] = found["colourings"]
    title = f"Map of {found['table']}"
    return page(
        title,
        el("header", el("h1", title), el("p", _extent(found), class_="soft")),
        _switches(colourings),
        el(
            "main",
            _labels(colourings),
            [_legend(i, colouring) for i, colouring in enumerate(colourings)],
            el("div", [_panel(found, kind) for kind in TITLES], class_="maps"),
            [el("p", _neighbours(each)) for each in colourings if each["nearest"]],
        ),
        el("footer", [el("p", text) for text in _explained(found)]),
        style=STYLE + "".join(_rules(colourings)),
    )


def _extent(found: Mapping[str, Any]) -> str:
    rows = f"{found['rows']:,} rows"
    if found["drawn"] < found["rows"]:
        rows = f"{found['drawn']:,} of {rows}"
    shape = " x ".join(map(str, found["shape"]))
    return (
        f"{rows} \u00b7 {found['features']} \u00b7 {shape} {'columns' if found['has_columns'] else 'values'}"
    )


def _switches(colourings: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Radio buttons, before all that they change; the browser alone switches, by the rules of the style."""
    return [
        el("input", type="radio", name="by", id=f"by{i}", class_="by", checked="" if i == 0 else None)
        for i in range(len(colourings))
    ]


def _labels(colourings: Sequence[Mapping[str, Any]]) -> Markup | None:
    if not colourings:
        return None
    labels = [el("label", each["by"], for_=f"by{i}") for i, each in enumerate(colourings)]
    return el("div", el("span", "Colour by"), labels, class_="switch")


def _legend(i: int, colouring: Mapping[str, Any]) -> Markup:
    marks = el("circle", cx=5, cy=5, r=5)
    shown = [
        el(
            "li",
            el("svg", el("g", marks, class_=f"k{i}-{colour}"), viewBox="0 0 10 10"),
            f"{name} ",
            el("small", f"{n:,}"),
            class_=f"n{i}-{colour}",
        )
        for colour, (name, n) in enumerate(_named(colouring))
    ]
    return el("ul", shown, class_="legend", id=f"legend{i}")


def _named(colouring: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Names with a colour of their own, and all that share the grey, each with its rows."""
    names = [(each["name"], each["rows"]) for each in colouring["names"]]
    if len(names) > len(PALETTE):
        most = sorted(names, key=lambda each: -each[1])[: len(PALETTE)]
        names = [each for each in names if each in most]
    rest = colouring["rows"] - sum(n for _, n in names)
    return [*names, *([(f"others, or no {colouring['by']}", rest)] if rest else [])]


def _panel(found: Mapping[str, Any], kind: str) -> Markup:
    points = found["points"]
    places = [point[kind] for point in points]
    (left, right), (low, high) = ((min(each), max(each)) for each in zip(*places, strict=True))
    scale = (SIDE - 2 * MARGIN) / max(right - left, high - low, 1e-12)  # one for both: distances stay true
    x0, y0 = (SIDE - scale * (left + right)) / 2, (SIDE + scale * (low + high)) / 2
    keys = _keys(found["colourings"], points)
    circles = [
        el(
            "circle",
            el("title", point["sample_id"] + "".join(f", {each}" for each in point["names"] if each)),
            cx=f"{x0 + scale * x:.1f}",
            cy=f"{y0 - scale * y:.1f}",
            r=RADIUS,
            class_=key,
        )
        for point, (x, y), key in zip(points, places, keys, strict=True)
    ]
    return el(
        "figure",
        el("h3", _title(found, kind)),
        el(
            "svg",
            circles,
            viewBox=f"0 0 {SIDE} {SIDE}",
            role="img",
            aria_label=f"{TITLES[kind]} of {len(points)} rows",
        ),
    )


def _keys(colourings: Sequence[Mapping[str, Any]], points: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The classes of each point's circle: its colour in each colouring."""
    numbers = [{name: n for n, (name, _) in enumerate(_named(each))} for each in colourings]
    for point in points:
        found = (of.get(name, len(of) - 1) for of, name in zip(numbers, point["names"], strict=True))
        yield " ".join(f"k{i}-{colour}" for i, colour in enumerate(found))


def _title(found: Mapping[str, Any], kind: str) -> str:
    if kind != "pca":
        return TITLES[kind]
    first, second = (f"{share:.1%}" for share in found["explained"])
    return f"{TITLES[kind]}: {first} (across) and {second} (up) of the variance"


def _neighbours(colouring: Mapping[str, Any]) -> str:
    share, chance = colouring["nearest"]
    same = f"have the same {colouring['by']}"
    return f"Of the 10 nearest rows, {share:.0%} {same}; of 10 rows at random, {chance:.0%}."


def _explained(found: Mapping[str, Any]) -> Iterator[str]:
    if found["drawn"] < found["rows"]:
        yield (
            f"{found['drawn']:,} rows were drawn at random (seed {found['seed']}); --rows draws more. All "
            "numbers are of these."
        )
    columns = f"{found['constant']} constant column{'' if found['constant'] == 1 else 's'}"
    constant = f", {columns} left out" if found["constant"] else ""
    yield (
        f"Columns are standardised{constant}. The first {found['components']} principal components have "
        f"{found['explained_by_components']:.1%} of the variance; t-SNE and the nearest rows are of these. "
        "t-SNE (perplexity 30, or a third of the rows) keeps near rows together: distances between groups, "
        "their sizes and their densities mean nothing."
    )


def _rules(colourings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Rules by which a switch colours the points; the name under the pointer stands out."""
    for i, colouring in enumerate(colourings):
        on = f"#by{i}:checked ~ main"
        yield f"{on} #legend{i} {{ display: flex; }}\n"
        yield (
            f"{on} label[for=by{i}] {{ background: var(--deep); border-color: var(--deep); "
            "color: var(--paper); }\n"
            f"#by{i}:focus-visible ~ main label[for=by{i}] {{ outline: 2px solid var(--ink); }}\n"
        )
        names = _named(colouring)
        for colour in range(len(names)):
            is_own = colour < len(PALETTE) and colour < len(colouring["names"])
            yield f"{on} .k{i}-{colour} {{ fill: {PALETTE[colour] if is_own else OTHER}; }}\n"
            yield (
                f"main:has(.n{i}-{colour}:hover) .maps circle:not(.k{i}-{colour}) {{ fill-opacity: 0.06; }}\n"
            )

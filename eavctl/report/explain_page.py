"""What a model relies on, as a page: what each part of the features is worth, patterns, maps of the scalp."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eavctl.evaluation import formatting
from eavctl.report.markup import Markup, el
from eavctl.report.page import page
from eavctl.report.scalp import FEWEST, ScalpMap, scalp_maps

WIDTH, HEIGHT = 200, 14
LEAST_REACH = 0.05  # of the axis of drops
LEAST_DARK = 0.01  # drop of probability of the darkest patch, at least
MOST_SHOWN = 20  # parts of a view, before the rest is folded away
PATCH = "patch"
IN_ORDER = ("time", "band", PATCH)  # views whose parts are in an order of their own
TITLES = {
    "family": "Families of features",
    "band": "Bands",
    "channel": "Channels",
    "measure": "Measures",
    "time": "Windows in time",
    PATCH: "Patches of the picture",
}
STYLE = """
.effects td, .effects th { white-space: nowrap; }
.numbers.effects th:first-child { max-width: none; }
.patches td { width: 46px; height: 40px; text-align: center; font-size: 12px;
  border: 2px solid var(--paper); }
.scalp { max-width: 100%; height: auto; background: #fff; border-radius: 5px; }
svg .zero { stroke: var(--ink); stroke-width: 1; }
"""


def ordered(view: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The parts of a view: in time, or of mel bands as they are; else those of the largest drop first."""
    parts: list[Mapping[str, Any]] = list(view["parts"])
    if view["name"] in IN_ORDER and parts[0]["columns"] is None:
        return parts
    return sorted(parts, key=lambda part: (-part["drop"]["value"], -part["probability"]["value"]))


def explain_page(found: Mapping[str, Any]) -> str:
    """The page for the result of `eavctl.stages.explain.explain`."""
    title = f"What {found['model']} relies on"
    pictures = list(_scalp(found["maps"]))
    return page(
        title,
        el("header", el("h1", title), el("p", _extent(found), class_="soft")),
        el("p", f"UAR {formatting.score(found['uar'])} with all features. {_sentence(found['how'])}"),
        el("ul", [el("li", text) for text in found["warnings"]], class_="notes")
        if found["warnings"]
        else None,
        [_view(view) for view in found["views"]],
        el("section", el("h2", "Maps of the scalp"), pictures) if pictures else None,
        _patterns(found["patterns"]) if found["patterns"] else None,
        el("footer", [el("p", text) for text in explained(found)]),
        style=STYLE,
        pictures=True,
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _extent(found: Mapping[str, Any]) -> str:
    tables = ", ".join(found["tables"])
    return f"{found['rows']:,} rows of {tables} · {found['features']} · {len(found['classes'])} classes"


def explained(found: Mapping[str, Any]) -> Iterator[str]:
    """How the numbers are to be read, sentence by sentence."""
    note = formatting.intervals_over(found, found["uar"])
    if found["donors"]:
        group = {"speaker": "speaker", "subject": "subject"}.get(found["normalize"] or "", "data set")
        yield (
            "Drop is how much lower UAR is where the columns of a part are replaced by those of other "
            f"held-out rows of the same {group}; the mean probability over up to {found['donors']} such rows "
            "decides. Alone is the UAR where all other columns are replaced."
        )
        yield (
            "Below 0, the part misleads the model. "
            "Parts that carry the same information stand in for one another: a drop near 0 says that the "
            "others suffice, and not that a part carries nothing. Alone tells the two apart."
        )
    else:
        yield (
            "Drop is how much lower UAR is where a part of each row is replaced by the mean of all rows. A "
            "part without a drop may carry what other parts carry too."
        )
    ranges = f"Ranges are {note}" if found["uar"]["low"] is not None else f"There is {note}"
    yield (
        "The drop of probability is the mean drop of the probability of the true class, which changes before "
        f"answers do. {ranges}."
    )


def _view(view: Mapping[str, Any]) -> Markup:
    title = TITLES.get(view["name"], view["name"].capitalize())
    if view["name"] == PATCH:
        return el("section", el("h2", title), _grid(view["parts"]))
    parts = ordered(view)
    shown, rest = parts[:MOST_SHOWN], parts[MOST_SHOWN:]
    reach = _reach(parts)
    more = el("details", el("summary", f"{len(rest)} more"), _table(rest, reach)) if rest else None
    return el("section", el("h2", title), _table(shown, reach), more)


def _table(parts: Sequence[Mapping[str, Any]], reach: float) -> Markup:
    """A row for each part: its drops, and its score alone."""
    are_columns = parts[0]["columns"] is not None
    titles = ["columns"] * are_columns + ["drop of UAR", "", "drop of probability"]
    titles += ["alone, UAR"] * are_columns
    head = el("tr", [el("th", title, scope="col") for title in ("", *titles)])
    rows = [
        el(
            "tr",
            el("th", part["name"], scope="row"),
            el("td", part["columns"]) if are_columns else None,
            el("td", formatting.difference(part["drop"])),
            el("td", _bar(part["drop"], reach)),
            el("td", formatting.difference(part["probability"])),
            el("td", formatting.score(part["alone"])) if are_columns else None,
        )
        for part in parts
    ]
    table = el("table", el("thead", head), el("tbody", rows), class_="numbers effects")
    return el("div", table, class_="scroll")


def _reach(parts: Sequence[Mapping[str, Any]]) -> float:
    """Half the length of the axis on which all drops and their intervals fit."""
    ends = [float(end) for part in parts for end in part["drop"].values() if end is not None]
    return max([LEAST_REACH, *map(abs, ends)])


def _bar(drop: Mapping[str, Any], reach: float) -> Markup:
    """A drop as a dot, its interval as a band, and 0 as a line."""

    def x(at: float) -> float:
        return round(WIDTH / 2 + at / reach * (WIDTH / 2 - 4), 2)

    middle, band = HEIGHT / 2, None
    if drop["low"] is not None:
        width = round(x(drop["high"]) - x(drop["low"]), 2)
        band = el("rect", x=x(drop["low"]), width=width, y=middle - 5, height=10, rx=2, class_="band")
    return el(
        "svg",
        el("line", x1=x(-reach), x2=x(reach), y1=middle, y2=middle, class_="rail"),
        band,
        el("line", x1=x(0), x2=x(0), y1=0, y2=HEIGHT, class_="zero"),
        el("circle", cx=x(drop["value"]), cy=middle, r=3, class_="dot"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
        role="img",
        aria_label=formatting.difference(drop),
    )


def _grid(parts: Sequence[Mapping[str, Any]]) -> Markup:
    """Patches in their places, shaded by the drop of the probability of the true class."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for part in parts:
        rows.setdefault(part["name"].partition(",")[0], []).append(part)
    most = max([LEAST_DARK, *(part["probability"]["value"] for part in parts)])
    cells = [el("tr", [_cell(part, most) for part in row]) for row in rows.values()]
    note = "Drop of the probability of the true class with each patch occluded; darker is more."
    return el("div", el("table", el("tbody", cells), class_="patches"), el("p", note))


def _cell(part: Mapping[str, Any], most: float) -> Markup:
    share = max(part["probability"]["value"], 0.0) / most
    mixed = [
        round(light + (deep - light) * share)
        for light, deep in zip((247, 250, 253), (12, 62, 122), strict=True)
    ]
    ink = "#fff" if share > 0.6 else "#16202c"
    style = f"background:#{''.join(f'{channel:02x}' for channel in mixed)};color:{ink}"
    return el("td", formatting.signed(part["probability"]["value"]), style=style)


def _patterns(patterns: Mapping[str, Sequence[Mapping[str, Any]]]) -> Markup:
    return el(
        "section",
        el("h2", "Patterns"),
        el(
            "p",
            "What goes with a higher score of each class: change of the feature, in standard deviations, for "
            "one of the score (Haufe et al., 2014). The weights of a model cannot be read so: they also "
            "cancel noise. Of two classes one is shown: the other has opposite signs.",
        ),
        el("div", [_pattern(name, columns) for name, columns in patterns.items()], class_="pair"),
    )


def _pattern(name: str, columns: Sequence[Mapping[str, Any]]) -> Markup:
    rows = [
        el("tr", el("th", each["column"], scope="row"), el("td", formatting.signed(each["pattern"])))
        for each in columns
    ]
    return el("div", el("h3", name), el("table", el("tbody", rows), class_="numbers effects"))


def _scalp(maps: Sequence[Mapping[str, Any]]) -> Iterator[Markup]:
    """A row of maps for each thing that is drawn, and a sentence on channels without a place."""
    titles = {"importance": "Drop of the probability of the true class without a channel"}
    unknown: list[str] = []
    for of in dict.fromkeys(each["of"] for each in maps):
        drawn = [ScalpMap(each["title"], each["values"]) for each in maps if each["of"] == of]
        picture, unknown = scalp_maps(drawn)
        if picture is None:
            yield el("p", f"No map: fewer than {FEWEST} channels have names of the 10-05 system.")
            return
        address = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
        title = titles.get(of, of.capitalize())
        yield el("h3", title)
        yield el(
            "img", src=address, alt=f"{title}: {', '.join(each.title for each in drawn)}", class_="scalp"
        )
    if unknown:
        yield el(
            "p", f"Left out, as their names are not of the 10-05 system: {', '.join(unknown)}.", class_="soft"
        )

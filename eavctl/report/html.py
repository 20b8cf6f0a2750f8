"""The report on prediction tables as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from eavctl.evaluation import formatting
from eavctl.evaluation.intervals import FEWEST
from eavctl.report.coverage import coverage_part
from eavctl.report.datasets import dataset_table
from eavctl.report.markup import Markup, el
from eavctl.report.page import page as page_around
from eavctl.report.pictures import confusion_table, score_cell, shade_style, subject_strip
from eavctl.report.reliability import reliability_part
from eavctl.report.sentences import counted
from eavctl.report.subsets import subset_table
from eavctl.report.summary import summary
from eavctl.report.trained import trained_part
from eavctl.storage.tables import PredictionTable

NOTHING = "\u2013"
_TITLES = {"uar": "UAR", "macro_f1": "macro F1", "accuracy": "accuracy"}


def page(tables: Sequence[PredictionTable], names: Sequence[str] | None = None) -> str:
    """The report as a self-contained HTML page; the same tables give the same text.

    Raises
    ------
    UsageError, DataError : as `summary`.
    """
    return page_of(summary(tables, names))


def page_of(found: dict[str, Any]) -> str:
    """The HTML page for the result of `summary`."""
    models = found["models"]
    title = found["title"]
    return page_around(
        title,
        el("header", el("h1", title), el("p", _extent(models), class_="soft")),
        _overview(models),
        _comparisons(found["comparisons"]) if found["comparisons"] else None,
        [_details(model, number) for number, model in enumerate(models, start=1)],
        el("footer", _explained(models)),
        style=shade_style(),
    )


def _extent(models: list[dict[str, Any]]) -> str:
    first = models[0]
    parts = [counted(first["n_clips"], "clip"), f"{len(first['classes'])} classes"]
    if first["n_subjects"]:
        parts.insert(1, counted(first["n_subjects"], "subject"))
    alike = all(m["n_clips"] == first["n_clips"] for m in models)
    return " \u00b7 ".join(parts) + ("" if alike else f" in {first['name']}; the others differ")


def _protocol(model: dict[str, Any]) -> str:
    protocol = model["protocol"]
    parts = [str(protocol.get("name") or "not stated")]
    if protocol.get("group"):
        parts.append(f"by {protocol['group']}")
    if protocol.get("folds"):
        parts.append("one split" if protocol["folds"] == 1 else f"{protocol['folds']} folds")
    if protocol.get("normalize"):
        parts.append(f"normalised by {protocol['normalize']}")
    if protocol.get("adapted"):
        parts.append("adapted to the recordings at hand")
    return ", ".join(parts)


def _explained(models: list[dict[str, Any]]) -> list[Markup | None]:
    level = models[0]["level"]
    scores = (
        "UAR is the mean recall over the classes, so every class has the same weight; chance is the score of "
        f"guessing. Ranges and bands are {level:.0%} intervals by a jackknife over subjects, or, if a table "
        "has fewer than two subjects, over the groups of the protocol, or over clips; fewer than "
        f"{FEWEST} of these give no interval."
    )
    comparisons = (
        "p is that of a permutation test, which exchanges the predictions of two models subject by subject. "
        "Because the best model was selected on the same rows, p is corrected for the comparisons of all "
        "pairs of models (Holm). A model is called better if p is below 0.05 and the interval of the "
        "difference excludes 0."
    )
    confidence = (
        "Confidence is the probability of the predicted class. The expected calibration error is the mean "
        "difference between confidence and accuracy over 15 bins of confidence; chance alone makes it larger "
        "than 0, the more so the fewer rows there are. Coverage is the share of the rows that are answered, "
        "those of highest confidence first; the area is the mean score over all coverages."
    )
    return [el("p", scores), el("p", confidence), el("p", comparisons) if len(models) > 1 else None]


# --- the parts of the page --------------------------------------------------------------------------------


def _overview(models: list[dict[str, Any]]) -> Markup:
    """Tables with a row per model: scores, then other facts; facts equal for all models are listed once."""
    facts: dict[str, Callable[[dict[str, Any]], str]] = {
        "interval": _interval,
        "chance (UAR)": lambda m: formatting.number(m["chance"]),
        "most frequent class (accuracy)": lambda m: formatting.number(m["chance_accuracy"]),
        "protocol": _protocol,
        "modality": lambda m: ", ".join(m["modalities"]) or "not stated",
        "rows, clips, subjects": lambda m: (
            f"{m['n_rows']:,}, {m['n_clips']:,}, {m['n_subjects'] or 'not named'}"
        ),
        "log loss": lambda m: formatting.number(m["log_loss"]),
        "Brier score": lambda m: formatting.number(m["brier"]),
        "expected calibration error": lambda m: formatting.score(m["calibration_error"]),
        "class-wise calibration error": lambda m: formatting.number(m["classwise_calibration_error"]),
        "fusion": _fusion,
    }
    texts = {title: [describe(m) for m in models] for title, describe in facts.items()}
    shared = [f"{title}: {values[0]}" for title, values in texts.items() if len(set(values)) == 1]
    differing = {title: values for title, values in texts.items() if len(set(values)) > 1}
    scores = _grid(_TITLES.values(), models, [[_score(m, key) for key in _TITLES] for m in models])
    rest = _grid(differing, models, list(zip(*differing.values(), strict=True))) if differing else None
    return el(
        "section",
        el("h2", "Scores"),
        el("div", scores, class_="scroll"),
        el("p", " \u00b7 ".join(each for each in shared if each != f"fusion: {NOTHING}")),
        el("div", rest, class_="scroll") if rest else None,
        _notes(models),
    )


def _grid(titles: Iterable[str], models: list[dict[str, Any]], cells: Sequence[Sequence[Any]]) -> Markup:
    head = el("tr", el("th", ""), [el("th", title, scope="col") for title in titles])
    rows = [
        el("tr", el("th", _link(model, number), scope="row"), [el("td", cell) for cell in row])
        for number, (model, row) in enumerate(zip(models, cells, strict=True), start=1)
    ]
    return el("table", el("thead", head), el("tbody", rows), class_="grid")


def _link(model: dict[str, Any], number: int) -> Markup:
    """The name of a model, which leads to its part of the page."""
    return el("a", model["name"], href=f"#model-{number}")


def _notes(models: list[dict[str, Any]]) -> Markup | None:
    """Each warning and published score once, with the names of its models unless it applies to all."""
    names_of: dict[str, list[str]] = {}
    for model in models:
        for text in (*model["warnings"], *([model["published"]] if model["published"] else [])):
            names_of.setdefault(text, []).append(model["name"])
    items = [
        el("li", text if len(names) == len(models) else f"{', '.join(names)}: {text}")
        for text, names in names_of.items()
    ]
    return el("ul", items, class_="notes") if items else None


def _score(model: dict[str, Any], key: str) -> list[Markup | None]:
    chance = {"uar": model["chance"], "accuracy": model["chance_accuracy"]}.get(key)
    return score_cell(model[key], chance)


def _interval(model: dict[str, Any]) -> str:
    if model["uar"]["low"] is None:
        return f"none, {formatting.too_few(model)}"
    return f"{model['level']:.0%}, over {counted(model['n_clusters'], model['over'][:-1])}"


def _fusion(model: dict[str, Any]) -> str:
    fusion = model["fusion"]
    if not fusion:
        return NOTHING
    weights, pool = (_listed(fusion.get(name) or {}) for name in ("weights", "pool"))
    method = str(fusion["method"]) + (f": {weights}" if weights else "")
    return method + (f"; pool: {pool}" if pool else "")


def _listed(numbers: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {number:.2f}" for name, number in numbers.items())


def _comparisons(comparisons: list[dict[str, Any]]) -> Markup:
    return el("section", el("h2", "Which is better"), [_comparison(c) for c in comparisons])


def _comparison(c: dict[str, Any]) -> Markup:
    if not c["n_rows"]:
        return el(
            "p", f"{c['first']} and {c['second']} have no recordings in common, so they cannot be compared."
        )
    if c["better"]:
        verdict = f"{c['first']} is better than {c['second']}"
    elif c["worse"]:  # on the common rows; the first has the highest UAR on its own rows
        verdict = f"{c['second']} is better than {c['first']}"
    else:
        verdict = f"{c['first']} and {c['second']} do not differ significantly"
    scores = " and ".join(formatting.number(score) for score in c["uar"])
    facts = (
        f" UAR {scores} on {counted(c['n_rows'], 'common row')}: difference "
        f"{formatting.difference(c['difference'])} ({formatting.intervals_over(c, c['difference'])}), "
        f"{formatting.p_value(c)}."
    )
    return el("p", el("span", verdict + ".", class_="verdict"), facts)


def _details(model: dict[str, Any], number: int) -> Markup:
    subjects, subsets = model["people"], (model["fusion"] or {}).get("subsets")
    strip = None
    if len(subjects) > 1:
        ordered = sorted(subjects, key=lambda s: (s["uar"], s["subject"]))
        low, high = ordered[0], ordered[-1]
        spread = (
            f"UAR of each subject: {low['subject']} {low['uar']:.3f} to {high['subject']} {high['uar']:.3f}"
        )
        picture = subject_strip(subjects, model["uar"]["value"], model["chance"])
        strip = [el("h3", spread), el("div", picture, class_="scroll")]
    return el(
        "section",
        el("h2", model["name"], id=f"model-{number}"),
        trained_part(model),
        dataset_table(model),
        el(
            "div",
            el("div", el("h3", "Each class"), el("div", _class_table(model), class_="scroll")),
            el(
                "div",
                el("h3", "Confusion: per cent of each true class, and rows"),
                el("div", confusion_table(model["confusion"], model["classes"]), class_="scroll"),
            ),
            class_="pair",
        ),
        strip,
        reliability_part(model),
        coverage_part(model),
        subset_table(subsets, model["chance"]) if subsets else None,
    )


def _class_table(model: dict[str, Any]) -> Markup:
    columns = ("precision", "recall", "f1")
    head = el(
        "tr", el("th", ""), [el("th", name, scope="col") for name in ("precision", "recall", "F1", "support")]
    )
    rows = [
        el("tr", el("th", row["class"], scope="row"),
           [el("td", f"{row[c]:.3f}" if row["support"] else "–") for c in columns], el("td", row["support"]))
        for row in model["per_class"]
    ]  # fmt: skip
    present = [row for row in model["per_class"] if row["support"]]
    means = [el("td", f"{sum(row[c] for row in present) / len(present):.3f}") for c in columns]
    total = el("tr", el("th", "mean", scope="row"), means, el("td", model["n_rows"]), class_="total")
    return el("table", el("thead", head), el("tbody", rows, total), class_="numbers")

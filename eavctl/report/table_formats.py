"""The scores of a report as a markdown or LaTeX table, as a flat CSV table, and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from eavctl.evaluation import formatting
from eavctl.printable import printable, utf8
from eavctl.report import markdown
from eavctl.report.html import page_of
from eavctl.report.sentences import counted, joined
from eavctl.storage.ownership import REPORT_COLUMNS, REPORT_JSON, REPORT_LATEX, REPORT_MARKDOWN

TITLES = {"uar": "UAR", "macro_f1": "macro F1", "accuracy": "accuracy"}
_WITHOUT_INTERVAL = (
    "chance",
    "chance_accuracy",
    "weighted_f1",
    "log_loss",
    "brier",
    "classwise_calibration_error",
)
_OF_CLASSES = ("precision", "recall", "f1")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def text_of(found: Mapping[str, Any], ending: str) -> str:
    """A report as the text of a file.

    Parameters
    ----------
    found : result of `eavctl.report.summary.summary`.
    ending : of the file, a key of `FORMATS`; that of a stream is empty, and gives the page.
    """
    return FORMATS.get(ending, page_of)(dict(found))


def markdown_of(found: Mapping[str, Any]) -> str:
    """A table of the models with their intervals, notes on both, and a sentence on each model."""
    models = found["models"]
    rows = [
        [
            markdown.text(model["name"]),
            *(formatting.score(model[key]) for key in TITLES),
            f"{model['n_rows']:,}",
        ]
        for model in models
    ]
    lines = [
        REPORT_MARKDOWN,
        "",
        f"## {markdown.text(found['title'])}",
        "",
        *markdown.table(["model", *TITLES.values(), "rows"], rows),
        *(f"- {markdown.text(note)}" for note in _notes(models)),
        "",
        *(line for model in models for line in (markdown.text(model["sentence"]), "")),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def latex_of(found: Mapping[str, Any]) -> str:
    """A table of the models with their intervals, for a document that loads booktabs."""
    models = found["models"]
    rows = [
        " & ".join([latex(model["name"]), *(formatting.score(model[key]) for key in TITLES)]) + r" \\"
        for model in models
    ]
    caption = ". ".join(latex(text) for text in (found["title"], *_intervals(models)))
    lines = [
        REPORT_LATEX,
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        rf"\caption{{{caption}.}}",
        r"\label{tab:eavctl}",
        r"\centering",
        r"\begin{tabular}{lrrr}",
        r"\toprule",
        " & ".join(["model", *TITLES.values()]) + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def latex(name: object) -> str:
    """A name as LaTeX text, in which nothing is a command."""
    return "".join(_LATEX.get(character, character) for character in printable(str(name)))


def csv_of(found: Mapping[str, Any]) -> str:
    """One row for each score of a model, of a class, or of a data set; the columns are `REPORT_COLUMNS`."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, REPORT_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for model in found["models"]:
        for row in _scores(model):
            writer.writerow({"model": model["name"], **row})
    return utf8(buffer.getvalue())


def json_of(found: Mapping[str, Any]) -> str:
    """All of it as one JSON object."""
    return f"{REPORT_JSON}{json.dumps(found, indent=1, ensure_ascii=True, allow_nan=False)[1:]}\n"


FORMATS: Mapping[str, Callable[[dict[str, Any]], str]] = {
    ".html": page_of,
    ".md": markdown_of,
    ".tex": latex_of,
    ".csv": csv_of,
    ".json": json_of,
}


def _notes(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences on the intervals, and the warnings; each once, with its models unless it is on all."""
    warned = _shared(models, lambda model: [*model["warnings"], *filter(None, [model["published"]])])
    return [*_intervals(models), *warned]


def _intervals(models: Sequence[Mapping[str, Any]]) -> list[str]:
    def told(model: Mapping[str, Any]) -> list[str]:
        over = counted(model["n_clusters"], model["over"][:-1])
        known = f"{model['level']:.0%} intervals over {over}"
        span = known if model["uar"]["low"] is not None else formatting.no_interval(model)
        return [f"{span}; chance (UAR) {formatting.number(model['chance'])}"]

    return _shared(models, told)


def _shared(
    models: Sequence[Mapping[str, Any]], told: Callable[[Mapping[str, Any]], Sequence[str]]
) -> list[str]:
    names_of: dict[str, list[str]] = {}
    for model in models:
        for text in told(model):
            names_of.setdefault(text, []).append(model["name"])
    return [
        text if len(names) == len(models) else f"{joined(names)}: {text}" for text, names in names_of.items()
    ]


def _scores(model: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of a model, but for its name."""
    for key in (*TITLES, "calibration_error"):
        yield _with_interval(key, model[key], model, model["n_rows"])
    for key in _WITHOUT_INTERVAL:
        yield {"metric": key, "value": model[key], "n_rows": model["n_rows"]}
    for each in model["per_class"]:
        for key in _OF_CLASSES:
            yield {"class": each["class"], "metric": key, "value": each[key], "n_rows": each["support"]}
    for each in model["per_dataset"]:
        for key in TITLES:
            yield {"dataset": each["dataset"], **_with_interval(key, each[key], each, each["n_rows"])}
    if over := model["over_datasets"]:
        yield _with_interval("mean_uar_of_datasets", over["uar"], over, model["n_rows"])


def _with_interval(
    metric: str, score: Mapping[str, Any], of: Mapping[str, Any], n_rows: int
) -> dict[str, Any]:
    facts = {"level": of["level"], "over": of["over"], "n_clusters": of["n_clusters"]}
    return {"metric": metric, **score, **facts, "n_rows": n_rows}

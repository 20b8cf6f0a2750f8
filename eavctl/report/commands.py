"""The commands that repeat what a prediction table tells of its making."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

RECORDINGS, WEIGHTS = "RECORDINGS", "WEIGHTS"  # stand for what no table names
USUAL_FEATURES = "functionals"
MODEL_ENDINGS = {"svm": ".joblib", "linear": ".joblib", "dnn": ".pt", "fusion": ".pt"}
OF_WEIGHTS = ("weights", "of")  # settings of feature sets that a pretrained encoder determines


def commands(told: Mapping[str, Any] | None, name: str) -> list[str]:
    """The command lines from the recordings to a prediction table, each once, in their order.

    Parameters
    ----------
    told : result of `eavctl.report.told.training_of`.
    name : of the prediction table, without its ending.

    Returns
    -------
    Lines for a shell; none where a step is not known, or was done in Python with settings that no command
    has. Folders of recordings and of weights, which no table names, are `RECORDINGS` and `WEIGHTS`.
    """
    try:
        return list(dict.fromkeys(_lines(told, name)))
    except _UnknownStepError:
        return []


class _UnknownStepError(Exception):
    """A step that no command line repeats."""


def _lines(told: Mapping[str, Any] | None, name: str) -> Iterator[str]:
    command = told and told["command"]
    if not told or not command or not command["name"] or command["python_only"]:
        raise _UnknownStepError
    for each in told["fused"]:
        yield from _lines(each["training"], each["name"])
    for source in told["inputs"]:
        yield shlex.join(_extract(source))
    yield shlex.join([*_words(command), *_outputs(told, command["name"], name)])


def _words(command: Mapping[str, Any]) -> list[str]:
    return ["eavctl", command["name"], *command["inputs"], *_options(command["options"] or {})]


def _outputs(told: Mapping[str, Any], command: str, name: str) -> list[str]:
    if command in ("fuse", "zero-shot"):
        return ["-o", f"{name}.parquet"]
    model = name.removesuffix("_preds") + MODEL_ENDINGS.get(told["kind"], ".pt")
    return ["-o", model, "--predictions", f"{name}.parquet"]


def _options(options: Mapping[str, Any]) -> Iterator[str]:
    """Options as words: a list repeats its option, and True is an option without a value."""
    for key, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            yield f"--{key.replace('_', '-')}"
            if each is not True:
                yield _text(each)


def _extract(source: Mapping[str, Any]) -> list[str]:
    """The words that make a feature table."""
    events = source["events"] or {}
    if not source["table"] or not source["features"] or None in events.values():
        raise _UnknownStepError
    settings = dict(source["settings"] or {})
    needs_weights = OF_WEIGHTS[0] in settings
    segment, augment = source["segment"] or {}, source["augment"] or {}
    tmin, tmax = source["epoch"] if len(source["epoch"]) == 2 else (None, None)
    hop, layout = segment.get("hop"), source["layout_settings"] or {}
    options = {
        "layout": source["layout"] if "pattern" not in layout else None,
        "pattern": layout.get("pattern"),
        "columns": ",".join(_pairs(layout.get("columns") or {})),
        "features": source["features"] if source["features"] != USUAL_FEATURES else None,
        "set": _pairs({key: value for key, value in settings.items() if key not in OF_WEIGHTS}),
        "weights": WEIGHTS if needs_weights else None,
        "segment": segment.get("seconds"),
        "hop": hop if hop != segment.get("seconds") else None,
        "where": _pairs(source["where"] or {}),
        "events": ",".join(_pairs(events)),
        "tmin": tmin,
        "tmax": tmax,
        "who": (source["who"] or {}).get("phrase"),
        "augment": ",".join(augment.get("alterations") or ()),
        "copies": augment.get("copies"),
        "seed": augment.get("seed"),
        "distinct-names": source["distinct_names"],
    }
    given = {key: value for key, value in options.items() if value not in (None, "", [], False)}
    return ["eavctl", "extract", RECORDINGS, "-o", source["table"], *_options(given)]


def _pairs(settings: Mapping[str, Any]) -> list[str]:
    return [f"{key}={_text(value)}" for key, value in settings.items()]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return value if isinstance(value, str) else json.dumps(value)

"""``eavctl show``: what a file is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit, emit_result, say_plan
from eavctl.cli.options import DryRun, Json
from eavctl.errors import UsageError
from eavctl.evaluation import formatting
from eavctl.evaluation.names import BETWEEN

LONGEST = 6  # entries of a list that are shown; --json shows all


@command(
    "show",
    "eavctl show feats.parquet",
    "eavctl show svm.joblib --json",
    "eavctl show speech-small",
    "eavctl show svm.joblib --markdown",
    "eavctl show encoder.pt",
)
def show(
    file: Annotated[
        Path,
        typer.Argument(
            help="Table (.parquet), model (.joblib, .pt, .onnx), or packaged model: speech or speech-small."
        ),
    ],
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a model's card for a model hub, as README.md.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Show what a table or model is, where it comes from, and what it was trained on."""
    from eavctl.stages.show import card
    from eavctl.stages.show import show as run

    if markdown and as_json:
        raise UsageError("--markdown and --json are two forms of the output: choose one")
    if markdown:
        written = card(file)
        say_plan(f"print the card of {file}", []) if dry_run else emit(written.splitlines())
        return
    facts = run(file)
    if dry_run:
        facts = {key: facts[key] for key in ("file", "kind")}
        say_plan(f"show {file} ({facts['kind']})", [])
    if as_json:
        emit_result("show", [], facts, dry_run=dry_run)
    elif not dry_run:
        emit(_lines(facts))


def _lines(facts: dict[str, Any], indent: str = "") -> list[str]:
    lines = []
    for key, value in facts.items():
        if key in ("subsets", "versus", "zero_shot", "per_dataset", "tuning") and value:
            lines += [f"{indent}{key}:", *(f"{indent}  {line}" for line in _scores(key, value))]
        elif key == "pretraining":
            lines += [f"{key}:", *(f"  {line}" for line in _pretraining(value))]
        elif _is_interval(value):
            written = formatting.difference if key == "difference" else formatting.score
            lines.append(f"{indent}{key}: {written(value)}")
        elif isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", *_lines(value, indent + "  ")]
        elif value not in (None, [], {}):
            lines.append(f"{indent}{key}: {_short(value)}")
    without = [(facts, value) for value in facts.values() if _is_interval(value) and "n_clusters" in facts]
    return [*lines, *(f"{indent}{reason}" for reason in formatting.reasons(without))]


def _pretraining(facts: dict[str, Any]) -> list[str]:
    """The pretraining of an encoder in words, and its settings."""
    from eavctl.pretraining.facts import words

    settings = {key: facts[key] for key in ("method_settings", "settings")}
    return [*words(facts), *_lines(settings)]


def _scores(key: str, value: Any) -> list[str]:
    """Scores as the command that made them prints them."""
    from eavctl.cli.scores import dataset_line, tuning_lines, verdict
    from eavctl.evaluation import zero_shot
    from eavctl.fusion import subsets

    if key == "tuning":
        return tuning_lines(value)
    if key == "versus":
        return [verdict(each) for each in value]
    if key == "per_dataset":
        return [dataset_line(each) for each in value]
    return subsets.lines(value) if key == "subsets" else zero_shot.lines(value)


def _is_interval(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"value", "low", "high"}


def _short(value: Any) -> str:
    if not isinstance(value, list):
        return f"{value:.4g}" if isinstance(value, float) else str(value).replace(BETWEEN, " ").strip()
    shown = ", ".join(_short(each) for each in value[:LONGEST])
    return f"{shown}, ... ({len(value)} in all)" if len(value) > LONGEST else shown

"""What train-svm and train-dnn do alike on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from eavctl.cli.console import emit_json, progress, say, warn
from eavctl.evaluation import formatting

if TYPE_CHECKING:
    from eavctl.classifiers.training import TrainSettings
    from eavctl.stages.train import Evaluation, Fitter, Targets


def run_training(
    table: Path,
    targets: Targets,
    fitter: Fitter,
    evaluation: Evaluation,
    *,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train, and say what came of it."""
    from eavctl.evaluation.names import class_line
    from eavctl.stages.train import plan, train

    if dry_run:
        planned = plan(table, evaluation)
        say(f"would train a {fitter.kind} on {table}: {planned.describe()} -> {targets.model}")
        return
    with progress(f"train {fitter.kind}") as tick:
        result = train(table, targets, fitter, evaluation, force=force, on_fold=tick)
    for text in result.warnings:
        warn(text)
    if as_json:
        emit_json({"out": str(targets.model), "up_to_date": result.up_to_date, **_summary(result.meta)})
    say(class_line(result.meta["class_counts"]))
    say(score_line(result.meta["out_of_fold"]))
    done = "is up to date: " if result.up_to_date else ""
    where = " and ".join(map(str, targets.files))
    say(f"{done}{result.meta['out_of_fold']['n_rows']} out-of-fold rows -> {where}")


def train_settings(**given: Any) -> TrainSettings:
    """Settings of a network's training: those given, and the defaults for what is None."""
    from eavctl.classifiers.training import TrainSettings

    return TrainSettings(**{key: value for key, value in given.items() if value is not None})


def _summary(meta: Any) -> dict[str, Any]:
    return {key: meta[key] for key in ("classes", "class_counts", "protocol", "out_of_fold")}


def score_line(scores: dict[str, Any]) -> str:
    """UAR, macro F1 and accuracy with their intervals, and chance; what others published, if it is known."""
    titles = (("UAR", "uar"), ("macro F1", "macro_f1"), ("accuracy", "accuracy"))
    parts = ", ".join(f"{title} {formatting.score(scores[key])}" for title, key in titles)
    note = formatting.intervals_over(scores, scores["uar"])
    mine = f"{parts} ({note}); chance {formatting.number(scores['chance'])}"
    return "\n".join([mine, *([scores["published"]] if scores["published"] else [])])

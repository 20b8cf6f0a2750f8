"""What the commands that train have in common."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from eavctl.cli.console import emit_result, progress, say, say_plan, warn
from eavctl.evaluation import formatting

if TYPE_CHECKING:
    from eavctl.classifiers.training_loop import TrainSettings
    from eavctl.progress import Tick
    from eavctl.training.train import Planned, Trained


def run_training(
    command: str,
    what: str,
    outputs: Sequence[str | os.PathLike[str] | None],
    plan: Callable[[], Planned],
    train: Callable[[Tick], Trained],
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run a training, or plan it, and print the outcome.

    Parameters
    ----------
    what : is trained on what, for people.
    outputs : the files to write; None for those that are not asked for.
    plan, train : call the stage; ``train`` takes the progress callback.
    """
    from eavctl.evaluation.names import class_line

    files = [path for path in outputs if path is not None]
    if dry_run:
        tell_plan(command, f"train {what}", plan(), files, as_json)
        return
    with progress(f"train {what}") as tick:
        result = train(tick)
    for text in result.warnings:
        warn(text)
    say(class_line(result.meta["class_counts"]))
    tell_scores(result.meta["out_of_fold"])
    done = "is up to date: " if result.up_to_date else ""
    where = " and ".join(map(str, files))
    say(f"{done}{result.meta['out_of_fold']['n_rows']} out-of-fold rows -> {where}")
    if as_json:
        emit_result(command, files, summary(result.meta), up_to_date=result.up_to_date)


def tell_plan(
    command: str, work: str, planned: Planned, outputs: Sequence[Any], as_json: bool, **facts: Any
) -> None:
    """Say what would be trained, ``work`` in a few words."""
    for text in planned.warnings:
        warn(text)
    say_plan(f"{work}: {planned.plan.describe()}", outputs, up_to_date=planned.up_to_date)
    if as_json:
        facts |= {
            "rows": planned.n_rows,
            "folds": len(planned.plan.folds),
            "class_counts": dict(planned.class_counts),
            "protocol": {"name": planned.plan.name, "group": planned.plan.group},
        }
        emit_result(command, outputs, facts, up_to_date=planned.up_to_date, dry_run=True)


def train_settings(**given: Any) -> TrainSettings:
    """Settings of a network's training: those given, and the defaults for what is None."""
    from eavctl.classifiers.training_loop import TrainSettings

    return TrainSettings(**{key: value for key, value in given.items() if value is not None})


@contextlib.contextmanager
def torch_threads(jobs: int | None) -> Iterator[None]:
    """Have torch compute with so many threads in the block; None leaves it at its own, all cores."""
    if jobs is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(jobs)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def summary(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What ``--json`` tells of a trained model."""
    return {key: meta[key] for key in ("classes", "class_counts", "protocol", "out_of_fold")}


def tell_scores(scores: Mapping[str, Any]) -> None:
    """Say the scores; and what others published, if it is known."""
    say(score_line(scores))
    if scores["published"]:
        say(scores["published"])


def score_line(scores: Mapping[str, Any]) -> str:
    """UAR, macro F1 and accuracy with their intervals, and chance."""
    titles = (("UAR", "uar"), ("macro F1", "macro_f1"), ("accuracy", "accuracy"))
    parts = ", ".join(f"{title} {formatting.score(scores[key])}" for title, key in titles)
    note = formatting.intervals_over(scores, scores["uar"])
    return f"{parts} ({note}); chance {formatting.number(scores['chance'])}"

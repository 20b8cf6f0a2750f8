"""What the train- commands and zero-shot share on the command line."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eavctl.cli.console import emit_result, progress, say, say_plan, say_written, warn
from eavctl.cli.options import check_stdout
from eavctl.cli.scores import adapted_lines, print_fusion, print_scores, print_tuning, weights_line
from eavctl.errors import CostWarning

if TYPE_CHECKING:
    from eavctl.classifiers.training_loop import TrainSettings
    from eavctl.progress import Tick
    from eavctl.training.train import Planned, Trained

Outputs = Sequence[str | os.PathLike[str]]


def run_training(
    command: str,
    work: str,
    outputs: Sequence[str | os.PathLike[str] | None],
    plan: Callable[[], Planned],
    train: Callable[[Tick], Trained],
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train, or plan it, and print the outcome.

    Parameters
    ----------
    work : what is trained on what, in a few words that begin with the verb.
    outputs : the files to write; None for those that are not asked for.
    plan, train : call the stage; ``train`` takes the progress callback.
    """
    from eavctl.evaluation.names import class_line

    files = [path for path in outputs if path is not None]
    if dry_run:
        with shown_at_once(CostWarning):
            planned = plan()
        print_plan(command, work, planned, files, as_json)
        return
    with progress(work) as tick, shown_at_once(CostWarning):
        trained = train(tick)
    for text in trained.warnings:
        warn(text)
    meta = trained.meta
    say(class_line(meta["class_counts"]))
    if weights := weights_line(meta.get("fitter") or {}):
        say(weights)
    if fusion := meta.get("fusion"):
        print_fusion(fusion, meta["out_of_fold"])
    else:
        print_scores(meta["out_of_fold"])
    for line in adapted_lines(meta.get("out_of_fold_adapted") or {}):
        say(line)
    if tuning := meta.get("tuning"):
        print_tuning(tuning)
    done = "is up to date: " if trained.up_to_date else ""
    say_written(f"{done}{meta['out_of_fold']['n_rows']} out-of-fold rows", *files)
    if as_json:
        emit_result(command, files, _summary(meta), up_to_date=trained.up_to_date)


def run_on_columns(
    command: str,
    name: str,
    tables: Sequence[str],
    out: Path,
    plan: Callable[..., Planned],
    train: Callable[..., Trained],
    *,
    predictions: Path | None,
    jobs: int,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a classifier of columns, or plan it, and print the outcome.

    Parameters
    ----------
    name : of the classifier, with its article.
    plan, train : of the stage.
    options : keywords of both.
    """
    check_stdout(as_json, out, predictions)
    options["predictions"] = predictions
    run_training(
        command,
        f"train {name} on {', '.join(tables)}",
        [out, predictions],
        lambda: plan(tables, out, **options),
        lambda tick: train(tables, out, jobs=jobs, on_fold=tick, **options),
        dry_run=dry_run,
        as_json=as_json,
    )


@contextlib.contextmanager
def shown_at_once(shown: type[Warning]) -> Iterator[None]:
    """Print each warning of a kind that the block raises, once and when it is raised."""
    before = set[str]()
    with warnings.catch_warnings():  # restores `showwarning`, too
        warnings.simplefilter("always", shown)
        show = warnings.showwarning

        def tell(message: Warning | str, category: type[Warning], *where: Any) -> None:
            if not issubclass(category, shown):
                show(message, category, *where)
            elif str(message) not in before:
                before.add(str(message))
                warn(str(message))

        warnings.showwarning = tell  # type: ignore[assignment]
        yield


def print_plan(command: str, work: str, planned: Planned, outputs: Outputs, as_json: bool) -> None:
    """Print what a dry run found; ``work`` says in a few words what would be done."""
    for text in planned.warnings:
        warn(text)
    streams = f" of {', '.join(planned.streams)}" if planned.streams else ""
    work = f"{work}, {planned.n_rows} rows{streams}"
    say_plan(f"{work}: {planned.plan.describe()}", outputs, up_to_date=planned.up_to_date)
    if as_json:
        facts = {
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
def torch_processes(jobs: int | None, device: str) -> Iterator[None]:
    """As `torch_threads`; and train with the other processes that torchrun has started, if it has."""
    from eavctl import ranks

    with torch_threads(jobs), ranks.joined(device):
        yield


@contextlib.contextmanager
def torch_threads(jobs: int | None) -> Iterator[None]:
    """Let torch compute with this many threads in the block; None leaves the number as it is, all cores."""
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


def _summary(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of a trained model that ``--json`` shows."""
    keys = ("classes", "class_counts", "protocol", "out_of_fold", "out_of_fold_adapted", "fusion", "tuning")
    return {key: meta[key] for key in keys if key in meta}

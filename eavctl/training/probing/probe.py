"""Fit every arm of a probe on every draw of labels, and predict the test rows of every fold."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eavctl.classifiers.rows import Rows
from eavctl.errors import DataError, TrainingWarning
from eavctl.evaluation.plan import Plan
from eavctl.progress import Tick, silent
from eavctl.training.cross_validation import grouped
from eavctl.training.probing.arms import Arm, Task
from eavctl.training.probing.draws import Share, draw
from eavctl.training.probing.fits import Fits


@dataclass(frozen=True)
class Predicted:
    """What all arms predicted.

    Parameters
    ----------
    rows : all rows, with the groups and units of the plan.
    tested : numbers of the rows that a fold tests, shape (n_tested,).
    fold : of the tested rows, shape (n_tested,).
    tasks : the draws of labels.
    answers : class numbers by arm and share of labels, int (n_draws, n_tested).
    """

    rows: Rows
    tested: np.ndarray
    fold: np.ndarray
    tasks: Sequence[Task]
    answers: Mapping[tuple[str, str], np.ndarray]


def count_fits(plan: Plan, arms: Sequence[Arm], shares: Sequence[Share], n_draws: int) -> int:
    """How many fits a probe takes."""
    each = (1 if _is_fitted_once(arm, share) else n_draws for arm in arms for share in shares)
    return len(plan.folds) * sum(each)


def _is_fitted_once(arm: Arm, share: Share) -> bool:
    """All labels are one draw, and an arm that draws no random numbers itself gives the same again."""
    return share.is_all and not arm.draws


def predict_all(
    rows: Rows,
    plan: Plan,
    arms: Sequence[Arm],
    shares: Sequence[Share],
    seeds: Sequence[int],
    facts: Mapping[str, Any],
    fits: Fits,
    on_fit: Tick = silent,
) -> Predicted:
    """Fit every arm on the same draws of labels, and predict the test rows of every fold.

    Parameters
    ----------
    rows : labelled rows with keys.
    plan : their splits.
    seeds : one for each draw of labels.
    facts : JSON-able, what rows and splits depend on.
    fits : finished ones are read there, and kept.
    on_fit : called with the number of fits done, of all, and what comes next.

    Raises
    ------
    DataError : labelled rows that an arm cannot be fitted on; the message names the draw and the arm.
    """
    rows = grouped(rows, plan)
    tested = np.sort(np.concatenate([split.test for split in plan.folds]))
    shape = (len(seeds), len(tested))
    answers = {(arm.name, share.text): np.full(shape, -1) for arm in arms for share in shares}
    fold, tasks = np.zeros(len(tested), int), list(_tasks(rows, plan, shares, seeds))
    n_done, n_fits = 0, count_fits(plan, arms, shares, len(seeds))
    for task in tasks:
        places = np.searchsorted(tested, task.split.test)
        fold[places] = task.split.fold
        for arm in arms:
            mine = answers[arm.name, task.share.text]
            if task.number and _is_fitted_once(arm, task.share):
                mine[task.number, places] = mine[0, places]
                continue

            def note(text: str, what: str = f"{task.name}, {arm.name}", n_done: int = n_done) -> None:
                on_fit(n_done, n_fits, f"{what} {text}".rstrip())

            note("")
            mine[task.number, places] = _answers(arm, replace(task, note=note), facts, fits)
            n_done += 1
    on_fit(n_done, n_fits, "")
    return Predicted(rows, tested, fold, tasks, answers)


def _tasks(rows: Rows, plan: Plan, shares: Sequence[Share], seeds: Sequence[int]) -> Iterator[Task]:
    """Every draw of labels, fold by fold."""
    for split in plan.folds:
        for number, seed in enumerate(seeds):
            for share in shares:
                labelled = draw(rows, split.train, share, (seed, split.fold))
                yield Task(rows, split, share, labelled, number, seed)


def _answers(arm: Arm, task: Task, facts: Mapping[str, Any], fits: Fits) -> np.ndarray:
    """What an arm predicts, fitted now or before."""
    own = {"fold": task.split.fold, "labels": task.share.text, "seed": task.seed}
    known = {**facts, **own, "arm": arm.name, "of": dict(arm.facts)}
    found = fits.read(known, len(task.split.test))
    if found is not None:
        return found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)  # of calibration, which is not used
        try:
            found = arm.predict(task, fits.checkpoint(known))
        except DataError as error:
            raise type(error)(f"{task.name}, {arm.name}: {error}") from error
    fits.write(known, found)
    return found

"""A study: trials of settings in a storage that many processes share, and the best of them.

A study has places, numbered from 0, of which the first ``n_trials`` count. The trial at a place draws its
settings from a seed of its own and the finished trials before it. If its process is killed, the next attempt
at this place takes the same settings. So one process draws the same settings however often it is killed and
started again.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import optuna

from eavctl.errors import DataError, UsageError
from eavctl.training.tuning import owners
from eavctl.training.tuning.proposals import Parameters, Proposal
from eavctl.training.tuning.ranges import Space
from eavctl.training.tuning.trial_store import Attempt, Plan, SupersededError, TrialStore

FIRST_WAIT_S, LONGEST_WAIT_S = 0.01, 2.0  # between looks at the trials of other processes


class Pruned(Exception):  # noqa: N818 - not an error: the trial has ended early
    """The trial is not continued: it is worse than the earlier ones at the same step, or cannot be scored."""


class Trial:
    """One combination of settings, which the objective scores.

    Attributes
    ----------
    values : one value for each setting of the space.
    """

    def __init__(
        self, values: dict[str, Any], proposal: Proposal, record: Callable[[int, float], None]
    ) -> None:
        self.values = values
        self._proposal = proposal
        self._record = record

    def report(self, step: int, value: float) -> None:
        """Record a score on the way, at a step counted from 0; higher is better.

        Raises
        ------
        Pruned : the best so far is below the median of the earlier trials at this step. The objective lets
            it through.
        DataError : not finite.
        StorageError : the storage cannot be written; the objective lets it through.
        """
        _require_finite(value, self.values)
        self._record(step, value)
        if self._proposal.is_hopeless(step, value):
            raise Pruned


@dataclass(frozen=True)
class Best:
    """The best of the counted trials; of equal ones, the first."""

    values: dict[str, Any]
    score: float
    number: int  # from 0, among the counted trials
    n_trials: int
    n_complete: int
    n_pruned: int


class Study:
    """Trials of one space in one storage; `open` creates or continues it."""

    def __init__(self, store: TrialStore, name: str, space: Space, n_trials: int, seed: int) -> None:
        self._store = store
        self._name = name
        self._parameters = Parameters(space)
        self._n_trials = n_trials
        self._seed = seed

    @classmethod
    def open(cls, storage: str, name: str, space: Space, n_trials: int, seed: int) -> Study:
        """Open the study of this name, or create it.

        Parameters
        ----------
        storage : path of a journal file, or the URL of a database, ``sqlite:///study.db``.
        name : the study's name, which must be another one for other data, another space or another seed.
        space : range of each setting.
        n_trials : number of trials that are counted, those of earlier runs and other processes included.
        seed : seed of what is drawn.

        Raises
        ------
        UsageError : no trials or nothing to choose, not a URL, or its database needs a package.
        DataError : the storage is a file of another kind.
        StorageError : it is damaged, or cannot be written or reached.
        """
        if n_trials < 1:
            raise UsageError(f"trials must be 1 or more, not {n_trials}")
        if not Parameters(space).distributions:
            raise UsageError("nothing to tune: every setting has one value")
        with _quiet():
            store = TrialStore(storage, name)
            store.describe({"seed": str(seed)} | {f"range {key}": str(each) for key, each in space.items()})
        return cls(store, name, space, n_trials, seed)

    def run(self, objective: Callable[[Trial], float], on_trial: Callable[[int, int], None]) -> Best:
        """Run trials until ``n_trials`` are finished, here or in other processes, and return the best.

        An exception of the objective ends the run; its trial is run again by the next one.

        Parameters
        ----------
        objective : score of a trial's settings; higher is better. It lets `Pruned` through, and may raise it
            with a reason.
        on_trial : called with the number of finished trials and of all.

        Raises
        ------
        DataError : a score is not finite, or all trials were pruned.
        StorageError : the storage fails.
        """
        wait_s = FIRST_WAIT_S
        n_told = -1
        with _quiet():
            while True:
                attempts = [each for each in self._store.attempts() if each.slot < self._n_trials]
                finished = _by_slot(each for each in attempts if each.is_finished)
                if len(finished) > n_told:
                    n_told = len(finished)
                    on_trial(n_told, self._n_trials)
                if n_told == self._n_trials:
                    return self._best(finished)
                slot = self._open_slot(attempts)
                if slot is None:  # other processes run the last trials
                    time.sleep(wait_s)
                    wait_s = min(2 * wait_s, LONGEST_WAIT_S)
                    continue
                wait_s = FIRST_WAIT_S
                with contextlib.suppress(SupersededError):
                    self._run_one(slot, attempts, objective)

    def _open_slot(self, attempts: list[Attempt]) -> int | None:
        """The first place without a trial, or whose attempts have all failed."""
        taken = {each.slot for each in attempts if not each.has_failed}
        return next((slot for slot in range(self._n_trials) if slot not in taken), None)

    def _run_one(self, slot: int, attempts: list[Attempt], objective: Callable[[Trial], float]) -> None:
        before = _by_slot(each for each in attempts if each.slot < slot and not each.has_failed)
        failed = [each for each in attempts if each.slot == slot]
        proposal = Proposal(
            self._parameters,
            [each.frozen for _, each in sorted(before.items())],
            seed=self._seed,
            name=self._name,
            slot=slot,
            values=failed[0].parameters if failed else None,
        )
        with owners.owned() as owner:
            plan = Plan(slot, proposal.values, self._parameters.distributions, owner)
            attempt = self._store.start(plan, attempts)
            if attempt is not None:
                self._score(attempt, proposal, objective)

    def _score(self, attempt: Attempt, proposal: Proposal, objective: Callable[[Trial], float]) -> None:
        values = self._parameters.settings(proposal.values)
        trial = Trial(values, proposal, lambda step, value: self._store.report(attempt, step, value))
        try:
            with self._beating(attempt):
                score = float(objective(trial))
            _require_finite(score, values)
        except Pruned as pruned:
            self._store.prune(attempt, str(pruned))
        except BaseException:
            with contextlib.suppress(SupersededError, DataError):
                self._store.fail(attempt)
            raise
        else:
            self._store.complete(attempt, score)

    @contextlib.contextmanager
    def _beating(self, attempt: Attempt) -> Iterator[None]:
        """Record now and then, in a thread, that this process lives: for processes on other machines."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(owners.BEAT_S):
                with contextlib.suppress(SupersededError, DataError):  # the main thread will meet it
                    self._store.beat(attempt)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _best(self, finished: dict[int, Attempt]) -> Best:
        complete = {slot: each for slot, each in finished.items() if each.is_complete}
        if not complete:
            reason = next((each.reason for each in finished.values() if each.reason), "")
            raise DataError(
                f"study {self._name}: no trial was completed" + (f" ({reason})" if reason else "")
            )
        slot = max(complete, key=lambda slot: (complete[slot].score, -slot))
        return Best(
            values=self._parameters.settings(complete[slot].parameters),
            score=complete[slot].score,
            number=slot,
            n_trials=len(finished),
            n_complete=len(complete),
            n_pruned=len(finished) - len(complete),
        )


def _by_slot(attempts: Iterator[Attempt]) -> dict[int, Attempt]:
    return {each.slot: each for each in attempts}


def _require_finite(value: float, values: dict[str, Any]) -> None:
    if not math.isfinite(value):
        raise DataError(f"a score is {value} with {values}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from logging every trial to stderr."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)

"""The trials of a study in a storage of Optuna, a journal file or a database, with their owners."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState

from eavctl.errors import DataError, EavctlError, NoSpaceError
from eavctl.storage.files import FULL
from eavctl.training.tuning import owners, storages

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


class StorageError(DataError):
    """The storage is damaged, cannot be written, or cannot be reached."""


class FullStorageError(StorageError, NoSpaceError):
    """The disk of the storage is full."""


class SupersededError(Exception):
    """The trial has been given to another process, which took this one for dead."""


@dataclass(frozen=True)
class Attempt:
    """One run of the trial at one place of the study; a killed one is followed by another attempt."""

    slot: int
    frozen: Any  # Optuna's record

    @property
    def number(self) -> int:
        """Number in Optuna's list of trials, which holds all attempts."""
        return int(self.frozen.number)

    @property
    def has_failed(self) -> bool:
        """Killed, interrupted, or given up for another process's attempt."""
        return bool(self.frozen.state == TrialState.FAIL)

    @property
    def is_finished(self) -> bool:
        """Complete or pruned."""
        return self.frozen.state in FINISHED

    @property
    def is_running(self) -> bool:
        """Not finished, not failed."""
        return bool(self.frozen.state == TrialState.RUNNING)

    @property
    def is_complete(self) -> bool:
        """Finished, and not pruned."""
        return bool(self.frozen.state == TrialState.COMPLETE)

    @property
    def score(self) -> float:
        """The objective's value, if it is complete."""
        return float(self.frozen.value)

    @property
    def parameters(self) -> dict[str, Any]:
        """What was drawn, as Optuna has it."""
        return dict(self.frozen.params)

    @property
    def reason(self) -> str:
        """Why the objective pruned it, if it said so."""
        return str(self.frozen.user_attrs.get("reason", ""))

    @property
    def owner(self) -> dict[str, Any]:
        """The process that runs it, as `owners.owned` yields it."""
        return dict(self.frozen.user_attrs.get("owner", {}))

    @property
    def last_seen(self) -> float:
        """When its process last recorded that it lived, in seconds since 1970."""
        return float(self.frozen.user_attrs.get("last_seen", self.frozen.datetime_start.timestamp()))


@dataclass(frozen=True)
class Plan:
    """An attempt to start: its place, what was drawn, as Optuna has it, and the process that runs it."""

    slot: int
    parameters: dict[str, Any]
    distributions: dict[str, Any]
    owner: dict[str, Any]


class TrialStore:
    """The attempts of one study, as all processes see them.

    Parameters
    ----------
    storage : path of a journal file, or the URL of a database.
    name : name of the study, which is created if it does not exist.

    Raises
    ------
    UsageError : not a URL, or the database needs a package that is not installed.
    DataError : another kind of file.
    StorageError : damaged, not writable, or the database cannot be reached.
    """

    def __init__(self, storage: str, name: str) -> None:
        self.shown = storages.shown(storage)
        with self._errors():
            self._storage = storages.opened(storage)
            self._study = self._found_or_created(name)

    def _found_or_created(self, name: str) -> int:
        with contextlib.suppress(KeyError):
            return int(self._storage.get_study_id_from_name(name))
        with contextlib.suppress(optuna.exceptions.DuplicatedStudyError):  # another process was faster
            self._storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], name)
        return int(self._storage.get_study_id_from_name(name))

    def describe(self, facts: dict[str, str]) -> None:
        """Attach facts to the study, for people who look into the storage."""
        with self._errors():
            known = self._storage.get_study_user_attrs(self._study)
            for key, value in facts.items():
                if known.get(key) != value:
                    self._storage.set_study_user_attr(self._study, key, value)

    def attempts(self) -> list[Attempt]:
        """All attempts in order of their numbers; those of dead processes are marked as failed first."""
        found = self._read()
        dead = [each for each in found if each.is_running and owners.is_gone(each.owner, each.last_seen)]
        for each in dead:
            with contextlib.suppress(SupersededError):  # another process was faster
                self.fail(each)
        return self._read() if dead else found

    def _read(self) -> list[Attempt]:
        with self._errors():
            trials = self._storage.get_all_trials(self._study, deepcopy=False)
        return [Attempt(each.user_attrs["slot"], each) for each in trials if "slot" in each.user_attrs]

    def start(self, plan: Plan, seen: list[Attempt]) -> Attempt | None:
        """Start an attempt, with its owner in the same write; None if another process was faster.

        Parameters
        ----------
        plan : what to run.
        seen : the attempts that were known when this one was planned.
        """
        template = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=plan.parameters,
            distributions=plan.distributions,
            user_attrs={"slot": plan.slot, "owner": plan.owner, "last_seen": round(time.time())},
        )
        with self._errors():
            made = self._storage.create_new_trial(self._study, template)
        now = self._read()
        mine = next(each for each in now if each.frozen._trial_id == made)
        known = {each.number for each in seen}
        faster = [each for each in now if each.slot == plan.slot and each.number < mine.number]
        if all(each.number in known for each in faster):
            return mine
        self.fail(mine)
        return None

    def report(self, attempt: Attempt, step: int, value: float) -> None:
        """Record a score on the way."""
        with self._errors():
            self._storage.set_trial_intermediate_value(attempt.frozen._trial_id, step, value)

    def beat(self, attempt: Attempt) -> None:
        """Record that the attempt's process lives."""
        with self._errors():
            self._storage.set_trial_user_attr(attempt.frozen._trial_id, "last_seen", round(time.time()))

    def complete(self, attempt: Attempt, score: float) -> None:
        """Record the score of an attempt."""
        self._finish(attempt, TrialState.COMPLETE, [score])

    def prune(self, attempt: Attempt, reason: str) -> None:
        """Record that an attempt has been pruned, and why, for people who look into the storage."""
        if reason:
            with self._errors():
                self._storage.set_trial_user_attr(attempt.frozen._trial_id, "reason", reason)
        self._finish(attempt, TrialState.PRUNED, None)

    def fail(self, attempt: Attempt) -> None:
        """Record that an attempt does not count, so that its trial is run again."""
        self._finish(attempt, TrialState.FAIL, None)

    def _finish(self, attempt: Attempt, state: Any, values: list[float] | None) -> None:
        with self._errors():
            self._storage.set_trial_state_values(attempt.frozen._trial_id, state, values)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors of storages as errors of eavctl, without the traceback of a library."""
        try:
            yield
        except optuna.exceptions.UpdateFinishedTrialError:
            raise SupersededError from None
        except EavctlError:
            raise
        except OSError as error:
            text = f"{self.shown}: the study cannot be written ({error.strerror or error})"
            raise (FullStorageError if error.errno in FULL else StorageError)(text) from error
        except (KeyError, ValueError, TypeError, AssertionError) as error:
            raise StorageError(
                f"{self.shown}: damaged, or not a study's; name another or remove it"
            ) from error
        except Exception as error:  # of Optuna, SQLAlchemy, and the packages of databases
            raise StorageError(f"{self.shown}: the database fails ({storages.reason(error)})") from error

"""A study: trials of settings in a storage that many processes share, and the best of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from eavctl.training.tuning.ranges import Space


class Pruned(Exception):  # noqa: N818 - not an error: the trial has ended early
    """The trial is worse than the earlier ones at the same step, and not continued."""


class Trial(Protocol):
    """One combination of settings, which the objective scores."""

    @property
    def values(self) -> dict[str, Any]:
        """The settings: one value for each name of the space."""

    def report(self, step: int, value: float) -> None:
        """Record a score on the way, at a step counted from 0; higher is better.

        Raises
        ------
        Pruned : worse than the median of the earlier trials at this step. The objective lets it through.
        """


@dataclass(frozen=True)
class Best:
    """The best of the counted trials; of equal ones, the first."""

    values: dict[str, Any]
    score: float
    number: int  # from 0, in the order of the counted trials
    n_trials: int
    n_complete: int
    n_pruned: int


class Study:
    """Trials of one space in one storage."""

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
        """
        raise NotImplementedError

    def run(self, objective: Callable[[Trial], float], on_trial: Callable[[int, int], None]) -> Best:
        """Run trials until ``n_trials`` are counted, and return the best.

        Parameters
        ----------
        objective : score of a trial's settings; higher is better.
        on_trial : called with the number of finished trials and of all.
        """
        raise NotImplementedError

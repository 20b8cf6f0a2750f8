"""What a trial draws and when it is pruned: a pure function of the trials before it, on Optuna's TPE."""

from __future__ import annotations

import json
import warnings
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import optuna

from eavctl.training.tuning.ranges import Choice, Fixed, Real, Space, Whole

RANDOM_TRIALS = 10  # drawn at random, before the estimator has enough to learn from
PLAIN = (str, int, float, bool, type(None))


class Parameters:
    """The settings of a space that vary, as parameters of Optuna, and back.

    Attributes
    ----------
    distributions : of each setting that is not fixed, by name.
    """

    def __init__(self, space: Space) -> None:
        self._space = dict(space)
        self.distributions = {
            name: _distribution(each) for name, each in space.items() if not isinstance(each, Fixed)
        }

    def settings(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The value of each setting, in the order of the space, the fixed ones included."""
        return {name: self._value(name, parameters) for name in self._space}

    def _value(self, name: str, parameters: dict[str, Any]) -> Any:
        match self._space[name]:
            case Fixed(value):
                return value
            case Choice(values):
                return values[_labels(values).index(parameters[name])]
            case _:
                return parameters[name]


def _distribution(each: Real | Whole | Choice) -> Any:
    match each:
        case Real(low, high, log):
            return optuna.distributions.FloatDistribution(low, high, log=log)
        case Whole(low, high, log):
            return optuna.distributions.IntDistribution(low, high, log=log)
        case Choice(values):
            return optuna.distributions.CategoricalDistribution(_labels(values))


def _labels(values: tuple[Any, ...]) -> list[Any]:
    """The values of a choice as Optuna stores them: lists as JSON text."""
    return [value if isinstance(value, PLAIN) else json.dumps(value) for value in values]


class Proposal:
    """One trial in a study in memory, which holds copies of the trials before it.

    The shared storage only keeps records: so what is drawn depends neither on the kind of storage nor on the
    numbers that killed trials have used up.

    Parameters
    ----------
    parameters : the space.
    earlier : trials before this one, in order: finished ones, and running ones, near which none is drawn.
    seed : seed of the study.
    name, slot : the study's name, and the trial's place in it; each place has a seed of its own.
    values : the parameters to take; by default they are drawn.
    """

    def __init__(
        self,
        parameters: Parameters,
        earlier: Iterable[Any],
        *,
        seed: int,
        name: str,
        slot: int,
        values: dict[str, Any] | None = None,
    ) -> None:
        own_seed = np.random.SeedSequence([seed, zlib.crc32(name.encode()), slot]).generate_state(1)[0]
        study = optuna.create_study(
            direction="maximize", sampler=_sampler(int(own_seed)), pruner=optuna.pruners.MedianPruner()
        )
        study.add_trials(earlier)
        if values is not None:
            study.enqueue_trial(values)
        self._trial = study.ask(parameters.distributions)
        self.values: dict[str, Any] = self._trial.params

    def is_hopeless(self, step: int, value: float) -> bool:
        """Record a score; whether the best so far is below the median of the other trials at this step."""
        self._trial.report(value, step)
        return bool(self._trial.should_prune())


def _sampler(seed: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            n_startup_trials=RANDOM_TRIALS, multivariate=True, constant_liar=True, seed=seed
        )

"""Fit a classifier with tuned settings: a study on the training rows, then a fit with its best values.

In a cross-validation this is nested: each outer fold has a study of its own, whose inner folds divide the
training rows of that fold alone, and the score on the test rows is that of the whole procedure. Tuning and
scoring on the same folds would report the best of many noisy scores [1]_.

References
----------
.. [1] Cawley, Talbot: On over-fitting in model selection and subsequent selection bias in performance
   evaluation, JMLR 11, 2010.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eavctl.classifiers.calibration import uar
from eavctl.classifiers.inner_folds import N_FOLDS, Fold
from eavctl.classifiers.rows import Rows
from eavctl.errors import CostWarning, DataError, TrainingWarning, UsageError
from eavctl.evaluation.met import Pretrained
from eavctl.evaluation.plan import Plan
from eavctl.progress import Tick, silent
from eavctl.training.cross_validation import Chosen, Fit, check_finite, predicted, training_parts
from eavctl.training.rows import TableFacts
from eavctl.training.train import TableFitter
from eavctl.training.tuning.method import Method
from eavctl.training.tuning.ranges import Choice, Fixed, Space
from eavctl.training.tuning.variants import PREFIX, Variants, rows_of

if TYPE_CHECKING:
    from eavctl.classifiers.training_loop import Epoch  # imports torch, which not all methods need
    from eavctl.training.tuning.study import Best, Trial  # imports Optuna, which a check does not need

WARM_UP = 0.25  # share of the epochs before the first that is reported: all networks begin near chance
MANY_FITS = 100  # are announced


@dataclass(frozen=True)
class TuningFitter:
    """A `eavctl.training.train.TableFitter` that tunes the settings of a classifier on its training rows.

    Parameters
    ----------
    method : what is tuned.
    space : the range of each setting.
    n_trials : in each study.
    seed : of the studies and of their inner folds.
    storage : of the studies, a journal file or the URL of a database (see `Study.open`).
    identity : part of the studies' names: a hash of the table, the evaluation and the settings.
    variants : the features among which settings of the space choose, if any do: the rows then have all.
    checkpoints : see `eavctl.training.train.TableFitter`.
    found : the best of each study, by the name of its fit; filled by the fits.
    """

    method: Method
    space: Space
    n_trials: int
    seed: int
    storage: str = ""
    identity: str = ""
    variants: Variants | None = None
    checkpoints: Path | None = None
    found: dict[str, Best] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The kind of model that is fitted."""
        return self.method.default.kind

    @property
    def name(self) -> str:
        """Name of the method, for titles."""
        return f"{self.method.default.name}, tuned"

    @property
    def encoders(self) -> Sequence[Pretrained]:
        """See `eavctl.training.train.TableFitter`."""
        return self.method.default.encoders

    def describe(self) -> dict[str, Any]:
        """See `eavctl.training.train.TableFitter`."""
        tuning = {
            "method": self.method.name,
            "space": {name: str(each) for name, each in self.space.items()},
            "trials": self.n_trials,
            "inner_folds": N_FOLDS,
            "seed": self.seed,
            **({"variants": self.variants.hashes} if self.variants else {}),
        }
        return {**self.method.default.describe(), "tuned": tuning}

    def check_table(self, facts: TableFacts) -> None:
        """See `eavctl.training.train.TableFitter`."""
        self.method.default.check_table(facts)

    def check(self, rows: Rows, plan: Plan) -> None:
        """See `eavctl.training.train.TableFitter`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CostWarning)  # of a single training; see `announce`
            self.method.default.check(self.default_rows(rows), plan)

    def announce(self, rows: Rows, plan: Plan) -> None:
        """Say in a `CostWarning` how many fits the studies take, if these are many, and how long at least."""
        n_studies = len(plan.folds) + 1
        n_fits = n_studies * self.n_trials * N_FOLDS
        if n_fits < MANY_FITS:
            return
        text = (
            f"up to {n_fits:,} fits of {self.method.name}: {n_studies} studies of {self.n_trials} trials on "
            f"{N_FOLDS} inner folds"
        )
        if self.method.seconds:
            n_trained = [*(len(split.train) for split in plan.folds), len(rows)]
            n_rows = int((1 - 1 / N_FOLDS) * sum(n_trained) / n_studies)  # of an inner fold, on average
            minutes = n_fits * self.method.seconds(n_rows, self.default_rows(rows).table.shape[1]) / 60
            text += f", {minutes:.0f} minutes at least if none is pruned" if minutes >= 1 else ""
        warnings.warn(text, CostWarning, stacklevel=2)

    def with_checkpoints(self, path: Path) -> TuningFitter:
        """See `eavctl.training.train.TableFitter`: trials are in the storage, and begun ones start again."""
        return replace(self, checkpoints=path)

    def fit(self, rows: Rows, fit: Fit) -> Any:
        """See `eavctl.training.train.TableFitter`."""
        chosen = self.search(rows, fit).values
        fitter = self.fitter(chosen)
        if self.checkpoints:
            fitter = fitter.with_checkpoints(self.checkpoints)
        return Chosen(
            fitter.fit(self.rows(rows, chosen), fit),
            lambda rows: self.rows(rows, chosen),
            lambda facts: self._facts(facts, chosen),
        )

    def fitter(self, values: Mapping[str, Any]) -> TableFitter:
        """The fitter with a trial's values."""
        return self.method.with_values(
            {name: value for name, value in values.items() if not name.startswith(PREFIX)}
        )

    def default_rows(self, rows: Rows) -> Rows:
        """The rows with the features of the default settings."""
        return rows_of(rows, 0) if self.variants else rows

    def rows(self, rows: Rows, values: Mapping[str, Any]) -> Rows:
        """The rows with the features of a trial's values."""
        return rows_of(rows, self.variants.number(values)) if self.variants else rows

    def _facts(self, facts: TableFacts, values: Mapping[str, Any]) -> TableFacts:
        facts = self.variants.facts[self.variants.number(values)] if self.variants else facts
        return self.method.facts(values, facts)

    def search_all(self, rows: Rows, plan: Plan, on_trial: Tick = silent) -> None:
        """Run the studies of all fits, so that the fits themselves find them finished.

        Processes with the same storage share the trials.

        Parameters
        ----------
        on_trial : called with the number of finished trials, of all, and a note.
        """
        n_trials = (len(plan.folds) + 1) * self.n_trials
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrainingWarning)  # the fits raise them again
            for number, (part, fit) in enumerate(training_parts(rows, plan)):

                def tick(done: int, of: int, note: str, number: int = number, name: str = fit.name) -> None:
                    on_trial(number * of + done, n_trials, f"{name}, {done} of {of} trials")

                self.search(part, fit, tick)

    def search(self, rows: Rows, fit: Fit, on_trial: Tick = silent) -> Best:
        """Run the study of a fit, or what is left of it, and return its best trial.

        Parameters
        ----------
        rows : the training rows of the fit, with the groups that inner folds keep whole.
        on_trial : called with the number of finished trials, and of all.

        Raises
        ------
        DataError : the rows cannot be split, or no trial could be fitted.
        """
        from eavctl.training.tuning.study import Study

        folds = rows.inner.folds(self.seed)
        name = f"{self.method.name} {fit.name} {self.identity[:12]}".rstrip()
        study = Study.open(self.storage, name, self.space, self.n_trials, self.seed)
        objective = _Objective(self, rows, folds, fit)
        self.found[fit.name] = study.run(objective, lambda done, of: on_trial(done, of, ""))
        return self.found[fit.name]

    @property
    def stride(self) -> int:
        """Steps that a trial reports in an inner fold: its epochs, and the score of the fold's test rows."""
        asked = self.space.get("epochs")
        if asked is None:
            return self.method.epochs + 1
        if isinstance(asked, Fixed):
            return int(asked.value) + 1
        return int(max(asked.values) if isinstance(asked, Choice) else asked.high) + 1


@dataclass
class _Objective:
    """The score of a trial: UAR of the rows that inner folds test, by models of the trial's settings.

    Settings that cannot be fitted, such as a learning rate with which the loss becomes infinite, end the
    trial as one that is pruned.
    """

    tuning: TuningFitter
    rows: Rows
    folds: Sequence[Fold]
    fit: Fit

    def __call__(self, trial: Trial) -> float:
        """Fit and score every inner fold."""
        from eavctl.training.tuning.study import Pruned
        from eavctl.training.tuning.trial_store import StorageError

        try:
            fitter, rows = self.tuning.fitter(trial.values), self.tuning.rows(self.rows, trial.values)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", TrainingWarning)
                return self._score(fitter, rows, trial)
        except StorageError:
            raise
        except (DataError, UsageError) as error:
            raise Pruned(str(error)) from error

    def _score(self, fitter: TableFitter, rows: Rows, trial: Trial) -> float:
        answers = np.full(len(rows), None, dtype=object)
        score = math.nan
        for number, (train, test) in enumerate(self.folds):
            part, tested = rows.taking(train), rows.taking(test)
            fit = replace(
                self.fit,
                name=f"inner fold {number + 1}",
                tested=tested.key_frame,
                note=lambda text: None,
                on_epoch=self._reporting(trial, number),
            )
            predictor = fitter.fit(part.with_inner_groups(), fit)
            proba = predicted(predictor, tested.x)
            check_finite(proba, fit.name)
            answers[test] = predictor.classes_[predictor.decide(proba)]
            score = self._uar(answers)
            if number + 1 < len(self.folds):
                trial.report((number + 1) * self.tuning.stride - 1, score)
        return score

    def _reporting(self, trial: Trial, fold: int) -> Callable[[Epoch], None]:
        """Reports the validation UAR of the epochs of the first member, after a warm-up.

        Few rows are trained for more epochs than a fit has by default; the later ones are not reported.
        """
        stride = self.tuning.stride

        def report(epoch: Epoch) -> None:
            score = epoch.scores.get("UAR", math.nan)
            if epoch.member == 0 and WARM_UP * stride < epoch.epoch < stride and math.isfinite(score):
                trial.report(fold * stride + epoch.epoch - 1, score)

        return report

    def _uar(self, answers: np.ndarray) -> float:
        """UAR of the rows that have an answer."""
        rows = np.flatnonzero(answers != None)  # noqa: E711 - elementwise
        return uar(answers[rows].astype(str), self.rows.labels[rows])

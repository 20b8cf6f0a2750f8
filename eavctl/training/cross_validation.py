"""Cross-validation: a classifier is fitted and scored fold by fold, out of rows in memory.

Whatever is fitted (scaling, choice of settings, calibration) is fitted inside the fitter, on training rows
only; the test rows of a fold are predicted once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from eavctl.classifiers.rows import KeysOf, Rows
from eavctl.classifiers.streams import Features, present_rows
from eavctl.errors import DataError
from eavctl.evaluation import leakage
from eavctl.evaluation.groups import n_identities
from eavctl.evaluation.plan import Plan, Split
from eavctl.evaluation.protocols import splits
from eavctl.memory import return_freed_memory
from eavctl.progress import Tick, silent
from eavctl.storage.tables import PredictionTable
from eavctl.training.clips import clips_of, concatenated, with_classes
from eavctl.training.fit_warnings import FitWarnings
from eavctl.training.rows import TableFacts

if TYPE_CHECKING:
    from eavctl.classifiers.training_loop import Epoch  # imports torch, which not all fitters need

ALL_ROWS = "all rows"
UNTESTED = -1  # the fold of a row that no fold tests
PREDICTED_ROWS = 2048  # at a time: the test rows of a large table are not held twice


@dataclass(frozen=True)
class Evaluation:
    """How rows are split.

    Parameters
    ----------
    protocol, folds, group, distinct_names : as `eavctl.evaluation.protocols.splits` takes them.
    seed : of the splits.
    shared : data sets, subjects and clips that a pretrained encoder may have met, as
        `eavctl.evaluation.met.met` takes them.
    """

    protocol: str = "auto"
    folds: int = 5
    group: str | None = None
    seed: int = 42
    distinct_names: bool = False
    shared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fit:
    """One fit of a cross-validation.

    Parameters
    ----------
    name : ``fold 1``, say, or ``all rows``.
    tested : keys of the rows that the fitted model will be scored on, as `Rows.keys` has them; none for the
        fit on all rows.
    shares : the protocol allows, by its name, a subject on both sides.
    note : called with a few words on the progress of the fit.
    on_epoch : called after each epoch of a network; may raise an exception, which ends the fit.
    """

    name: str
    tested: pd.DataFrame | KeysOf
    shares: bool
    note: Callable[[str], None] = lambda text: None
    on_epoch: Callable[[Epoch], None] = lambda epoch: None

    def epoch_ended(self, epoch: Epoch) -> None:
        """Pass an epoch on to the callbacks."""
        self.note(str(epoch))
        self.on_epoch(epoch)

    @property
    def test_keys(self) -> pd.DataFrame:
        """The keys of the tested rows, as a frame, which few fitters look at."""
        return self.tested.frame if isinstance(self.tested, KeysOf) else self.tested

    @property
    def slug(self) -> str:
        """The name as a part of a file's."""
        return self.name.replace(" ", "-")


class FittedClassifier(Protocol):
    """What a fitter returns."""

    classes_: np.ndarray

    def predict_proba(self, x: Any) -> np.ndarray:
        """Class probabilities, float64 (n_rows, n_classes)."""
        ...

    def decide(self, proba: np.ndarray) -> np.ndarray:
        """The answers to probabilities (n_rows, n_classes), class numbers, shape (n_rows,)."""
        ...


class Fitter(Protocol):
    """Fits a classifier on training rows."""

    def check(self, rows: Rows, plan: Plan) -> None:
        """Raise a DataError, LeakError or UsageError if these rows, split so, cannot be fitted on."""
        ...

    def fit(self, rows: Rows, fit: Fit) -> Any:
        """Fit on training rows; returns a `FittedClassifier`, or one that is `Chosen`."""
        ...


@dataclass(frozen=True)
class Chosen:
    """A classifier that takes other features of the rows than those that were given, or other settings.

    Parameters
    ----------
    predictor : a `FittedClassifier`.
    rows : the rows as the predictor takes them.
    facts : what outputs say of the features, for the predictor.
    """

    predictor: Any
    rows: Callable[[Rows], Rows]
    facts: Callable[[TableFacts], TableFacts]


@dataclass(frozen=True)
class FoldResult:
    """A fold that was fitted and scored.

    Parameters
    ----------
    split : which rows, by their numbers.
    fit : as the fitter got it.
    predictor : what was fitted.
    train, test : the rows, as the predictor takes them.
    proba : of the test rows, float64 (n_test, n_classes of the predictor).
    """

    split: Split
    fit: Fit
    predictor: Any
    train: Rows
    test: Rows
    proba: np.ndarray


FoldCallback = Callable[[FoldResult], None]


@dataclass(frozen=True)
class CrossValidation:
    """The out-of-fold predictions of a cross-validation.

    Parameters
    ----------
    predictions : of the rows that a fold tested.
    clips : of the clips, by the mean over their rows; the same where each row is a clip.
    plan : the splits.
    """

    predictions: PredictionTable
    clips: PredictionTable
    plan: Plan


def cross_validate(
    rows: Rows,
    fitter: Fitter,
    evaluation: Evaluation | Plan,
    *,
    callbacks: Sequence[FoldCallback] = (),
    warnings: FitWarnings | None = None,
    on_fold: Tick = silent,
) -> CrossValidation:
    """Fit and score a classifier fold by fold.

    Parameters
    ----------
    rows : labelled rows with keys, as `eavctl.training.rows.read_training_set` reads them.
    fitter : is given the training rows of each fold.
    evaluation : how to split the rows, or the splits themselves as `plan_folds` made them.
    callbacks : called with each `FoldResult`, whose predictor is not kept.
    warnings : collects the warnings of the fits; by default they are raised as usual.
    on_fold : called with the number of folds done, of all, and what comes next.

    Raises
    ------
    LeakError : a subject, clip or trial is on both sides of a split whose protocol does not allow it by name.
    DataError : rows that do not fit the protocol or the fitter, or probabilities that are not finite.
    """
    plan = evaluation if isinstance(evaluation, Plan) else plan_folds(rows, evaluation)
    rows = grouped(rows, plan)
    fitter.check(rows, plan)
    keys, classes, n_folds = rows.key_frame, rows.answered, len(plan.folds)
    proba = np.full((len(rows), len(classes)), np.nan)
    pred, fold = np.full(len(rows), None, dtype=object), np.full(len(rows), UNTESTED)
    clips: list[PredictionTable] = []
    has_segments = n_identities(keys, "clip_id") < len(keys)
    for number, split in enumerate(plan.folds):
        name = f"fold {split.fold}"

        def note(text: str, number: int = number, name: str = name) -> None:
            on_fold(number, n_folds, f"{name} {text}")

        train, test = rows.taking(split.train), rows.taking(split.test)
        assert test.keys is not None  # the rows have some
        fit = Fit(name, test.keys, plan.shares, note)
        predictor = _fitted(fitter, train, fit, warnings)
        if isinstance(predictor, Chosen):
            train, test, predictor = predictor.rows(train), predictor.rows(test), predictor.predictor
        found = predicted(predictor, test.x)
        check_finite(found, name)
        proba[split.test] = with_classes(found, predictor.classes_, classes)
        pred[split.test] = predictor.classes_.astype(object)[predictor.decide(found)]
        fold[split.test] = split.fold
        if has_segments:
            clips.append(clips_of(test.key_frame, found, predictor))
        for callback in callbacks:
            callback(FoldResult(split, fit, predictor, train, test, found))
        return_freed_memory()
    on_fold(n_folds, n_folds, "")
    tested = np.flatnonzero(fold != UNTESTED)
    if len(tested) < len(keys):
        keys, proba, pred = keys.iloc[tested].reset_index(drop=True), proba[tested], pred[tested]
    keys = keys.assign(fold=pd.array(fold[tested], "Int64"))
    predictions = PredictionTable(keys, proba, classes, pred=pred)
    return CrossValidation(predictions, concatenated(clips, classes) if clips else predictions, plan)


def training_parts(rows: Rows, plan: Plan) -> Iterator[tuple[Rows, Fit]]:
    """The training rows of each fold, then all rows, each with its fit, as a fitter is given them."""
    rows = grouped(rows, plan)
    for split in plan.folds:
        test_keys = rows.taking(split.test).key_frame
        fit = Fit(f"fold {split.fold}", test_keys, plan.shares)
        yield rows.taking(split.train).with_inner_groups(), fit
    yield rows.with_inner_groups(), Fit(ALL_ROWS, rows.key_frame.iloc[:0], plan.shares)


def fit_all(
    rows: Rows,
    fitter: Fitter,
    plan: Plan,
    *,
    warnings: FitWarnings | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Any:
    """Fit on all rows, with the groups and units of a plan; returns what the fitter does.

    Raises
    ------
    DataError : as the fitter.
    """
    rows = grouped(rows, plan)
    nothing = rows.key_frame.iloc[:0]
    return _fitted(fitter, rows, Fit(ALL_ROWS, nothing, plan.shares, note), warnings)


def grouped(rows: Rows, plan: Plan) -> Rows:
    """The rows with the groups and units of a plan."""
    return replace(rows, groups=plan.groups, units=plan.units, people=plan.people)


def plan_folds(rows: Rows, evaluation: Evaluation) -> Plan:
    """Split labelled rows, and check that nothing leaks through the splits.

    Raises
    ------
    LeakError : a subject, clip or trial is on both sides of a split whose protocol does not allow it by name.
    DataError, UsageError : as `eavctl.evaluation.protocols.splits`.
    """
    keys = rows.key_frame
    plan = splits(
        keys,
        evaluation.protocol,
        folds=evaluation.folds,
        group=evaluation.group,
        seed=evaluation.seed,
        distinct_names=evaluation.distinct_names,
        untested=rows.copies,
    )
    checks: list[leakage.LeakCheck | leakage.ContentCheck] = [
        leakage.LeakCheck(keys, allow=plan.allow, group=plan.group),
        *(leakage.ContentCheck(array, keys, present) for array, present in present_rows(rows.x)),
    ]
    for check, split in itertools.product(checks, plan.folds):
        check.check(split.train, split.test)
    return_freed_memory()
    return plan


def check_finite(proba: np.ndarray, where: str) -> None:
    """Refuse probabilities (n_rows, n_classes) that are not finite: no row may drop out of a score.

    Raises
    ------
    DataError : says ``where``, such as the fold, and how many rows it is.
    """
    bad = int((~np.isfinite(proba).all(axis=1)).sum())
    if bad:
        raise DataError(
            f"{where}: the probabilities of {bad} of {len(proba)} rows are not finite.\n"
            "Train with a lower --lr; where that does not help, look for features of enormous values."
        )


def predicted(predictor: Any, x: Features) -> np.ndarray:
    """Class probabilities of features, float64 (n_rows, n_classes)."""
    parts = [slice(start, start + PREDICTED_ROWS) for start in range(0, len(x), PREDICTED_ROWS)]
    return np.concatenate([predictor.predict_proba(x[part]) for part in parts])


def _fitted(fitter: Fitter, rows: Rows, fit: Fit, warnings: FitWarnings | None) -> Any:
    fit.note("")
    try:
        if warnings is None:
            return fitter.fit(rows.with_inner_groups(), fit)
        with warnings.of(fit.name):
            return fitter.fit(rows.with_inner_groups(), fit)
    except DataError as error:
        raise type(error)(f"{fit.name}: {error}") from error

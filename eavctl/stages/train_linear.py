"""Feature tables to a logistic regression."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from eavctl.progress import Tick, silent
from eavctl.storage.paths import Paths
from eavctl.training import train as training
from eavctl.training.cross_validation import Evaluation
from eavctl.training.linear_fitter import LinearFitter
from eavctl.training.rows import EQUAL, TrainingSet
from eavctl.training.told import command
from eavctl.training.train import Planned, Targets, Trained

CENTRED = "centred"


def train_linear(
    tables: Paths,
    out: str | os.PathLike[str] | None,
    *,
    predictions: str | os.PathLike[str] | None = None,
    evaluation: Evaluation | None = None,
    normalize: str | None = None,
    labels: Mapping[str, str | None] | None = None,
    corpora: str = EQUAL,
    answers: Sequence[str] = (),
    step: str | None = None,
    jobs: int = 1,
    force: bool = False,
    on_fold: Tick = silent,
) -> Trained:
    """Train a logistic regression, scored on held-out folds.

    Parameters
    ----------
    tables : feature table with columns, one a feature; or several, which are stacked.
    out : model file (.joblib) to write; None writes no model.
    predictions : prediction table (.parquet) to write, out of fold.
    evaluation : how rows are split, and the seed.
    normalize, labels : see `eavctl.training.rows.read_training_set`.
    corpora : as there, or ``"centred"``: data sets count alike, and each is centred by its own mean.
    answers : classes that the model answers, by default all; the others are trained on, and never tested.
    step : what is made of covariances, ``"tangent"`` or ``"csp"``; by default the former.
    jobs : threads; the result does not depend on it.
    force : overwrite files that eavctl did not write, and train even if up to date.
    on_fold : called with the number of fits done, of all, and what comes next.

    Raises
    ------
    LeakError : a subject, clip or trial is on both sides of a split whose protocol does not allow it by name.
    DataError : a table that cannot be read, holds tensors, or does not fit the protocol.
    UsageError : an output that must not be overwritten, or whose name does not end in .joblib.
    """
    evaluation = evaluation or Evaluation()
    targets = Targets(out, predictions)
    fitter = LinearFitter(evaluation.seed, jobs, corpora == CENTRED, step=step)
    data = _rows(tables, targets, fitter, force, corpora, normalize=normalize, labels=labels, answers=answers)
    asked = command(
        "train-linear",
        tables,
        evaluation,
        normalize=normalize,
        labels=labels,
        corpora=corpora,
        answers=",".join(answers),
        step=step,
    )
    fitter = fitter.taking(**data.facts.feature_set)
    return training.train(data, targets, fitter, evaluation, command=asked, force=force, on_fold=on_fold)


def plan(
    tables: Paths,
    out: str | os.PathLike[str] | None,
    *,
    predictions: str | os.PathLike[str] | None = None,
    evaluation: Evaluation | None = None,
    normalize: str | None = None,
    labels: Mapping[str, str | None] | None = None,
    corpora: str = EQUAL,
    answers: Sequence[str] = (),
    step: str | None = None,
    force: bool = False,
) -> Planned:
    """What `train_linear` would do of the same parameters; nothing is fitted or written.

    Raises
    ------
    LeakError, DataError, UsageError : where `train_linear` raises them before it fits.
    """
    evaluation = evaluation or Evaluation()
    targets = Targets(out, predictions)
    fitter = LinearFitter(evaluation.seed, centred=corpora == CENTRED, step=step)
    data = _rows(tables, targets, fitter, force, corpora, normalize=normalize, labels=labels, answers=answers)
    return training.plan(data, targets, fitter.taking(**data.facts.feature_set), evaluation, force=force)


def _rows(
    tables: Paths, targets: Targets, fitter: LinearFitter, force: bool, corpora: str, **choices: Any
) -> TrainingSet:
    """The rows of the tables; data sets that are centred count alike."""
    corpora = EQUAL if fitter.centred else corpora
    choices |= {"corpora": corpora, "stored": True}
    return training.guarded_rows(tables, targets, fitter, force=force, **choices)

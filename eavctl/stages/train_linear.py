"""A feature table to a logistic regression."""

from __future__ import annotations

import os

from eavctl.progress import Tick, silent
from eavctl.training import train as training
from eavctl.training.cross_validation import Evaluation
from eavctl.training.linear_fitter import LinearFitter
from eavctl.training.rows import read_training_set
from eavctl.training.train import Planned, Targets, Trained


def train_linear(
    table: str | os.PathLike[str],
    out: str | os.PathLike[str] | None,
    *,
    predictions: str | os.PathLike[str] | None = None,
    evaluation: Evaluation | None = None,
    normalize: str | None = None,
    jobs: int = 1,
    force: bool = False,
    on_fold: Tick = silent,
) -> Trained:
    """Train a logistic regression, scored on held-out folds.

    Parameters
    ----------
    table : feature table with columns, one a feature.
    out : model file (.joblib) to write; None writes no model.
    predictions : prediction table (.parquet) to write, out of fold.
    evaluation : how rows are split, and the seed.
    normalize : ``"speaker"`` standardises the features of each speaker by that speaker's own rows.
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
    targets, fitter = Targets(out, predictions), LinearFitter(evaluation.seed, jobs)
    training.guard(targets, fitter, [table], force=force)
    data = read_training_set(table, normalize=normalize)
    return training.train(data, targets, fitter, evaluation, force=force, on_fold=on_fold)


def plan(
    table: str | os.PathLike[str],
    out: str | os.PathLike[str] | None,
    *,
    predictions: str | os.PathLike[str] | None = None,
    evaluation: Evaluation | None = None,
    normalize: str | None = None,
    force: bool = False,
) -> Planned:
    """What `train_linear` would do of the same parameters; nothing is fitted or written.

    Raises
    ------
    LeakError, DataError, UsageError : where `train_linear` raises them before it fits.
    """
    evaluation = evaluation or Evaluation()
    targets, fitter = Targets(out, predictions), LinearFitter(evaluation.seed)
    training.guard(targets, fitter, [table], force=force)
    data = read_training_set(table, normalize=normalize)
    return training.plan(data, targets, fitter, evaluation, force=force)

"""Feature tables to a support vector machine."""

from __future__ import annotations

import os
from collections.abc import Mapping

from eavctl.progress import Tick, silent
from eavctl.storage.paths import Paths
from eavctl.training import train as training
from eavctl.training.cross_validation import Evaluation
from eavctl.training.rows import EQUAL
from eavctl.training.svm_fitter import SvmFitter
from eavctl.training.told import command
from eavctl.training.train import Planned, Targets, Trained


def train_svm(
    tables: Paths,
    out: str | os.PathLike[str] | None,
    *,
    predictions: str | os.PathLike[str] | None = None,
    evaluation: Evaluation | None = None,
    normalize: str | None = None,
    labels: Mapping[str, str | None] | None = None,
    corpora: str = EQUAL,
    step: str | None = None,
    jobs: int = 1,
    force: bool = False,
    on_fold: Tick = silent,
) -> Trained:
    """Train a support vector machine, scored on held-out folds.

    Parameters
    ----------
    tables : feature table with columns, one a feature; or several, which are stacked.
    out : model file (.joblib) to write; None writes no model.
    predictions : prediction table (.parquet) to write, out of fold.
    evaluation : how rows are split, and the seed.
    normalize, labels, corpora : see `eavctl.training.rows.read_training_set`.
    step : what is made of covariances, ``"tangent"`` or ``"csp"``; by default the former.
    jobs : processes; the result does not depend on it.
    force : overwrite files that eavctl did not write, and train even if up to date.
    on_fold : called with the number of fits done, of all, and what comes next.

    Raises
    ------
    LeakError : a subject, clip or trial is on both sides of a split whose protocol does not allow it by name.
    DataError : a table that cannot be read, holds tensors, or does not fit the protocol.
    UsageError : an output that must not be overwritten, or whose name does not end in .joblib.
    """
    evaluation = evaluation or Evaluation()
    targets, fitter = Targets(out, predictions), SvmFitter(evaluation.seed, jobs, step=step)
    data = training.guarded_rows(
        tables, targets, fitter, normalize=normalize, labels=labels, corpora=corpora, force=force
    )
    asked = command(
        "train-svm", tables, evaluation, normalize=normalize, labels=labels, corpora=corpora, step=step
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
    step: str | None = None,
    force: bool = False,
) -> Planned:
    """What `train_svm` would do of the same parameters; nothing is fitted or written.

    Raises
    ------
    LeakError, DataError, UsageError : where `train_svm` raises them before it fits.
    """
    evaluation = evaluation or Evaluation()
    targets, fitter = Targets(out, predictions), SvmFitter(evaluation.seed, step=step)
    data = training.guarded_rows(
        tables, targets, fitter, normalize=normalize, labels=labels, corpora=corpora, force=force
    )
    return training.plan(data, targets, fitter.taking(**data.facts.feature_set), evaluation, force=force)

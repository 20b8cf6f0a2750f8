"""Feature tables of several modalities to one fusion network, scored with every subset of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from eavctl.classifiers.training_loop import TrainSettings
from eavctl.progress import Tick, silent
from eavctl.training import train as training
from eavctl.training.cross_validation import Evaluation
from eavctl.training.fusion_fitter import FusionFitter, FusionScores
from eavctl.training.fusion_setup import FusionSetup
from eavctl.training.joined_tables import JoinedTables
from eavctl.training.rows import EQUAL, TrainingSet
from eavctl.training.sources import file_name
from eavctl.training.told import assignments, command
from eavctl.training.train import Planned, Targets, Trained

METHOD = "attention"  # the default
INIT_SETTINGS = TrainSettings(epochs=10, lr=5e-4)
"""The default settings where streams start from trained models."""


def train_fusion(
    tables: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    method: str = METHOD,
    encoders: Sequence[str] = (),
    size: str | None = None,
    init: Sequence[str | os.PathLike[str]] = (),
    partial: bool = False,
    network_settings: Mapping[str, Any] | None = None,
    labels: Mapping[str, str | None] | None = None,
    corpora: str = EQUAL,
    settings: TrainSettings | None = None,
    evaluation: Evaluation | None = None,
    predictions: str | os.PathLike[str] | None = None,
    log_dir: Path | None = None,
    force: bool = False,
    on_fold: Tick = silent,
) -> Trained:
    """Train a fusion network on feature tables, scored on held-out folds with every subset of the tables.

    Parameters
    ----------
    tables : two or more feature tables, one a stream, joined on ``sample_id``.
    out : the model file to write (.pt).
    method : a registered fusion network.
    encoders : one a table, in the order of the tables; none: chosen by the tables' feature sets.
    size : base or tiny, of encoders that have sizes and are trained from scratch.
    init : models of train-dnn from which streams start, each matched to a table by its features.
    partial : also train on samples with a missing modality.
    network_settings : keywords of the method's class, such as ``{"contrastive": 0.1}``.
    labels, corpora : as in `eavctl.training.rows.read_training_set`.
    settings : of the training; by default `TrainSettings`, or `INIT_SETTINGS` with ``init``.
    evaluation : the protocol of the folds; by default `Evaluation`.
    predictions : also write the out-of-fold predictions to this table.
    log_dir : folder for TensorBoard scalars.
    force : overwrite files not written by eavctl; train even if up to date.
    on_fold : called with the number of fits done, of all, and a note on the next.

    Returns
    -------
    The trained model's metadata, whose ``fusion`` has the weights of the streams, the scores of every subset
    and the comparison with the models of ``init``; warnings; and the out-of-fold predictions.

    Raises
    ------
    LeakError : as in `eavctl.training.train.train`; also a model of ``init`` that was trained on
        test rows.
    DataError, UsageError : tables that do not fit together, encoders that do not fit the tables or the
        method, or an output that cannot be written.
    """
    setup = FusionSetup(
        tables, method, encoders, size, init, partial, network_settings or {}, labels or {}, corpora,
        single_models=True, seed=settings.seed if settings else TrainSettings().seed,
    )  # fmt: skip
    targets, settings = Targets(out, predictions), settings or _default_settings(setup)
    joined, fitter = prepare(setup, targets, settings, log_dir, force)
    asked = command(
        "train-fusion",
        tables,
        evaluation,
        network=settings,
        labels=labels,
        corpora=corpora,
        method=method if method != METHOD else None,
        encoder=list(encoders),
        size=size,
        set=assignments(network_settings or {}),
        partial=partial,
        init=[file_name(path) for path in init],
    )
    return training.train(
        joined.data,
        targets,
        fitter,
        evaluation or Evaluation(),
        command=asked,
        observers=[FusionScores(fitter, joined)],
        force=force,
        on_fold=on_fold,
    )


def plan(
    tables: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    method: str = METHOD,
    encoders: Sequence[str] = (),
    size: str | None = None,
    init: Sequence[str | os.PathLike[str]] = (),
    partial: bool = False,
    network_settings: Mapping[str, Any] | None = None,
    labels: Mapping[str, str | None] | None = None,
    corpora: str = EQUAL,
    settings: TrainSettings | None = None,
    evaluation: Evaluation | None = None,
    predictions: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Planned:
    """What `train_fusion` would do with the same parameters; nothing is fitted or written.

    Raises
    ------
    LeakError, DataError, UsageError : where `train_fusion` raises them before it fits.
    """
    setup = FusionSetup(
        tables, method, encoders, size, init, partial, network_settings or {}, labels or {}, corpora,
        single_models=True, seed=settings.seed if settings else TrainSettings().seed,
    )  # fmt: skip
    targets, settings = Targets(out, predictions), settings or _default_settings(setup)
    joined, fitter = prepare(setup, targets, settings, None, force)
    return training.plan(joined.data, targets, fitter, evaluation or Evaluation(), force=force)


def _default_settings(setup: FusionSetup) -> TrainSettings:
    return INIT_SETTINGS if setup.init else TrainSettings()


def prepare(
    setup: FusionSetup, targets: Targets, settings: TrainSettings, log_dir: Path | None, force: bool
) -> tuple[JoinedTables, FusionFitter]:
    """Check the outputs and join the tables.

    Returns
    -------
    The joined rows, whose facts name each stream's encoder, and the fitter of the network.

    Raises
    ------
    DataError, UsageError : as `train_fusion`.
    """
    joined = setup.join()
    fitter = FusionFitter(setup.design(joined), setup.starts, settings, log_dir, columns=setup.columns)
    training.guard(targets, fitter, [*setup.tables, *setup.init], force=force)
    facts = joined.data.facts
    facts = replace(facts, features=fitter.described(facts.features))
    return replace(joined, data=TrainingSet(joined.data.rows, facts)), fitter

"""Feature tables to a network, an encoder with a linear head."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eavctl.augmentations.kind import Kind
from eavctl.augmentations.pipeline import NONE, pipeline
from eavctl.classifiers.training_loop import LEAST_STEPS, TrainSettings
from eavctl.encoders.choice import settings_of_size
from eavctl.errors import UsageError
from eavctl.progress import Tick, silent
from eavctl.storage.paths import Paths, listed
from eavctl.storage.tables import read_feature_meta
from eavctl.training import train as training
from eavctl.training.cross_validation import Evaluation
from eavctl.training.dnn_fitter import DnnFitter, encoder_for
from eavctl.training.encoder_start import EncoderStart
from eavctl.training.rows import EQUAL, TrainingSet
from eavctl.training.sources import file_name
from eavctl.training.told import assignments, command
from eavctl.training.train import Planned, Targets, Trained


@dataclass(frozen=True)
class EncoderChoice:
    """Which encoder to train, and how its training batches are augmented.

    Parameters
    ----------
    name : in the registry; by default the one for the table's feature set.
    size : ``base`` (as published) or ``tiny``, of encoders that have sizes; by default ``base``, of
        ``eegnet`` with shorter kernels.
    settings : keywords of the encoder's class.
    weights : public weights to start from, a folder of transformers or the file of a state dict: see
        `eavctl.encoders.pretrained.PublicBody.load_weights`.
    augment : names of the augmentations, see `eavctl.augmentations.pipeline.pipeline`; by default the
        encoder's own augmentation, and none of EEG epochs: it would shift them, and their time is that of
        their event.
    init : file of an encoder that `eavctl pretrain` wrote, to start from: it has a name and settings of its
        own.
    """

    name: str | None = None
    size: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: str | os.PathLike[str] | None = None
    augment: Sequence[str] = ()
    init: str | os.PathLike[str] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """Those of `train-dnn`, by which it is asked for."""
        return {
            "encoder": self.name,
            "size": self.size,
            "set": assignments(self.settings),
            "weights": self.weights and file_name(self.weights),
            "augment": ",".join(self.augment),
            "init": self.init and file_name(self.init),
        }

    def fitter(
        self, table: str | os.PathLike[str], settings: TrainSettings, log_dir: str | os.PathLike[str] | None
    ) -> DnnFitter:
        """The fitter that trains it on a table.

        Raises
        ------
        DataError, SettingsError, UsageError : no such encoder, or one that does not fit the table.
        """
        if self.init:
            return self._started(self.init, table, settings, log_dir)
        name = self.name or encoder_for(table)
        sized = settings_of_size(name, self.size) if self.size else {}
        weights, logs = (Path(path) if path else None for path in (self.weights, log_dir))
        return DnnFitter(name, {**sized, **self.settings}, settings, weights, log_dir=logs)

    def augmenting(self, fitter: DnnFitter, data: TrainingSet) -> DnnFitter:
        """The fitter with the augmentations for the rows of a table.

        Raises
        ------
        UsageError : no such augmentation, or not for these rows.
        """
        about = data.facts.features
        is_timed = about["modality"] == "eeg" and about.get("columns") is None and about.get("epoch")
        names = self.augment or ((NONE,) if is_timed else ())
        return replace(fitter, augment=pipeline(Kind.of(about), names)) if names else fitter

    def _started(
        self,
        init: str | os.PathLike[str],
        table: str | os.PathLike[str],
        settings: TrainSettings,
        log_dir: str | os.PathLike[str] | None,
    ) -> DnnFitter:
        given = {
            "--encoder": self.name,
            "--size": self.size,
            "--set": self.settings,
            "--weights": self.weights,
        }
        if unwanted := [option for option, value in given.items() if value]:
            raise UsageError(
                f"--init {init} has an encoder with settings of its own: leave {unwanted[0]} out"
            )
        start = EncoderStart.read(init, read_feature_meta(table), table)
        logs = Path(log_dir) if log_dir else None
        return DnnFitter(start.encoder, start.encoder_settings, settings, log_dir=logs, init=start)


def train_dnn(
    tables: Paths,
    out: str | os.PathLike[str] | None,
    *,
    predictions: str | os.PathLike[str] | None = None,
    encoder: EncoderChoice | str | None = None,
    settings: TrainSettings | None = None,
    evaluation: Evaluation | None = None,
    normalize: str | None = None,
    labels: Mapping[str, str | None] | None = None,
    corpora: str = EQUAL,
    keep_folds: bool = False,
    log_dir: str | os.PathLike[str] | None = None,
    force: bool = False,
    on_fold: Tick = silent,
) -> Trained:
    """Train a network, scored on held-out folds.

    An interrupted training resumes from its checkpoints, kept beside the outputs, to the same weights.

    Parameters
    ----------
    tables : feature table, or several, which are stacked.
    out : model file (.pt) to write; None writes no model.
    predictions : prediction table (.parquet) to write, out of fold.
    encoder : the encoder or its name; by default the one for the table's feature set.
    settings : of the training, with its seed.
    evaluation : how rows are split.
    normalize, labels, corpora : see `eavctl.training.rows.read_training_set`.
    keep_folds : keep each fold's network in the model file, for `train_fusion` to start from.
    log_dir : folder for TensorBoard scalars.
    force : overwrite files that eavctl did not write, and train even if up to date.
    on_fold : called with the number of fits done, of all, and what comes next.

    Raises
    ------
    LeakError : a subject, clip or trial is on both sides of a split whose protocol does not allow it by name.
    DataError : a table that cannot be read, or does not fit the encoder or the protocol.
    UsageError : no such encoder, setting or augmentation, an output that must not be overwritten, or whose
        name does not end in .pt.
    """
    paths = listed(tables)
    choice = _chosen(encoder)
    fitter = choice.fitter(paths[0], settings or TrainSettings(), log_dir)
    targets = Targets(out, predictions, keep_folds)
    data = training.guarded_rows(
        paths, targets, fitter, normalize=normalize, labels=labels, corpora=corpora, force=force, stored=True
    )
    fitter = choice.augmenting(fitter, data)
    asked = command(
        "train-dnn",
        paths,
        evaluation,
        network=settings or TrainSettings(),
        normalize=normalize,
        labels=labels,
        corpora=corpora,
        **choice.options,
    )
    trained = training.train(
        data, targets, fitter, evaluation or Evaluation(), command=asked, force=force, on_fold=on_fold
    )
    reason = None if choice.weights or choice.init else _why_at_chance(trained, fitter.settings)
    return replace(trained, warnings=(*trained.warnings, reason)) if reason else trained


def _why_at_chance(trained: Trained, settings: TrainSettings) -> str | None:
    """That a network from scratch that is not above chance had few steps, if it had; None otherwise.

    It is said of scores at chance alone, since some encoders learn in a tenth of the steps.
    """
    scores = trained.meta.get("out_of_fold")
    if settings.epochs is None or not scores:
        return None
    low, n_rows = scores["uar"]["low"], scores["n_rows"]
    n_steps = settings.epochs * settings.n_batches(n_rows)
    if low is None or low > scores["chance"] or n_steps >= LEAST_STEPS:  # None of too few people
        return None
    return (
        f"the network is not shown to be above chance, and {settings.epochs} epochs of {n_rows} rows are "
        f"about {n_steps} steps of training: without --epochs there are at least {LEAST_STEPS}"
    )


def plan(
    tables: Paths,
    out: str | os.PathLike[str] | None,
    *,
    predictions: str | os.PathLike[str] | None = None,
    encoder: EncoderChoice | str | None = None,
    settings: TrainSettings | None = None,
    evaluation: Evaluation | None = None,
    normalize: str | None = None,
    labels: Mapping[str, str | None] | None = None,
    corpora: str = EQUAL,
    keep_folds: bool = False,
    force: bool = False,
) -> Planned:
    """What `train_dnn` would do of the same parameters; nothing is fitted or written.

    Raises
    ------
    LeakError, DataError, UsageError : where `train_dnn` raises them before it fits.
    """
    paths = listed(tables)
    choice = _chosen(encoder)
    fitter = choice.fitter(paths[0], settings or TrainSettings(), None)
    targets = Targets(out, predictions, keep_folds)
    data = training.guarded_rows(
        paths, targets, fitter, normalize=normalize, labels=labels, corpora=corpora, force=force, stored=True
    )
    fitter = choice.augmenting(fitter, data)
    return training.plan(data, targets, fitter, evaluation or Evaluation(), force=force)


def _chosen(encoder: EncoderChoice | str | None) -> EncoderChoice:
    return encoder if isinstance(encoder, EncoderChoice) else EncoderChoice(encoder)

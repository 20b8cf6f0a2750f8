"""Fit a network, an encoder and a head, in a cross-validation."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from eavctl import registry
from eavctl.augmentations.pipeline import Pipeline
from eavctl.classifiers import dnn
from eavctl.classifiers.fine_tuning import fine_tuning
from eavctl.classifiers.rows import Rows
from eavctl.encoders.choice import check_modality, default_encoder, settings_of_weights, words_of_weights
from eavctl.encoders.state_dicts import hash_weights
from eavctl.errors import DataError, UsageError
from eavctl.evaluation.met import Pretrained
from eavctl.evaluation.plan import Plan
from eavctl.storage.tables import read_feature_meta
from eavctl.training.cross_validation import Fit
from eavctl.training.encoder_start import EncoderStart
from eavctl.training.rows import TableFacts


@dataclass(frozen=True)
class DnnFitter:
    """Fits `eavctl.classifiers.dnn.fit`, an encoder and a head.

    Parameters
    ----------
    encoder, encoder_settings : name in the registry, and keywords of its class.
    settings : of the training.
    weights : public weights that the encoder starts from, which also choose some of its settings: see
        `eavctl.encoders.pretrained.PublicBody.load_weights`.
    augment : replaces the encoder's own augmentation.
    log_dir : folder for TensorBoard scalars, a folder in it for each fit.
    checkpoints : see `eavctl.training.train.TableFitter`.
    init : a pretrained encoder to start from, of the same name and settings.

    Raises
    ------
    UsageError : no such encoder or setting.
    DataError : no such weights, or the encoder cannot load them.
    """

    encoder: str = "cnn-lstm"
    encoder_settings: dict[str, Any] = field(default_factory=dict)
    settings: dnn.TrainSettings = field(default_factory=dnn.TrainSettings)
    weights: Path | None = None
    augment: Pipeline | None = None
    log_dir: Path | None = None
    checkpoints: Path | None = None
    init: EncoderStart | None = None
    kind: ClassVar[str] = "dnn"
    name: ClassVar[str] = "dnn"

    def __post_init__(self) -> None:
        entry, settings = registry.get("encoders", self.encoder), self.encoder_settings
        if self.weights:
            settings = settings_of_weights(self.encoder, self.weights, settings)
        object.__setattr__(self, "encoder_settings", entry.with_defaults(settings))

    @property
    def encoders(self) -> tuple[Pretrained, ...]:
        """See `eavctl.training.train.TableFitter`."""
        return (self.init.pretrained,) if self.init else ()

    def describe(self) -> dict[str, Any]:
        """See `eavctl.training.train.TableFitter`."""
        facts: dict[str, Any] = {
            "encoder": self.encoder,
            "encoder_settings": self.encoder_settings,
            "training": asdict(self.settings),
            "weights": hash_weights(self.weights) if self.weights else None,
        }
        if self.weights:
            facts["weights_of"] = words_of_weights(self.encoder, self.weights, self.encoder_settings)
        if rule := fine_tuning(self.settings, has_weights=self.weights is not None):
            facts["fine_tuning"] = asdict(rule)
        if self.init:
            facts["init"] = self.init.content_hash
        if self.augment is not None:
            facts["augment"] = self.augment.describe()
        return facts

    def check_table(self, facts: TableFacts) -> None:
        """See `eavctl.training.train.TableFitter`; an encoder takes features of its own modality."""
        if self.init and facts.normalize:
            raise UsageError(
                f"{self.init.path} was pretrained on features as they are: leave --normalize out, or --init"
            )
        has_columns = facts.columns is not None
        check_modality(self.encoder, facts.features["modality"], has_columns)
        try:
            self._check_shape(tuple(facts.features["shape"]))
        except DataError as error:
            hint = "; or use train-svm, which takes columns" if has_columns else ""
            raise DataError(f"{error}{hint}") from None

    def check(self, rows: Rows, plan: Plan) -> None:
        """See `eavctl.training.train.TableFitter`; an encoder takes rows of certain shapes."""
        self._check_shape(rows.table.shape[1:])

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise a DataError if the encoder does not take rows of this shape."""
        with torch.device("meta"):  # nothing is allocated
            registry.get("encoders", self.encoder).thing(shape, **self.encoder_settings)

    def fit(self, rows: Rows, fit: Fit) -> dnn.DnnModel:
        """See `eavctl.training.train.TableFitter`."""
        return dnn.fit(
            rows.table,
            rows.labels,
            row_weights=rows.weights,
            groups=rows.speakers,
            units=rows.units,
            copies=rows.copies,
            encoder=self.encoder,
            encoder_settings=self.encoder_settings,
            settings=self.settings,
            weights=self.weights,
            augment=self.augment,
            start=self.init.state if self.init else None,
            checkpoint=checkpoint_file(self.checkpoints, fit),
            log_dir=self.log_dir / fit.slug if self.log_dir else None,
            on_epoch=fit.epoch_ended,
        )

    def with_checkpoints(self, path: Path) -> DnnFitter:
        """See `eavctl.training.train.TableFitter`."""
        return replace(self, checkpoints=path)


def checkpoint_file(path: Path | None, fit: Fit) -> Path | None:
    """The file of a fit: the path with the fit's name added; None where no checkpoints are kept."""
    return path and path.with_name(f"{path.name}-{fit.slug}")


def encoder_for(table: str | os.PathLike[str]) -> str:
    """The default encoder for a table's feature set.

    Raises
    ------
    DataError : not a feature table.
    UsageError : no encoder is known for it.
    """
    meta = read_feature_meta(table)
    return default_encoder(meta.features, meta.columns is not None, tokens=False)

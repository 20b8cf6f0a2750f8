"""Fitting a network for `eavctl.training.cross_validation.train`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch

from eavctl import registry
from eavctl.classifiers import dnn
from eavctl.encoders.choice import check_modality, default_encoder
from eavctl.errors import DataError
from eavctl.evaluation.protocols import Plan
from eavctl.storage.provenance import hash_folder
from eavctl.storage.tables import read_feature_meta
from eavctl.training.cross_validation import Task
from eavctl.training.rows import TrainingTable


@dataclass(frozen=True)
class DnnFitter:
    """Fits `eavctl.classifiers.dnn.fit`, an encoder and a head, on the rows it is given.

    Parameters
    ----------
    encoder, encoder_settings : name in the registry, and keywords of its class.
    settings : of the training.
    weights : folder of a public checkpoint that the encoder starts from.
    log_dir : folder for TensorBoard scalars, a folder in it for each fit.

    Raises
    ------
    UsageError : no such encoder or setting.
    DataError : no such folder of weights.
    """

    encoder: str = "cnn-lstm"
    encoder_settings: dict[str, Any] = field(default_factory=dict)
    settings: dnn.TrainSettings = field(default_factory=dnn.TrainSettings)
    weights: Path | None = None
    log_dir: Path | None = None
    kind: ClassVar[str] = "dnn"
    name: ClassVar[str] = "dnn"

    def __post_init__(self) -> None:
        entry = registry.get("encoders", self.encoder)
        object.__setattr__(self, "encoder_settings", entry.with_defaults(self.encoder_settings))
        if self.weights and not self.weights.is_dir():
            raise DataError(
                f"{self.weights}: no such folder; --weights takes one with config.json and weights"
            )

    def describe(self) -> dict[str, Any]:
        """See `Fitter`."""
        return {
            "encoder": self.encoder,
            "encoder_settings": self.encoder_settings,
            "training": asdict(self.settings),
            "weights": hash_folder(self.weights) if self.weights else None,
        }

    def check(self, table: TrainingTable, planned: Plan) -> None:
        """See `Fitter`; an encoder takes rows of its own modality and shape."""
        check_modality(self.encoder, table.facts["modality"], table.facts["columns"] is not None)
        try:
            with torch.device("meta"):  # the shape is judged before hours are spent; nothing is allocated
                registry.get("encoders", self.encoder).thing(table.x.shape[1:], **self.encoder_settings)
        except DataError as error:
            hint = "" if table.facts["columns"] is None else "; or take train-svm, which is for columns"
            raise DataError(f"{error}{hint}") from None

    def fit(self, task: Task, kept: Path | None, note: Callable[[str], None]) -> dnn.DnnModel:
        """See `Fitter`."""

        def on_epoch(epoch: dnn.Epoch) -> None:
            note(f"epoch {epoch.epoch}, loss {epoch.loss:.3f}, validation UAR {epoch.validation_uar:.3f}")

        return dnn.fit(
            task.x,
            task.labels,
            groups=task.groups,
            units=task.units,
            encoder=self.encoder,
            encoder_settings=self.encoder_settings,
            settings=self.settings,
            weights=self.weights,
            checkpoint=kept,
            log_dir=self.log_dir / task.slug if self.log_dir else None,
            on_epoch=on_epoch,
        )


def encoder_for(table: Path) -> str:
    """The encoder for a table's feature set, where the user names none.

    Raises
    ------
    DataError : not a feature table.
    UsageError : no encoder is known for it.
    """
    meta = read_feature_meta(table)
    return default_encoder(meta["features"], len(meta["shape"]) == 1, tokens=False)

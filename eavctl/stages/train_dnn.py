"""Fitting a network for `eavctl.stages.train.train`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from eavctl import registry
from eavctl.classifiers import dnn
from eavctl.errors import DataError, UsageError
from eavctl.provenance import hash_folder
from eavctl.tables import FeatureTable


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

    def check(self, features: FeatureTable) -> None:
        """See `Fitter`; an encoder takes rows of its own modality and shape."""
        modality = registry.get("encoders", self.encoder).facts["modality"]
        if modality != features.meta["modality"]:
            found = features.meta["modality"]
            mine = [n for n in registry.names("encoders") if _modality(n) == found]
            raise UsageError(
                f"encoder {self.encoder!r} is for {modality}, and the table holds {found}: "
                f"choose --encoder {' or '.join(mine)}"
            )
        try:
            with torch.device("meta"):  # the shape is judged before hours are spent; nothing is allocated
                registry.get("encoders", self.encoder).thing(features.x.shape[1:], **self.encoder_settings)
        except DataError as error:
            hint = "" if features.columns is None else "; or take train-svm, which is for columns"
            raise DataError(f"{error}{hint}") from None

    def fit(
        self, x: np.ndarray, labels: np.ndarray, groups: np.ndarray, kept: Path, note: Callable[[str], None]
    ) -> dnn.DnnModel:
        """See `Fitter`."""
        kept.parent.mkdir(exist_ok=True)

        def on_epoch(epoch: dnn.Epoch) -> None:
            note(f"epoch {epoch.epoch}, loss {epoch.loss:.3f}, validation UAR {epoch.validation_uar:.3f}")

        return dnn.fit(
            x,
            labels,
            groups=groups,
            encoder=self.encoder,
            encoder_settings=self.encoder_settings,
            settings=self.settings,
            weights=self.weights,
            checkpoint=kept,
            log_dir=self.log_dir / kept.name.split("-", 1)[1] if self.log_dir else None,
            on_epoch=on_epoch,
        )


def _modality(encoder: str) -> str:
    return str(registry.get("encoders", encoder).facts["modality"])

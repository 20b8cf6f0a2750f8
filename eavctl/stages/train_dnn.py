"""Fitting a network for `eavctl.stages.train.train`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from eavctl import registry
from eavctl.classifiers import dnn
from eavctl.errors import DataError


@dataclass(frozen=True)
class DnnFitter:
    """Fits `eavctl.classifiers.dnn.fit`, an encoder and a head, on the rows it is given.

    Parameters
    ----------
    encoder, encoder_settings : name in the registry, and keywords of its class.
    settings : of the training.
    log_dir : folder for TensorBoard scalars, a folder in it for each fit.

    Raises
    ------
    UsageError : no such encoder or setting.
    """

    encoder: str = "cnn-lstm"
    encoder_settings: dict[str, Any] = field(default_factory=dict)
    settings: dnn.TrainSettings = field(default_factory=dnn.TrainSettings)
    log_dir: Path | None = None
    kind: ClassVar[str] = "dnn"

    def __post_init__(self) -> None:
        entry = registry.get("encoders", self.encoder)
        object.__setattr__(self, "encoder_settings", entry.with_defaults(self.encoder_settings))

    def describe(self) -> dict[str, Any]:
        """See `Fitter`."""
        return {
            "encoder": self.encoder,
            "encoder_settings": self.encoder_settings,
            "training": asdict(self.settings),
        }

    def fit(
        self, x: np.ndarray, labels: np.ndarray, groups: np.ndarray, kept: Path, note: Callable[[str], None]
    ) -> dnn.DnnModel:
        """See `Fitter`.

        Raises
        ------
        DataError : the features are columns, not tensors.
        """
        if x.ndim < 3:
            raise DataError(
                "the table holds columns, not tensors: train-svm takes it; or extract --features logmel"
            )
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
            checkpoint=kept,
            log_dir=self.log_dir / kept.name.split("-", 1)[1] if self.log_dir else None,
            on_epoch=on_epoch,
        )

"""A pretrained encoder that a training on a feature table starts from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from eavctl.errors import SettingsError
from eavctl.evaluation.met import Pretrained
from eavctl.evaluation.trained_on import TrainedOn
from eavctl.pretraining.encoder_model import EncoderModel
from eavctl.storage.metadata import FeatureMeta
from eavctl.storage.provenance import hash_file


@dataclass(frozen=True)
class EncoderStart:
    """An encoder of a file, the one for the features of a table.

    Parameters
    ----------
    path : of the file.
    model : what the file holds.
    stream : of the encoder; None where the file holds one.
    content_hash : of the file.
    """

    path: str
    model: EncoderModel
    stream: str | None
    content_hash: str

    @classmethod
    def read(
        cls, path: str | os.PathLike[str], features: FeatureMeta, source: str | os.PathLike[str]
    ) -> EncoderStart:
        """Read a file, and find its encoder for features.

        Parameters
        ----------
        features, source : of a table, and its name.

        Raises
        ------
        DataError : not a file of encoders.
        SettingsError : none is for these features; the message names both.
        """
        found = cls.all_of(path)
        for each in found:
            if each.features.features_hash == features.features_hash:
                return each
        known = " and ".join(each.features.words for each in found)
        raise SettingsError(
            f"{path} was pretrained on {known}; {source} has {features.words}.\n"
            "Extract again with the features and settings of the encoder."
        )

    @classmethod
    def all_of(cls, path: str | os.PathLike[str]) -> list[EncoderStart]:
        """All encoders of a file.

        Raises
        ------
        DataError : not a file of encoders.
        """
        model, content = EncoderModel.load(path), hash_file(Path(path))
        return [cls(os.fspath(path), model, stream, content) for stream in model.streams or (None,)]

    @property
    def features(self) -> FeatureMeta:
        """The features that it takes."""
        return self.model.features(self.stream)

    @property
    def encoder(self) -> str:
        """Name of the encoder in the registry."""
        return self.model.encoder_name(self.stream)

    @property
    def encoder_settings(self) -> dict[str, Any]:
        """Keywords of the encoder's class."""
        return dict(self.model.encoder_settings(self.stream))

    @property
    def state(self) -> Mapping[str, Tensor]:
        """The encoder's weights, with its statistics of the input."""
        return self.model.state(self.stream)

    @property
    def pretrained(self) -> Pretrained:
        """Whom the encoder has met."""
        return Pretrained(self.path, TrainedOn.from_meta(self.model.meta.trained_on))

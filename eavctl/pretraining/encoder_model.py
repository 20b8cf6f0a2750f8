"""Pretrained encoders: what a file of kind ``encoder`` holds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eavctl import registry
from eavctl.classifiers.network import CPU, forward
from eavctl.classifiers.training_loop import TrainSettings, seeded
from eavctl.errors import DataError, UsageError
from eavctl.storage import artifacts
from eavctl.storage.metadata import FeatureMeta, ModelMeta, ProtocolMeta

SINGLE = ""  # the name of the stream of an encoder of one table
IN_MEMORY = ModelMeta(artifacts.ENCODER, "", ProtocolMeta(""), {})


@dataclass(frozen=True)
class StreamEncoder:
    """An encoder without its weights, and the rows that it takes.

    Parameters
    ----------
    stream : name of its stream; empty where the pretraining had one table.
    name, settings : of the encoder in the registry, and keywords of its class.
    shape : of one row.
    statistics : names of the buffers that the input statistics of the pretraining are in.
    """

    stream: str
    name: str
    settings: Mapping[str, Any]
    shape: tuple[int, ...]
    statistics: tuple[str, ...] = ()

    def build(self) -> Any:
        """A new encoder with random weights.

        Raises
        ------
        UsageError : no such encoder or setting.
        """
        return registry.get("encoders", self.name).build(self.shape, **self.settings)

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any]) -> StreamEncoder:
        """Rebuild it from its fields, as JSON gives them back."""
        return cls(**{**meta, "shape": tuple(meta["shape"]), "statistics": tuple(meta["statistics"])})


class EncoderModel:
    """Encoders that a pretraining made: of one table one, or one of each stream.

    Parameters
    ----------
    designs : the encoders without their weights, in the order of the streams.
    encoders : the encoders.
    facts : what is known of the pretraining: the part ``pretraining`` of the file's metadata.
    meta : of the file; without a file it says nothing.

    Attributes
    ----------
    streams : names of the streams; none where the pretraining had one table.
    """

    def __init__(
        self,
        designs: Sequence[StreamEncoder],
        encoders: Sequence[nn.Module],
        facts: Mapping[str, Any] | None = None,
        meta: ModelMeta = IN_MEMORY,
    ) -> None:
        self.streams = tuple(each.stream for each in designs if each.stream != SINGLE)
        self.facts, self.meta = dict(facts or {}), meta
        self._designs = {each.stream: each for each in designs}
        self._all = nn.ModuleList(encoders).eval()
        self._encoders = dict(zip(self._designs, encoders, strict=True))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> EncoderModel:
        """Read the encoders of a file.

        Raises
        ------
        DataError : no such file, a model of another kind, or a damaged one.
        """
        meta, model = artifacts.load_encoder(path)
        return cls(model.designs, list(model._all), meta.json.get("pretraining"), meta)

    @property
    def designs(self) -> tuple[StreamEncoder, ...]:
        """The encoders without their weights."""
        return tuple(self._designs.values())

    def design(self, stream: str | None = None) -> StreamEncoder:
        """The encoder of a stream without its weights.

        Raises
        ------
        UsageError : there is no such stream, or there are several and none is named.
        """
        return self._designs[self._name(stream)]

    def encoder(self, stream: str | None = None) -> nn.Module:
        """The encoder of a stream, in evaluation mode; the input statistics of the pretraining are in it."""
        return self._encoders[self._name(stream)]

    def encoder_name(self, stream: str | None = None) -> str:
        """Its name in the registry."""
        return self.design(stream).name

    def encoder_settings(self, stream: str | None = None) -> dict[str, Any]:
        """Keywords of its class."""
        return dict(self.design(stream).settings)

    def shape(self, stream: str | None = None) -> tuple[int, ...]:
        """The shape of one row."""
        return self.design(stream).shape

    def features(self, stream: str | None = None) -> FeatureMeta:
        """How the rows of the pretraining were extracted.

        Raises
        ------
        UsageError : as `design`; or the model was not read from a file.
        """
        named = {each.name: each.features for each in self.meta.streams}
        found = named.get(self._name(stream), self.meta.features)
        if found is None:
            raise UsageError("encoders that were not read from a file do not name their features")
        return found

    def embed(self, x: np.ndarray, stream: str | None = None, device: torch.device = CPU) -> np.ndarray:
        """Embed rows (n_rows, *shape) as float32 (n_rows, embedding_dim).

        Raises
        ------
        DataError : rows of another shape than those of the pretraining, or an embedding that is not finite.
        """
        shape = self.shape(stream)
        if tuple(x.shape[1:]) != shape:
            raise DataError(f"the encoder takes rows of shape {shape}, not {tuple(x.shape[1:])}")
        z = forward(self.encoder(stream).to(device), x, device).astype(np.float32)
        if not np.isfinite(z).all():
            raise DataError("the embedding is not finite; pretrain again with a lower --lr")
        return z

    def state(self, stream: str | None = None) -> dict[str, Tensor]:
        """Weights and buffers of one encoder, on the CPU, from which another can start."""
        return {name: tensor.cpu() for name, tensor in self.encoder(stream).state_dict().items()}

    def random(self, seed: int, stream: str | None = None) -> nn.Module:
        """An encoder like that of a stream, with random weights and the same input statistics.

        It is in evaluation mode. A pretraining of this seed on one table starts from the same weights.
        """
        design = self.design(stream)
        with seeded(TrainSettings(seed=seed, device="cpu"), 0, 0, CPU):
            fresh: nn.Module = design.build()
        state = self.state(stream)
        fresh.load_state_dict({name: state[name] for name in design.statistics}, strict=False)
        return fresh.eval()

    def state_dict(self) -> dict[str, Tensor]:
        """Weights and buffers of all encoders, on the CPU."""
        return {name: tensor.cpu() for name, tensor in self._all.state_dict().items()}

    def to_meta(self) -> dict[str, Any]:
        """Everything but weights and facts, JSON-able."""
        return {"encoders": [asdict(each) for each in self.designs]}

    @classmethod
    def from_parts(cls, state_dict: Mapping[str, Tensor], meta: Mapping[str, Any]) -> EncoderModel:
        """Build the encoders from the registry by name and settings, and load their weights.

        Raises
        ------
        UsageError : this eavctl has no such encoder.
        KeyError, RuntimeError, TypeError, ValueError : the parts do not fit each other.
        """
        designs = [StreamEncoder.from_meta(each) for each in meta["encoders"]]
        with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced at once
            model = cls(designs, [each.build() for each in designs])
        model._all.load_state_dict(dict(state_dict))
        return model

    def _name(self, stream: str | None) -> str:
        """The name of a stream, of which None is the only one."""
        if stream is None and len(self._designs) == 1:
            return next(iter(self._designs))
        if stream not in self._designs:
            known = ", ".join(self.streams) or "no streams"
            raise UsageError(f"the file holds encoders of {known}; name one of them, not {stream!r}")
        return stream

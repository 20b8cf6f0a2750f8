"""The encoders of several modalities as one, for methods that align them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from eavctl.classifiers.network import StreamBatch, settle


class StreamEncoders(nn.Module):
    """One encoder a stream, each a `eavctl.classifiers.network.Encoder`; together they keep its contract.

    Parameters
    ----------
    encoders : one a stream.

    Attributes
    ----------
    embedding_dims : of each stream; ``embedding_dim`` is their sum.
    """

    def __init__(self, encoders: Sequence[Any]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.embedding_dims = tuple(int(each.embedding_dim) for each in encoders)
        self.embedding_dim = sum(self.embedding_dims)

    def forward(self, x: StreamBatch) -> Tensor:
        """The embeddings of all streams beside each other, (batch, embedding_dim)."""
        return torch.cat(self.embed(x.tensors), dim=1)

    def embed(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The embeddings of each stream, (batch, its embedding_dim), of its rows (batch, *shape)."""
        return [encoder(each) for encoder, each in zip(self.encoders, tensors, strict=True)]

    def fit_input(self, x: StreamBatch) -> None:
        """Fit the input statistics of each encoder on its stream."""
        for encoder, tensor in zip(self.encoders, x.tensors, strict=True):
            encoder.fit_input(tensor)  # type: ignore[operator]  # registered encoders have it

    def augment(self, x: StreamBatch, generator: torch.Generator) -> StreamBatch:
        """Augment each stream as its encoder does."""
        pairs = zip(self.encoders, x.tensors, strict=True)
        tensors = tuple(encoder.augment(tensor, generator) for encoder, tensor in pairs)  # type: ignore[operator]
        return StreamBatch(tensors, x.present)

    def after_step(self) -> None:
        """See `eavctl.classifiers.network.Trainable`."""
        for encoder in self.encoders:
            settle(encoder)

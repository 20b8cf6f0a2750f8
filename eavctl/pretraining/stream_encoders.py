"""The encoders of several modalities as one, for methods that align them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from eavctl import ranks
from eavctl.classifiers.network import Augmentation, Encoder, StreamBatch, settle
from eavctl.pretraining.base import MakeView


@dataclass(frozen=True)
class StreamViews:
    """Augmentations of several streams; `eavctl.classifiers.network.Augmentation` of batches of streams.

    Parameters
    ----------
    streams : names of the streams.
    views : of each stream its augmentations; None for those of its encoder.
    """

    streams: tuple[str, ...]
    views: tuple[Augmentation | None, ...]

    def __call__(self, x: Any, generator: torch.Generator) -> Any:
        """A random view of a `StreamBatch`; streams without augmentations stay as they are."""
        pairs = zip(self.views, x.tensors, strict=True)
        return replace(x, tensors=tuple(view(each, generator) if view else each for view, each in pairs))

    def describe(self) -> list[str]:
        """The augmentations of each stream, its name before them."""
        named = zip(self.streams, self.views, strict=True)
        return [f"{stream} {text}" for stream, view in named if view for text in view.describe()]


class StreamEncoders(nn.Module):
    """One encoder a stream; together they keep the contract of `eavctl.classifiers.network.Encoder`.

    Parameters
    ----------
    encoders : one a stream. All rows have all streams.

    Attributes
    ----------
    embedding_dim : the sum of those of the streams.
    views : of each stream the augmentations, None for those of its encoder.
    """

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        super().__init__()
        self.parts = tuple(encoders)
        self._all = nn.ModuleList(encoders)  # type: ignore[arg-type]  # encoders are modules
        self.embedding_dim = sum(each.embedding_dim for each in encoders)
        self.views: tuple[MakeView | None, ...] = (None,) * len(self.parts)

    def forward(self, x: Any) -> Tensor:
        """The embeddings of all streams beside each other, (batch, embedding_dim), of a `StreamBatch`."""
        return torch.cat(self.embed(x), dim=1)

    def embed(self, x: StreamBatch) -> list[Tensor]:
        """The embeddings of each stream, (batch, its embedding_dim)."""
        return [ranks.share(encoder, each) for encoder, each in zip(self.parts, x.tensors, strict=True)]

    def fit_input(self, x: Any) -> None:
        """Fit the input statistics of each encoder on its stream of a `StreamBatch`."""
        for encoder, each in zip(self.parts, x.tensors, strict=True):
            encoder.fit_input(each)

    def augment(self, x: Any, generator: torch.Generator) -> Any:
        """Augment each stream of a `StreamBatch` by its own augmentations."""
        makers = [view or encoder.augment for view, encoder in zip(self.views, self.parts, strict=True)]
        pairs = zip(makers, x.tensors, strict=True)
        return replace(x, tensors=tuple(make_view(each, generator) for make_view, each in pairs))

    def after_step(self) -> None:
        """See `eavctl.classifiers.network.Trainable`."""
        for encoder in self.parts:
            settle(encoder)

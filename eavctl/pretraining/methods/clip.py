"""CLIP: recordings of the same moment agree across modalities."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Annotated, Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from eavctl.classifiers.network import StreamBatch
from eavctl.pretraining.base import MakeView, Method
from eavctl.pretraining.losses.clip import clip
from eavctl.pretraining.stream_encoders import StreamEncoders
from eavctl.registry import register
from eavctl.settings import Within

FIRST_SCALE, LARGEST_SCALE = 1 / 0.07, 100.0


@register(
    "pretraining methods",
    "clip",
    streams=True,
    defaults={"batch": 64, "lr": 1e-3, "weight_decay": 1e-2, "epochs": 30},
)
class Clip(Method):
    """Align two or three modalities of the same samples [1]_.

    Each modality has an encoder and a linear head; the loss is `eavctl.pretraining.losses.clip.clip`, averaged
    over the pairs of modalities. Its scale is learned, from 1 / 0.07 on and at most 100. Each modality gets
    one view, augmented on its own: the other modality is the second.

    Parameters
    ----------
    encoder : of all streams.
    dim : of the space that the heads share.

    References
    ----------
    .. [1] Radford et al.: Learning transferable visual models from natural language supervision, ICML 2021.
    """

    n_views = 1  # of each stream
    encoder: StreamEncoders  # type: ignore[assignment]  # of batches of streams

    def __init__(self, encoder: StreamEncoders, *, dim: Annotated[int, Within(2, 4096)] = 128) -> None:
        super().__init__(encoder)  # type: ignore[arg-type]
        self.heads = nn.ModuleList(nn.Linear(each, dim, bias=False) for each in encoder.embedding_dims)
        self.log_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))
        self.make_views: Sequence[MakeView] = [each.augment for each in encoder.encoders]  # type: ignore[misc]

    def augment(self, x: StreamBatch, generator: torch.Generator) -> tuple[Tensor, ...]:
        """One random view of each stream, (batch, *shape of the stream)."""
        pairs = zip(self.make_views, x.tensors, strict=True)
        return tuple(make_view(tensor, generator) for make_view, tensor in pairs)

    def loss(self, views: tuple[Tensor, ...]) -> Tensor:
        """The mean of the losses of all pairs of streams."""
        projected = self._projected(views)
        scale = self.log_scale.exp()
        pairs = itertools.combinations(projected, 2)
        return torch.stack([clip(one, other, scale) for one, other in pairs]).mean()

    def project(self, x: StreamBatch) -> Tensor:
        """Unit vectors of all streams in the shared space, beside each other: (batch, n_streams * dim)."""
        return torch.cat([F.normalize(each) for each in self._projected(x.tensors)], dim=1)

    def after_step(self) -> None:
        """Keep the scale at 100 or below."""
        super().after_step()
        with torch.no_grad():
            self.log_scale.clamp_(max=math.log(LARGEST_SCALE))

    def _projected(self, tensors: Sequence[Tensor]) -> list[Any]:
        embedded = self.encoder.embed(tensors)
        return [head(each) for head, each in zip(self.heads, embedded, strict=True)]

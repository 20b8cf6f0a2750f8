"""CLIP: recordings of the same moment agree across modalities."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from eavctl.classifiers.network import Augmentation, Encoder, StreamBatch
from eavctl.errors import UsageError
from eavctl.pretraining.base import Method
from eavctl.pretraining.losses.clip import clip
from eavctl.pretraining.stream_encoders import StreamEncoders, StreamViews
from eavctl.registry import register
from eavctl.settings import Within

FIRST_SCALE, LARGEST_SCALE = 1 / 0.07, 100.0


@register(
    "pretraining methods",
    "clip",
    aligns=True,
    defaults={"batch": 64, "lr": 1e-3, "weight_decay": 1e-2, "epochs": 30},
)
class Clip(Method):
    """Align two or more modalities of the same samples [1]_.

    Each modality has an encoder and a linear head; the loss is `eavctl.pretraining.losses.clip.clip`,
    averaged over the pairs of modalities. Its scale is learned, from 1 / 0.07 on and at most 100. A batch has
    one view, each modality of it augmented by its own: the other modality is the second.

    Parameters
    ----------
    encoders : one a stream, two or more.
    dim : of the space that the heads share.

    References
    ----------
    .. [1] Radford et al.: Learning transferable visual models from natural language supervision, ICML 2021.
    """

    n_views = 1
    encoder: StreamEncoders

    def __init__(self, *encoders: Encoder, dim: Annotated[int, Within(2, 4096)] = 128) -> None:
        if len(encoders) < 2:
            raise UsageError("clip aligns two modalities or more: give it a table of each")
        super().__init__(StreamEncoders(encoders))
        self.heads = nn.ModuleList(nn.Linear(each.embedding_dim, dim, bias=False) for each in encoders)
        self.log_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        """One a stream."""
        return self.encoder.parts

    def view_by(self, views: Augmentation) -> None:
        """Make views of each stream by its augmentations, or by its encoder's own where it has none."""
        if not isinstance(views, StreamViews):
            raise UsageError("clip takes augmentations of each stream")
        self.encoder.views = views.views

    def loss(self, views: tuple[Any, ...]) -> Tensor:
        """The mean of the losses of all pairs of streams, of one view of a `StreamBatch`."""
        (view,) = views
        scale = self.log_scale.exp()
        pairs = itertools.combinations(self._projected(view), 2)
        return torch.stack([clip(one, other, scale) for one, other in pairs]).mean()

    def project(self, x: StreamBatch) -> Tensor:
        """Unit vectors of all streams in the shared space, beside each other: (batch, n_streams * dim)."""
        return torch.cat([F.normalize(each) for each in self._projected(x)], dim=1)

    def after_step(self) -> None:
        """Keep the scale at 100 or below."""
        super().after_step()
        with torch.no_grad():
            self.log_scale.clamp_(max=math.log(LARGEST_SCALE))

    def _projected(self, x: StreamBatch) -> list[Tensor]:
        return [head(each) for head, each in zip(self.heads, self.encoder.embed(x), strict=True)]

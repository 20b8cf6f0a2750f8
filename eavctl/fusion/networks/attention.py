"""Fusion of embeddings: ``attention`` weights streams, ``channel-attention`` the channels of each stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from eavctl.classifiers.network import StreamBatch
from eavctl.fusion.networks.base import DroppedRows, FusionNetwork, FusionOutput, StreamOutput, Weight
from eavctl.registry import register

PROJECTED = 256
HIDDEN = 512
DROPOUT = 0.5
REDUCTION = 8


@register("fusion networks", "attention")
class AttentionFusion(FusionNetwork):
    """Weighted sum of the streams' embeddings, projected to one width, then two layers; after [1]_.

    A learned score of each projected embedding becomes its weight by a softmax over the streams that are
    present; the weights of a row sum to 1.

    Parameters
    ----------
    encoders, started : see `FusionNetwork`.
    n_classes : of the logits.
    modality_dropout, contrastive : see `FusionNetwork`.

    References
    ----------
    .. [1] Arevalo et al.: Gated multimodal units for information fusion, ICLR workshop 2017.
    """

    def __init__(
        self,
        encoders: Sequence[Any],
        started: Sequence[bool],
        n_classes: int,
        *,
        modality_dropout: DroppedRows = 0.3,
        contrastive: Weight = 0.0,
    ) -> None:
        super().__init__(encoders, started, modality_dropout, contrastive)
        self.projections = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(e.embedding_dim), nn.Linear(e.embedding_dim, PROJECTED))
            for e in encoders
        )
        self.scores = nn.ModuleList(nn.Linear(PROJECTED, 1) for _ in encoders)
        self.classifier = nn.Sequential(
            nn.Linear(PROJECTED, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, n_classes)
        )

    def fuse(self, x: StreamBatch) -> FusionOutput:
        """See `FusionNetwork`."""
        embedded = self.embed(x)
        summed, weights = self.weighted_sum(embedded, x.present)
        return FusionOutput(self.classifier(summed), weights, embedded)

    def joint(self, x: StreamBatch) -> Tensor:
        """Joint embeddings of all streams: the weighted sums (batch, 256)."""
        return self.weighted_sum(self.embed(x), x.present)[0]

    def weighted_sum(self, embedded: Sequence[StreamOutput], present: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted sum (batch, 256) of the projected embeddings, and the weights (batch, n_streams)."""
        pairs = zip(embedded, self.projections, strict=True)
        projected = [
            each.with_values(project(each.values)).spread(present.shape[0]) for each, project in pairs
        ]
        scores = torch.cat(
            [score(torch.tanh(each)) for score, each in zip(self.scores, projected, strict=True)], dim=1
        )
        weights = scores.masked_fill(~present, -torch.inf).softmax(dim=1)
        return (weights[:, :, None] * torch.stack(projected, dim=1)).sum(dim=1), weights


@register("fusion networks", "channel-attention")
class ChannelAttentionFusion(FusionNetwork):
    """Squeeze and excitation on each embedding [1]_, from its mean and its maximum [2]_, then two layers.

    The channels of an embedding are those that its encoder names in ``n_channels`` (such as the filters of an
    EEG network over time), else its single values, whose mean and maximum are equal. The first layer is
    linear in the concatenated embeddings, so it is computed as a sum over the streams that are present,
    scaled by n_streams / n_present.

    Parameters
    ----------
    encoders, started : see `FusionNetwork`.
    n_classes : of the logits.
    modality_dropout, contrastive : see `FusionNetwork`.

    References
    ----------
    .. [1] Hu, Shen, Sun: Squeeze-and-excitation networks, CVPR 2018.
    .. [2] Woo et al.: CBAM: Convolutional block attention module, ECCV 2018.
    """

    def __init__(
        self,
        encoders: Sequence[Any],
        started: Sequence[bool],
        n_classes: int,
        *,
        modality_dropout: DroppedRows = 0.3,
        contrastive: Weight = 0.0,
    ) -> None:
        super().__init__(encoders, started, modality_dropout, contrastive)
        self.norms = nn.ModuleList(nn.LayerNorm(e.embedding_dim) for e in encoders)
        self.gates = nn.ModuleList(_ChannelGate(getattr(e, "n_channels", e.embedding_dim)) for e in encoders)
        self.firsts = nn.ModuleList(nn.Linear(e.embedding_dim, HIDDEN, bias=False) for e in encoders)
        self.classifier = nn.Sequential(
            nn.BatchNorm1d(HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, n_classes)
        )

    def fuse(self, x: StreamBatch) -> FusionOutput:
        """See `FusionNetwork`; a stream's weight is the share of the norm of its term in the first layer."""
        embedded = self.embed(x)
        parts = zip(embedded, self.norms, self.gates, self.firsts, strict=True)
        terms = torch.stack(
            [
                e.with_values(first(gate(norm(e.values)))).spread(x.present.shape[0])
                for e, norm, gate, first in parts
            ],
            dim=1,
        )
        n_present = x.present.sum(dim=1, keepdim=True)
        hidden = terms.sum(dim=1) * (len(self.encoders) / n_present)
        return FusionOutput(self.classifier(hidden), shares(terms, x.present), embedded)


class _ChannelGate(nn.Module):
    """Scale the channels of an embedding by gates computed from their means and maxima."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        inner = max(1, n_channels // REDUCTION)
        self.n_channels = n_channels
        self.mlp = nn.Sequential(nn.Linear(n_channels, inner), nn.ReLU(), nn.Linear(inner, n_channels))

    def forward(self, embedding: Tensor) -> Tensor:
        """Scale (n, n_channels * n_positions), channel by channel."""
        maps: Tensor = embedding.unflatten(1, (self.n_channels, -1))  # type: ignore[no-untyped-call]
        gate = torch.sigmoid(self.mlp(maps.mean(dim=2)) + self.mlp(maps.amax(dim=2)))
        return (maps * gate[:, :, None]).flatten(1)


def shares(terms: Tensor, present: Tensor) -> Tensor:
    """Share of each term of a sum over streams, by its Euclidean norm.

    Parameters
    ----------
    terms : (batch, n_streams, dim).
    present : bool, (batch, n_streams), at least one stream in every row.

    Returns
    -------
    (batch, n_streams), rows sum to 1; equal shares where all terms are 0.
    """
    norms = terms.norm(dim=2).masked_fill(~present, 0.0)
    total = norms.sum(dim=1, keepdim=True)
    equal = present / present.sum(dim=1, keepdim=True)
    return torch.where(total > 0, norms / total.clamp(min=torch.finfo(total.dtype).tiny), equal)

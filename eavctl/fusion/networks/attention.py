"""Fusion of embeddings: ``attention`` weighs streams, ``channel-attention`` weighs what each one says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from eavctl.classifiers.network import StreamBatch
from eavctl.fusion.networks.base import FusionNetwork, Lost, Said, Seen, Weight
from eavctl.registry import register

PROJECTED = 256
HIDDEN = 512
DROPOUT = 0.5
REDUCTION = 8


@register("fusion networks", "attention")
class Attention(FusionNetwork):
    """Embeddings brought to one width and summed by weights that sum to one.

    The weights are learned: each stream's projected embedding scores itself, and a softmax over the streams
    that are present makes weights of the scores. So a sample's clearest stream counts most, and an absent
    one leaves its share to the others. Two layers classify the sum.

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
        modality_dropout: Lost = 0.3,
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

    def say(self, x: StreamBatch) -> Said:
        """See `FusionNetwork`."""
        embedded = self.embed(x)
        summed, weights = self.weigh(embedded, x.present)
        return Said(self.classifier(summed), weights, embedded)

    def joint(self, x: StreamBatch) -> Tensor:
        """The weighted sums (batch, 256): where the streams of a sample meet."""
        return self.weigh(self.embed(x), x.present)[0]

    def weigh(self, embedded: Sequence[Seen], present: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted sum (batch, 256) of the projected embeddings, and the weights (batch, n_streams)."""
        pairs = zip(embedded, self.projections, strict=True)
        placed = [Seen(each.rows, project(each.values)).spread(len(present)) for each, project in pairs]
        scores = torch.cat(
            [score(torch.tanh(p)) for score, p in zip(self.scores, placed, strict=True)], dim=1
        )
        projected = torch.stack(placed, dim=1)
        weights = scores.masked_fill(~present, -torch.inf).softmax(dim=1)
        return (weights[:, :, None] * projected).sum(dim=1), weights


@register("fusion networks", "channel-attention")
class ChannelAttention(FusionNetwork):
    """Squeeze and excitation on each embedding [1]_, from its mean and its maximum [2]_, then two layers.

    An embedding's channels are what its encoder says they are (the filters of a network of EEG, each with
    its course in time), or its values one by one, of which mean and maximum are the same. The first layer
    on the joined embeddings is a sum of what each adds; it is taken over the streams present, scaled by how
    many they are of all.

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
        modality_dropout: Lost = 0.3,
        contrastive: Weight = 0.0,
    ) -> None:
        super().__init__(encoders, started, modality_dropout, contrastive)
        self.norms = nn.ModuleList(nn.LayerNorm(e.embedding_dim) for e in encoders)
        self.gates = nn.ModuleList(_Excitation(getattr(e, "n_channels", e.embedding_dim)) for e in encoders)
        self.firsts = nn.ModuleList(nn.Linear(e.embedding_dim, HIDDEN, bias=False) for e in encoders)
        self.classifier = nn.Sequential(
            nn.BatchNorm1d(HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, n_classes)
        )

    def say(self, x: StreamBatch) -> Said:
        """See `FusionNetwork`; a stream's weight is the share of the length of what it adds."""
        embedded = self.embed(x)
        parts = zip(embedded, self.norms, self.gates, self.firsts, strict=True)
        added = torch.stack(
            [Seen(e.rows, first(gate(norm(e.values)))).spread(len(x)) for e, norm, gate, first in parts],
            dim=1,
        )
        n_present = x.present.sum(dim=1, keepdim=True)
        hidden = added.sum(dim=1) * (len(self.encoders) / n_present)
        return Said(self.classifier(hidden), shares(added, x.present), embedded)


class _Excitation(nn.Module):
    """Scale the channels of an embedding by what their means and maxima say."""

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


def shares(parts: Tensor, present: Tensor) -> Tensor:
    """How much of a sum each part makes, by its length.

    Parameters
    ----------
    parts : (batch, n_streams, dim).
    present : bool, (batch, n_streams), at least one in a row.

    Returns
    -------
    (batch, n_streams), rows sum to 1; equal shares where all parts are 0.
    """
    lengths = parts.norm(dim=2).masked_fill(~present, 0.0)
    total = lengths.sum(dim=1, keepdim=True)
    equal = present / present.sum(dim=1, keepdim=True)
    return torch.where(total > 0, lengths / total.clamp(min=torch.finfo(total.dtype).tiny), equal)

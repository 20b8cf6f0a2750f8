"""Fusion networks with a head a stream, whose logits are averaged."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eavctl.classifiers.network import Criterion, StreamBatch
from eavctl.fusion.networks.attention import shares
from eavctl.fusion.networks.base import FusionNetwork, FusionOutput, StreamOutput


class HeadsFusion(FusionNetwork):
    """Base of networks whose streams change each other's embeddings and answer on their own.

    The output is the mean of the heads' logits, and the loss the mean of their cross entropies. Subclasses
    call `add_heads` and implement `embedded`.
    """

    heads: nn.ModuleList

    def add_heads(self, dropout: float, n_classes: int) -> None:
        """Make a linear head for each stream, with dropout of the embedding before it."""
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Dropout(dropout), nn.Linear(encoder.embedding_dim, n_classes))  # type: ignore[arg-type]
            for encoder in self.encoders
        )

    def embedded(self, x: StreamBatch) -> list[StreamOutput]:
        """Embeddings of each stream, as the others have changed them."""
        raise NotImplementedError

    def fuse(self, x: StreamBatch) -> FusionOutput:
        """See `FusionNetwork`; a stream's weight is the share of the norm of its head's centred logits."""
        embedded = self.embedded(x)
        heads = [e.with_values(head(e.values)) for e, head in zip(embedded, self.heads, strict=True)]
        logits = torch.stack([each.spread(x.present.shape[0]) for each in heads], dim=1)
        mean = logits.sum(dim=1) / x.present.sum(dim=1, keepdim=True)
        weights = shares(logits - logits.mean(dim=2, keepdim=True), x.present)
        return FusionOutput(mean, weights, embedded, heads)

    def cross_entropy(self, output: FusionOutput, y: Tensor, criterion: Criterion) -> Tensor:
        """The mean of the heads' cross entropies, each over the rows that have its stream."""
        assert output.heads is not None
        terms = [
            criterion.taking(head.rows)(head.values, y[head.rows]) for head in output.heads if len(head.rows)
        ]
        return torch.stack(terms).mean()

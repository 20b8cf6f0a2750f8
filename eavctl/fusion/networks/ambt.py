"""AMBT, the adaptive multimodal bottleneck transformer: streams exchange through a few learned tokens.

The upper layers of transformers that run side by side take in, among their own tokens, a few of a
bottleneck. What these have seen is brought to one width, joined over the streams, and handed to the next
layers. After the bottleneck transformer of Nagrani et al.: Attention bottlenecks for multimodal fusion,
NeurIPS 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from eavctl.classifiers.network import Criterion, StreamBatch
from eavctl.encoders.tokens import TokenEncoder, Tokens
from eavctl.errors import UsageError
from eavctl.fusion.networks.attention import shares
from eavctl.fusion.networks.base import FusionNetwork, Lost, Said, Seen, Weight, seen
from eavctl.registry import register
from eavctl.settings import Share, Within

WIDTH = 256  # of a bottleneck token
STD = 0.02  # of the learned bottleneck before training
LEAST_LAYERS = 2  # with one, the tokens would come out with nobody left to read them


class Bottleneck(FusionNetwork):
    """What both kinds of AMBT share: the layers, the exchange, a head a stream.

    Of each encoder the last ``fusion_layers`` layers take part: of 12 those from the eighth on, of an
    encoder with 4 all. A head a stream gives logits, and their mean is the answer; training makes the mean
    of the heads' cross entropies less. Of the last layer only what the heads read is computed.

    Parameters
    ----------
    encoders : `eavctl.encoders.tokens.TokenEncoder`, one a stream.
    started, modality_dropout, contrastive : see `FusionNetwork`.
    n_classes : of the logits.
    dropout : of the embeddings before the heads.
    fusion_layers : at most so many layers exchange; the shallowest encoder's number, if that is less.
    bottleneck_tokens : of each stream.

    Raises
    ------
    UsageError : an encoder that cannot be run layer by layer, or fewer than two layers to fuse.
    """

    def __init__(
        self,
        encoders: Sequence[Any],
        started: Sequence[bool],
        n_classes: int,
        *,
        modality_dropout: Lost = 0.3,
        contrastive: Weight = 0.0,
        dropout: Share = 0.4,
        fusion_layers: Annotated[int, Within(LEAST_LAYERS, 48)] = 4,
        bottleneck_tokens: Annotated[int, Within(1, 64)] = 2,
    ) -> None:
        if not all(isinstance(encoder, TokenEncoder) for encoder in encoders):
            raise UsageError("fusion by bottleneck tokens needs encoders that run layer by layer")
        super().__init__(encoders, started, modality_dropout, contrastive)
        self.n_fused = min(fusion_layers, *(encoder.n_layers for encoder in encoders))
        if self.n_fused < LEAST_LAYERS:
            raise UsageError(
                f"fusion by bottleneck tokens needs {LEAST_LAYERS} layers of every encoder or more"
            )
        if bottleneck_tokens < 1:
            raise UsageError("bottleneck_tokens must be 1 or more")
        self.bottleneck = nn.Parameter(STD * torch.randn(len(encoders), bottleneck_tokens, WIDTH))
        self.up = nn.ModuleList(
            nn.ModuleList(_resized(self.joined_width(len(encoders)), encoder.width) for encoder in encoders)
            for _ in range(self.n_fused)
        )
        self.down = nn.ModuleList(  # what comes out of the last layer is read by nobody
            nn.ModuleList(_resized(encoder.width, WIDTH) for encoder in encoders)
            for _ in range(self.n_fused - 1)
        )
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Dropout(dropout), nn.Linear(encoder.embedding_dim, n_classes))
            for encoder in encoders
        )

    @staticmethod
    def joined_width(n_streams: int) -> int:
        """The width of what `join` gives."""
        raise NotImplementedError

    def join(self, tokens: Tensor, present: Tensor) -> Tensor:
        """What the streams' tokens become together, (batch, n_tokens, joined_width).

        Parameters
        ----------
        tokens : (batch, n_streams, n_tokens, 256); those of absent streams must not matter.
        present : bool, (batch, n_streams).
        """
        raise NotImplementedError

    def guests(self, raised: Tensor, before: Tensor | None) -> Tensor:
        """What a layer takes in: the joined tokens raised to its width, (n_seen, n_tokens, width).

        ``before`` is what came out of the layer below, of that shape.
        """
        raise NotImplementedError

    def say(self, x: StreamBatch) -> Said:
        """See `FusionNetwork`; a stream's weight is the share of its head's centred logits, by length."""
        embedded = self._fused(x)
        heads = [Seen(e.rows, head(e.values)) for e, head in zip(embedded, self.heads, strict=True)]
        logits = torch.stack([each.spread(len(x)) for each in heads], dim=1)
        mean = logits.sum(dim=1) / x.present.sum(dim=1, keepdim=True)
        weights = shares(logits - logits.mean(dim=2, keepdim=True), x.present)
        return Said(mean, weights, embedded, heads)

    def cross_entropy(self, said: Said, y: Tensor, criterion: Criterion) -> Tensor:
        """The mean of the heads' cross entropies, each over the rows that have its stream."""
        assert said.heads is not None
        terms = [criterion(head.values, y[head.rows]) for head in said.heads if len(head.rows)]
        return torch.stack(terms).mean()

    def _fused(self, x: StreamBatch) -> list[Seen]:
        """The streams' embeddings after the layers in which they exchange."""
        found = [seen(x, stream) for stream in range(len(self.encoders))]
        streams = [stream for stream, each in enumerate(found) if len(each.rows)]
        states = {stream: self._alone(stream, found[stream].values) for stream in streams}
        tokens = self.bottleneck.expand(len(x), -1, -1, -1)
        out: dict[int, Tensor] = {}
        for number in range(self.n_fused):
            last = number == self.n_fused - 1
            joined = self.join(tokens, x.present)
            lowered = []
            for stream in streams:
                raised = self.up[number][stream](joined[found[stream].rows])  # type: ignore[index]
                taken_in = self.guests(raised, out.get(stream))
                encoder: Any = self.encoders[stream]
                layer = encoder.n_layers - self.n_fused + number
                states[stream], came_out = encoder.layer(layer, states[stream], taken_in, last=last)
                if not last:
                    out[stream] = came_out
                    lowered.append(Seen(found[stream].rows, self.down[number][stream](came_out)))  # type: ignore[index]
            if not last:
                tokens = _placed(lowered, streams, tokens)
        return [
            Seen(each.rows, self._pooled(stream, states.get(stream), x)) for stream, each in enumerate(found)
        ]

    def _alone(self, stream: int, values: Tensor) -> Tokens:
        """A stream's tokens after the layers below the fusion."""
        encoder: Any = self.encoders[stream]
        tokens: Tokens = encoder.tokens(values)
        for number in range(encoder.n_layers - self.n_fused):
            tokens, _ = encoder.layer(number, tokens)
        return tokens

    def _pooled(self, stream: int, tokens: Tokens | None, x: StreamBatch) -> Tensor:
        encoder: Any = self.encoders[stream]
        if tokens is None:
            return self.bottleneck.new_zeros(0, encoder.embedding_dim)
        embedded: Tensor = encoder.pooled(tokens)
        return embedded


@register("fusion networks", "ambt-mean", tokens=True)
class MeanBottleneck(Bottleneck):
    """AMBT whose next bottleneck is the mean of the streams' tokens; see `Bottleneck`."""

    @staticmethod
    def joined_width(n_streams: int) -> int:
        """See `Bottleneck`."""
        return WIDTH

    def join(self, tokens: Tensor, present: Tensor) -> Tensor:
        """See `Bottleneck`; the mean over the streams present."""
        return _masked(tokens, present).sum(dim=1) / present.sum(dim=1)[:, None, None]

    def guests(self, raised: Tensor, before: Tensor | None) -> Tensor:
        """See `Bottleneck`."""
        return raised


@register("fusion networks", "ambt-concat", tokens=True)
class ConcatBottleneck(Bottleneck):
    """AMBT whose streams' tokens are joined side by side; see `Bottleneck`.

    What a layer takes in is added to what came out of the one below.
    """

    @staticmethod
    def joined_width(n_streams: int) -> int:
        """See `Bottleneck`."""
        return n_streams * WIDTH

    def join(self, tokens: Tensor, present: Tensor) -> Tensor:
        """See `Bottleneck`; absent streams add nothing, and the others are scaled by how many they are."""
        scale = present.shape[1] / present.sum(dim=1)
        joined = _masked(tokens, present) * scale[:, None, None, None]
        return joined.transpose(1, 2).flatten(2)

    def guests(self, raised: Tensor, before: Tensor | None) -> Tensor:
        """See `Bottleneck`."""
        return raised if before is None else raised + before


def _masked(tokens: Tensor, present: Tensor) -> Tensor:
    return tokens.masked_fill(~present[:, :, None, None], 0.0)


def _placed(lowered: Sequence[Seen], streams: Sequence[int], like: Tensor) -> Tensor:
    """The streams' tokens in their places, (batch, n_streams, n_tokens, 256); others are 0."""
    n_rows, n_streams = like.shape[:2]
    spread = {stream: each.spread(n_rows) for stream, each in zip(streams, lowered, strict=True)}
    empty = like.new_zeros(n_rows, *like.shape[2:])
    return torch.stack([spread.get(stream, empty) for stream in range(n_streams)], dim=1)


def _resized(width: int, target: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, target), nn.ReLU())

"""AMBT, the adaptive multimodal bottleneck transformer: streams exchange a few learned tokens.

Each stream has a transformer of its own. Its upper layers attend to a few bottleneck tokens beside its own.
After each layer the streams' bottleneck tokens are projected to one width, joined over the streams, and
passed to the next layers. After the bottleneck transformer of Nagrani et al.: Attention bottlenecks for
multimodal fusion, NeurIPS 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from eavctl import ranks
from eavctl.classifiers.network import StreamBatch
from eavctl.encoders.tokens import TokenEncoder, Tokens
from eavctl.errors import UsageError
from eavctl.fusion.networks.base import (
    DroppedRows,
    StreamOutput,
    Weight,
    share_streams,
    stream_rows,
)
from eavctl.fusion.networks.heads import HeadsFusion
from eavctl.registry import register
from eavctl.settings import Share, Within

WIDTH = 256  # of a bottleneck token
STD = 0.02  # of the learned bottleneck before training
LEAST_LAYERS = 2  # after the only layer, no other would read the tokens


class Bottleneck(HeadsFusion):
    """Base of both kinds of AMBT: the layers, the exchange of tokens, a head a stream.

    The last ``fusion_layers`` layers of each encoder exchange tokens. Each stream has a head, see
    `HeadsFusion`. Of the last layer only the tokens that the heads read are computed.

    Parameters
    ----------
    encoders : `eavctl.encoders.tokens.TokenEncoder`, one a stream.
    started, modality_dropout, contrastive : see `FusionNetwork`.
    n_classes : of the logits.
    dropout : of the embeddings before the heads.
    fusion_layers : the number of layers that exchange; all of the shallowest encoder, if it has fewer.
    bottleneck_tokens : number of tokens of each stream.

    Raises
    ------
    UsageError : an encoder that cannot be run layer by layer, or has fewer than two layers.
    """

    def __init__(
        self,
        encoders: Sequence[Any],
        started: Sequence[bool],
        n_classes: int,
        *,
        modality_dropout: DroppedRows = 0.3,
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
        self.down = nn.ModuleList(  # none after the last layer, whose tokens no layer reads
            nn.ModuleList(_resized(encoder.width, WIDTH) for encoder in encoders)
            for _ in range(self.n_fused - 1)
        )
        self.add_heads(dropout, n_classes)

    @staticmethod
    def joined_width(n_streams: int) -> int:
        """Width of the joined tokens, see `join`."""
        raise NotImplementedError

    def join(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Join the streams' bottleneck tokens.

        Parameters
        ----------
        tokens : (batch, n_streams, n_tokens, 256); those of missing streams must have no effect.
        present : bool, (batch, n_streams).

        Returns
        -------
        (batch, n_tokens, joined_width).
        """
        raise NotImplementedError

    def layer_input(self, projected: Tensor, previous: Tensor | None) -> Tensor:
        """Bottleneck tokens that a layer attends to, (n_present, n_tokens, width).

        Parameters
        ----------
        projected : the joined tokens, projected to the layer's width, (n_present, n_tokens, width).
        previous : the tokens after the layer below, of that shape; None for the first layer of the fusion.
        """
        raise NotImplementedError

    def embedded(self, x: StreamBatch) -> list[StreamOutput]:
        """See `HeadsFusion`: after the layers that exchange."""
        return share_streams(self._embedded, x)

    def _embedded(self, x: StreamBatch) -> list[StreamOutput]:
        inputs = [stream_rows(x, stream) for stream in range(len(self.encoders))]
        streams = [stream for stream, each in enumerate(inputs) if not each.is_empty]
        states = {stream: self._lower_layers(stream, inputs[stream].values) for stream in streams}
        tokens = self.bottleneck.expand(x.present.shape[0], -1, -1, -1)
        previous: dict[int, Tensor] = {}
        for number in range(self.n_fused):
            last = number == self.n_fused - 1
            joined = self.join(tokens, x.present)
            narrowed = []
            for stream in streams:
                projected = self.up[number][stream](inputs[stream].taken(joined))  # type: ignore[index]
                guests = self.layer_input(projected, previous.get(stream))
                encoder: Any = self.encoders[stream]
                layer = encoder.n_layers - self.n_fused + number
                with ranks.stream(stream):
                    states[stream], guests = encoder.layer(layer, states[stream], guests, last=last)
                if not last:
                    previous[stream] = guests
                    narrowed.append(inputs[stream].with_values(self.down[number][stream](guests)))  # type: ignore[index]
            if not last:
                tokens = _by_stream(narrowed, streams, tokens)
        return [
            each.with_values(self._pooled(stream, states.get(stream))) for stream, each in enumerate(inputs)
        ]

    def _lower_layers(self, stream: int, values: Tensor) -> Tokens:
        """A stream's tokens after the layers below those that exchange."""
        encoder: Any = self.encoders[stream]
        with ranks.stream(stream):
            tokens: Tokens = encoder.tokens(values)
            for number in range(encoder.n_layers - self.n_fused):
                tokens, _ = encoder.layer(number, tokens)
        return tokens

    def _pooled(self, stream: int, tokens: Tokens | None) -> Tensor:
        """The embeddings of a stream, (n_present, embedding_dim); ``tokens`` is None where no row has it."""
        encoder: Any = self.encoders[stream]
        if tokens is None:
            return self.bottleneck.new_zeros(0, encoder.embedding_dim)
        with ranks.stream(stream):
            embedded: Tensor = encoder.pooled(tokens)
        return embedded


@register("fusion networks", "ambt-mean", by_layers="every")
class MeanBottleneck(Bottleneck):
    """AMBT whose bottleneck tokens are averaged over the streams; see `Bottleneck`."""

    @staticmethod
    def joined_width(n_streams: int) -> int:
        """See `Bottleneck`."""
        return WIDTH

    def join(self, tokens: Tensor, present: Tensor) -> Tensor:
        """See `Bottleneck`; the mean over the streams that are present."""
        return _masked(tokens, present).sum(dim=1) / present.sum(dim=1)[:, None, None]

    def layer_input(self, projected: Tensor, previous: Tensor | None) -> Tensor:
        """See `Bottleneck`."""
        return projected


@register("fusion networks", "ambt-concat", by_layers="every")
class ConcatBottleneck(Bottleneck):
    """AMBT whose bottleneck tokens are concatenated over the streams; see `Bottleneck`.

    The projected tokens are added to the tokens after the layer below.
    """

    @staticmethod
    def joined_width(n_streams: int) -> int:
        """See `Bottleneck`."""
        return n_streams * WIDTH

    def join(self, tokens: Tensor, present: Tensor) -> Tensor:
        """See `Bottleneck`; missing streams are 0, and the others scaled by n_streams / n_present."""
        scale = present.shape[1] / present.sum(dim=1)
        joined = _masked(tokens, present) * scale[:, None, None, None]
        return joined.transpose(1, 2).flatten(2)

    def layer_input(self, projected: Tensor, previous: Tensor | None) -> Tensor:
        """See `Bottleneck`."""
        return projected if previous is None else projected + previous


def _masked(tokens: Tensor, present: Tensor) -> Tensor:
    return tokens.masked_fill(~present[:, :, None, None], 0.0)


def _by_stream(narrowed: Sequence[StreamOutput], streams: Sequence[int], like: Tensor) -> Tensor:
    """Tokens of all streams, (batch, n_streams, n_tokens, 256); those of streams not given are 0."""
    n_rows, n_streams = like.shape[:2]
    spread = {stream: each.spread(n_rows) for stream, each in zip(streams, narrowed, strict=True)}
    empty = like.new_zeros(n_rows, *like.shape[2:])
    return torch.stack([spread.get(stream, empty) for stream in range(n_streams)], dim=1)


def _resized(width: int, target: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, target), nn.ReLU())

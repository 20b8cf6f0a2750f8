"""``law``: what the other streams say changes the weights of a stream's transformer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from eavctl import ranks
from eavctl.classifiers.network import StreamBatch
from eavctl.encoders.law import Law
from eavctl.encoders.tokens import TokenEncoder
from eavctl.errors import UsageError
from eavctl.fusion.networks.base import DroppedRows, StreamOutput, Weight, stream_rows
from eavctl.fusion.networks.heads import HeadsFusion
from eavctl.registry import register
from eavctl.settings import Share, Within

TOKEN_WIDTH, GROUPS = 96, 12  # of a stream's embedding as a token of the law


@register("fusion networks", "law", by_layers="some")
class LawFusion(HeadsFusion):
    """Streams change the query, key and value weights of each other's transformers; after [1]_.

    Each stream is embedded by its encoder as it is, and the embedding, normalised and projected to 96 values,
    is a token. The tokens of the other streams that are present make low-rank changes of every block of a
    stream's transformer (`eavctl.encoders.law.Law`), which then embeds the stream again. Encoders that are no
    transformers speak and do not listen. Each stream has a head on its embedding.

    At the start every change is zero. In rows without another stream, the stream's embedding is exactly that
    of its encoder alone.

    Parameters
    ----------
    encoders : one a stream; one or more of them a `eavctl.encoders.tokens.TokenEncoder`.
    started, modality_dropout, contrastive : see `FusionNetwork`.
    n_classes : of the logits.
    dropout : of the embeddings before the heads.
    rank : of the changes.

    Raises
    ------
    UsageError : no encoder can be run layer by layer.

    References
    ----------
    .. [1] Su et al.: Language adaptive weight generation for multi-task visual grounding, CVPR 2023.
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
        rank: Annotated[int, Within(1, 256)] = 16,
    ) -> None:
        listeners = [stream for stream, each in enumerate(encoders) if isinstance(each, TokenEncoder)]
        if not listeners:
            raise UsageError(
                "fusion by law needs an encoder that runs layer by layer: name shallow-transformer, ast or "
                "vit with --encoder, or take --method attention"
            )
        super().__init__(encoders, started, modality_dropout, contrastive)
        self.words = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(e.embedding_dim), nn.Linear(e.embedding_dim, TOKEN_WIDTH))
            for e in encoders
        )
        self.laws = nn.ModuleDict(
            {
                str(stream): Law(
                    encoders[stream].width,
                    encoders[stream].n_layers,
                    TOKEN_WIDTH,
                    groups=GROUPS,
                    rank=min(rank, encoders[stream].width),
                )
                for stream in listeners
            }
        )
        self.add_heads(dropout, n_classes)

    def embedded(self, x: StreamBatch) -> list[StreamOutput]:
        """See `HeadsFusion`."""
        alone = self.embed(x)
        spoken = [e.with_values(word(e.values)) for e, word in zip(alone, self.words, strict=True)]
        tokens = torch.stack([each.spread(x.present.shape[0]) for each in spoken], dim=1)
        return [self._heard(stream, each, tokens, x) for stream, each in enumerate(alone)]

    def _heard(self, stream: int, alone: StreamOutput, tokens: Tensor, x: StreamBatch) -> StreamOutput:
        """The embeddings of a stream, changed by the tokens (batch, n_streams, 96) of the others."""
        is_other = torch.arange(len(self.encoders), device=tokens.device) != stream
        others = alone.taken(x.present) & is_other
        is_heard = others.any(dim=1)
        if str(stream) not in self.laws or not (torch.compiler.is_exporting() or bool(is_heard.any())):
            return alone
        cores = self.laws[str(stream)](alone.taken(tokens), others)
        changed = ranks.share(partial(self._embed_by_law, stream), stream_rows(x, stream).values, cores)
        return alone.with_values(torch.where(is_heard[:, None], changed, alone.values))

    def _embed_by_law(self, stream: int, values: Tensor, cores: Tensor) -> Tensor:
        """Embeddings (n_rows, embedding_dim) by an encoder with changes (n_rows, n_layers, rank, rank)."""
        encoder: Any = self.encoders[stream]
        law: Any = self.laws[str(stream)]
        tokens = encoder.tokens(values)
        cores = cores.repeat_interleave(tokens.n_sequences, dim=0)
        for number in range(encoder.n_layers):
            change = partial(law.change, core=cores[:, number])
            tokens, _ = encoder.layer(number, tokens, last=number == encoder.n_layers - 1, change=change)
        embedded: Tensor = encoder.pooled(tokens)
        return embedded

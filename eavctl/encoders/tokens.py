"""Encoders of transformer layers that run layer by layer and accept guest tokens of other encoders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

# The parts of a layer of `transformers` that `run_public_layer` uses.
PUBLIC_LAYER = (
    "layernorm_before",
    "layernorm_after",
    "attention.q_proj",
    "attention.k_proj",
    "attention.v_proj",
    "attention.o_proj",
    "attention.num_attention_heads",
    "attention.attention_dropout",
    "attention.scaling",
    "mlp",
    "dropout",
)

# What is added to the queries, keys and values of a layer, side by side: (n, n_tokens, width) of its
# normalised states to (n, n_tokens, 3 * width).
Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Tokens:
    """Input and output of a layer.

    Parameters
    ----------
    states : (n_rows * n_sequences, n_tokens, width); the sequences of a row are adjacent.
    mask : attention mask, bool, broadcastable to (n_rows * n_sequences, 1, 1, n_tokens), True for tokens to
        attend to; None: all.
    n_sequences : number of sequences per row, such as the frames of a clip.
    """

    states: Tensor
    mask: Tensor | None = None
    n_sequences: int = 1


class TokenEncoder:
    """Mixin of an ``nn.Module`` whose layers can be run one by one.

    `pooled`, applied to the tokens after all layers, gives the embedding that ``forward`` returns. Guest
    tokens come from outside the encoder and join the tokens of a row in a layer: all tokens attend to them,
    and the layer also updates them [1]_. Rows never attend to each other.

    Attributes
    ----------
    width : number of values of a token.
    n_layers : number of layers.
    n_pooled : number of leading tokens that `pooled` uses; None: all.

    References
    ----------
    .. [1] Nagrani et al.: Attention bottlenecks for multimodal fusion, NeurIPS 2021.
    """

    width: int
    n_layers: int
    n_pooled: int | None = None

    def tokens(self, x: Tensor) -> Tokens:
        """The input of the first layer for rows (n_rows, *shape)."""
        raise NotImplementedError

    def pooled(self, tokens: Tokens) -> Tensor:
        """The embeddings of rows, (n_rows, embedding_dim), from the output of the last layer."""
        raise NotImplementedError

    def layer(
        self,
        number: int,
        tokens: Tokens,
        guests: Tensor | None = None,
        *,
        last: bool = False,
        change: Change | None = None,
    ) -> tuple[Tokens, Tensor | None]:
        """Run one layer on the tokens of each row and on its guests.

        Parameters
        ----------
        number : number of the layer, from 0.
        tokens : output of the previous layer.
        guests : guest tokens, (n_rows, n_guests, width), copied to each sequence of a row; None: none.
        last : compute only the tokens that `pooled` uses; they still attend to all tokens and guests.
        change : of the layer's queries, keys and values.

        Returns
        -------
        The tokens, or with ``last`` those that `pooled` uses; and the guests, averaged over the sequences of
        each row, (n_rows, n_guests, width), or None with ``last`` or without guests.
        """
        n_own = tokens.states.shape[1]
        states, mask = tokens.states, tokens.mask
        if guests is not None:
            states = torch.cat([states, guests.repeat_interleave(tokens.n_sequences, dim=0)], dim=1)
            mask = None if mask is None else F.pad(mask, (0, guests.shape[1]), value=True)
        n_given = (self.n_pooled or n_own) if last else states.shape[1]
        given = self._run_layer(number, states, mask, n_given, change)
        n_kept = min(n_given, n_own)
        kept_mask = None if tokens.mask is None else tokens.mask[..., :n_kept]
        own = Tokens(given[:, :n_kept], kept_mask, tokens.n_sequences)
        if guests is None or last:
            return own, None
        return own, mean_of_sequences(given[:, n_own:], tokens.n_sequences)

    def run_layers(self, tokens: Tokens) -> Tensor:
        """The embeddings (n_rows, embedding_dim) after all layers, without guests."""
        for number in range(self.n_layers):
            tokens, _ = self.layer(number, tokens, last=number == self.n_layers - 1)
        return self.pooled(tokens)

    def _run_layer(
        self, number: int, states: Tensor, mask: Tensor | None, n_given: int, change: Change | None
    ) -> Tensor:
        """The first ``n_given`` tokens after a layer: (n, n_tokens, width) to (n, n_given, width)."""
        raise NotImplementedError


def mean_of_sequences(values: Tensor, n_sequences: int) -> Tensor:
    """Average over the sequences of each row: (n_rows * n_sequences, ...) to (n_rows, ...)."""
    return values.reshape(-1, n_sequences, *values.shape[1:]).mean(dim=1)


def run_public_layer(
    layer: Any, states: Tensor, mask: Tensor | None, n_given: int, change: Change | None = None
) -> Tensor:
    """The first ``n_given`` output tokens of a layer of `transformers`' ViT or AST.

    Parameters
    ----------
    layer : a ViTLayer or ASTLayer, with the parts `PUBLIC_LAYER`.
    states : (n, n_tokens, width).
    mask : see `Tokens`.
    n_given : number of output tokens.
    change : of the queries, keys and values; None: none.
    """
    if n_given == states.shape[1] and change is None:
        whole: Tensor = layer(states, mask)
        return whole
    attention = layer.attention
    normed = layer.layernorm_before(states)
    projected = (
        attention.q_proj(normed[:, :n_given]),
        attention.k_proj(normed),
        attention.v_proj(normed),
    )
    attended = _attended(
        _changed(projected, normed, change),
        attention.num_attention_heads,
        mask,
        dropout=attention.attention_dropout if layer.training else 0.0,
        scale=attention.scaling,
    )
    given = states[:, :n_given] + layer.dropout(attention.o_proj(attended))
    out: Tensor = given + layer.dropout(layer.mlp(layer.layernorm_after(given)))
    return out


def run_torch_layer(
    layer: nn.TransformerEncoderLayer, states: Tensor, n_given: int, change: Change | None = None
) -> Tensor:
    """The first ``n_given`` output tokens of torch's pre-norm layer for states (n, n_tokens, width).

    Parameters
    ----------
    change : of the queries, keys and values; None: none.
    """
    if n_given == states.shape[1] and change is None:
        whole: Tensor = layer(states)
        return whole
    normed = layer.norm1(states)
    if change is None:
        found, _ = layer.self_attn(normed[:, :n_given], normed, normed, need_weights=False)
    else:
        found = _attended_by_torch(layer.self_attn, normed, n_given, change)
    given = states[:, :n_given] + layer.dropout1(found)
    inner = layer.dropout(layer.activation(layer.linear1(layer.norm2(given))))
    out: Tensor = given + layer.dropout2(layer.linear2(inner))
    return out


def _attended_by_torch(
    attention: nn.MultiheadAttention, normed: Tensor, n_given: int, change: Change
) -> Tensor:
    """The output of torch's attention with changed projections, (n, n_given, width)."""
    queries, keys, values = F.linear(normed, attention.in_proj_weight, attention.in_proj_bias).chunk(3, dim=2)
    projected = _changed((queries[:, :n_given], keys, values), normed, change)
    dropout = attention.dropout if attention.training else 0.0
    found: Tensor = attention.out_proj(_attended(projected, attention.num_heads, None, dropout=dropout))
    return found


def _changed(
    projected: tuple[Tensor, Tensor, Tensor], normed: Tensor, change: Change | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values with what a change adds to them."""
    if change is None:
        return projected
    queries, keys, values = projected
    for_queries, for_keys, for_values = change(normed).chunk(3, dim=2)
    return queries + for_queries[:, : queries.shape[1]], keys + for_keys, values + for_values


def _attended(
    projected: tuple[Tensor, Tensor, Tensor],
    n_heads: int,
    mask: Tensor | None,
    *,
    dropout: float,
    scale: float | None = None,
) -> Tensor:
    """Attention of several heads, (n, n_given, width), to queries (n, n_given, width), keys and values."""
    queries, keys, values = (each.unflatten(2, (n_heads, -1)).transpose(1, 2) for each in projected)  # type: ignore[no-untyped-call]
    attended = F.scaled_dot_product_attention(
        queries, keys, values, attn_mask=mask, dropout_p=dropout, scale=scale
    )
    return attended.transpose(1, 2).flatten(2)

"""Encoders made of transformer layers, run layer by layer, with guest tokens of other encoders if need be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

# What `run_public_layer` calls of a layer of `transformers`.
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


@dataclass(frozen=True)
class Tokens:
    """What a layer reads and gives.

    Parameters
    ----------
    states : (n_rows * n_sequences, n_tokens, width); the sequences of a row follow each other.
    mask : what attention may look at, bool, broadcastable to (n_rows * n_sequences, 1, 1, n_tokens);
        None: all.
    n_sequences : of each row: the frames of a clip, say, each a sequence of its own.
    """

    states: Tensor
    mask: Tensor | None = None
    n_sequences: int = 1


class TokenEncoder:
    """What an encoder has, besides being an ``nn.Module``, that can be run layer by layer; a mixin.

    `pooled` of the tokens that all layers have passed on is the embedding that ``forward`` gives. Guests
    are tokens from elsewhere that a layer takes in among a row's own: every token may look at them, and
    they come out changed by what they saw [1]_. No row ever sees another's.

    Attributes
    ----------
    width : values of a token.
    n_layers : how many layers there are, called by their numbers from 0.
    n_pooled : so many tokens at the front are all that `pooled` reads; None: it reads every one.

    References
    ----------
    .. [1] Nagrani et al.: Attention bottlenecks for multimodal fusion, NeurIPS 2021.
    """

    width: int
    n_layers: int
    n_pooled: int | None = None

    def tokens(self, x: Tensor) -> Tokens:
        """What the first layer reads of rows (n_rows, *shape)."""
        raise NotImplementedError

    def pooled(self, tokens: Tokens) -> Tensor:
        """The rows' embeddings (n_rows, embedding_dim), from what the last layer gives."""
        raise NotImplementedError

    def layer(
        self, number: int, tokens: Tokens, guests: Tensor | None = None, *, last: bool = False
    ) -> tuple[Tokens, Tensor | None]:
        """Run one layer on the tokens of each row and on its guests.

        Parameters
        ----------
        number : of the layer, from 0.
        tokens : what the layer before gave.
        guests : (n_rows, n_guests, width), copied to each of a row's sequences; None: none.
        last : compute only what `pooled` reads. Its tokens still look at all tokens and guests.

        Returns
        -------
        The tokens, or of a last layer those that `pooled` reads; and the guests, averaged over the row's
        sequences, (n_rows, n_guests, width), or None after a last layer or without guests.
        """
        n_own = tokens.states.shape[1]
        states, mask = tokens.states, tokens.mask
        if guests is not None:
            states = torch.cat([states, guests.repeat_interleave(tokens.n_sequences, dim=0)], dim=1)
            mask = None if mask is None else F.pad(mask, (0, guests.shape[1]), value=True)
        n_given = (self.n_pooled or n_own) if last else states.shape[1]
        given = self._run_layer(number, states, mask, n_given)
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

    def _run_layer(self, number: int, states: Tensor, mask: Tensor | None, n_given: int) -> Tensor:
        """The first ``n_given`` tokens after a layer: (n, n_tokens, width) to (n, n_given, width)."""
        raise NotImplementedError


def mean_of_sequences(values: Tensor, n_sequences: int) -> Tensor:
    """(n_rows * n_sequences, ...) to (n_rows, ...)."""
    return values.reshape(-1, n_sequences, *values.shape[1:]).mean(dim=1)


def run_public_layer(layer: Any, states: Tensor, mask: Tensor | None, n_given: int) -> Tensor:
    """The first ``n_given`` tokens that a layer of `transformers`' ViT or AST gives.

    Parameters
    ----------
    layer : an instance of its ViTLayer or ASTLayer, with the parts `PUBLIC_LAYER`.
    states : (n, n_tokens, width).
    mask : see `Tokens`.
    """
    if n_given == states.shape[1]:
        whole: Tensor = layer(states, mask)
        return whole
    attention = layer.attention

    def heads(projected: Tensor) -> Tensor:
        return projected.reshape(*projected.shape[:2], attention.num_attention_heads, -1).transpose(1, 2)

    normed = layer.layernorm_before(states)
    attended = F.scaled_dot_product_attention(
        heads(attention.q_proj(normed[:, :n_given])),
        heads(attention.k_proj(normed)),
        heads(attention.v_proj(normed)),
        attn_mask=mask,
        dropout_p=attention.attention_dropout if layer.training else 0.0,
        scale=attention.scaling,
    )
    given = states[:, :n_given] + layer.dropout(attention.o_proj(attended.transpose(1, 2).flatten(2)))
    out: Tensor = given + layer.dropout(layer.mlp(layer.layernorm_after(given)))
    return out


def run_torch_layer(layer: nn.TransformerEncoderLayer, states: Tensor, n_given: int) -> Tensor:
    """The first ``n_given`` tokens that torch's layer, normalising first, gives of (n, n_tokens, width)."""
    if n_given == states.shape[1]:
        whole: Tensor = layer(states)
        return whole
    normed = layer.norm1(states)
    found, _ = layer.self_attn(normed[:, :n_given], normed, normed, need_weights=False)
    given = states[:, :n_given] + layer.dropout1(found)
    inner = layer.dropout(layer.activation(layer.linear1(layer.norm2(given))))
    out: Tensor = given + layer.dropout2(layer.linear2(inner))
    return out

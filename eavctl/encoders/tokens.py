"""Encoders of transformer layers that run layer by layer and accept guest tokens of other encoders."""

from __future__ import annotations

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
        self, number: int, tokens: Tokens, guests: Tensor | None = None, *, last: bool = False
    ) -> tuple[Tokens, Tensor | None]:
        """Run one layer on the tokens of each row and on its guests.

        Parameters
        ----------
        number : number of the layer, from 0.
        tokens : output of the previous layer.
        guests : guest tokens, (n_rows, n_guests, width), copied to each sequence of a row; None: none.
        last : compute only the tokens that `pooled` uses; they still attend to all tokens and guests.

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
    """Average over the sequences of each row: (n_rows * n_sequences, ...) to (n_rows, ...)."""
    return values.reshape(-1, n_sequences, *values.shape[1:]).mean(dim=1)


def run_public_layer(layer: Any, states: Tensor, mask: Tensor | None, n_given: int) -> Tensor:
    """The first ``n_given`` output tokens of a layer of `transformers`' ViT or AST.

    Parameters
    ----------
    layer : a ViTLayer or ASTLayer, with the parts `PUBLIC_LAYER`.
    states : (n, n_tokens, width).
    mask : see `Tokens`.
    n_given : number of output tokens.
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
    """The first ``n_given`` output tokens of torch's pre-norm layer for states (n, n_tokens, width)."""
    if n_given == states.shape[1]:
        whole: Tensor = layer(states)
        return whole
    normed = layer.norm1(states)
    found, _ = layer.self_attn(normed[:, :n_given], normed, normed, need_weights=False)
    given = states[:, :n_given] + layer.dropout1(found)
    inner = layer.dropout(layer.activation(layer.linear1(layer.norm2(given))))
    out: Tensor = given + layer.dropout2(layer.linear2(inner))
    return out

"""Encoders of phrases: a small transformer over words, and BERT over word pieces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from eavctl.encoders.pretrained import PublicBody, public
from eavctl.errors import DataError
from eavctl.grounding.vocabulary import MOST_TOKENS, PAD_NUMBER, Vocabulary, WordPieces

WIDTH, HEADS, N_LAYERS = 96, 4, 2  # of a small transformer; the width is a multiple of the law's 12 groups
BERT = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072, "num_hidden_layers": 6}
MOST_LAYERS = 48  # of a checkpoint that is read


class WordEncoder(nn.Module):
    """A pre-norm transformer over words, for training from scratch.

    Parameters
    ----------
    n_words : of the vocabulary.
    """

    width = WIDTH

    def __init__(self, n_words: int) -> None:
        super().__init__()
        self.words = nn.Embedding(n_words, WIDTH, padding_idx=PAD_NUMBER)
        self.positions = nn.Parameter(torch.randn(MOST_TOKENS, WIDTH))
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, dropout=0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, N_LAYERS, nn.LayerNorm(WIDTH), enable_nested_tensor=False)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Encode tokens, int64 (batch, n_tokens); the bool ``mask`` is False for padding.

        Returns
        -------
        Shape (batch, n_tokens, width); what stands at the padding means nothing.
        """
        states = self.words(tokens) + self.positions[: tokens.shape[1]]
        encoded: Tensor = self.layers(states, src_key_padding_mask=~mask)
        return encoded


class BertEncoder(PublicBody):
    """The first 6 layers of BERT [1]_ over word pieces, for public weights.

    Parameters
    ----------
    n_words : number of word pieces.

    References
    ----------
    .. [1] Devlin et al.: BERT, pre-training of deep bidirectional transformers, NAACL 2019.
    """

    name = "bert"
    left_out: ClassVar = {"add_pooling_layer": False}
    architecture = (
        "vocab_size",
        "hidden_size",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
        "type_vocab_size",
        "hidden_act",
        "layer_norm_eps",
    )
    parts = ("embeddings.word_embeddings", "encoder.layer.0")

    def __init__(self, n_words: int) -> None:
        make_config, make_body = public("BertConfig", "BertModel")
        config = make_config(vocab_size=n_words, **BERT)
        super().__init__("base", make_body(config, **self.left_out))
        self.width = config.hidden_size

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """See `WordEncoder`."""
        encoded: Tensor = self.body(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        return encoded

    def _checked_config(self, facts: dict[str, Any], folder: Path) -> dict[str, Any]:
        checked = super()._checked_config(facts, folder)
        stored, needed = checked["num_hidden_layers"], self.body.config.num_hidden_layers
        if not isinstance(stored, int) or not needed <= stored <= MOST_LAYERS:
            raise DataError(
                f"{folder}: weights with {stored} layers; {needed} to {MOST_LAYERS} are needed. Use others"
            )
        return checked

    def _stored_config(self, facts: Mapping[str, Any]) -> Any:
        config = self.body.config
        return type(config)(**{**config.to_dict(), "num_hidden_layers": facts["num_hidden_layers"]})

    def _fitted(self, state: dict[str, Tensor], facts: Mapping[str, Any]) -> dict[str, Tensor]:
        """The state without its later layers."""
        return {name: state[name] for name in self.body.state_dict()}


def language_for(vocabulary: Vocabulary) -> WordEncoder | BertEncoder:
    """The encoder of the phrases of a vocabulary: BERT for word pieces, else a small transformer."""
    make = BertEncoder if isinstance(vocabulary, WordPieces) else WordEncoder
    return make(len(vocabulary))

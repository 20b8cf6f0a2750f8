"""``shallow-transformer``: temporal and spatial filters turn EEG into tokens for a transformer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from eavctl.encoders.eeg_rows import EegRows
from eavctl.encoders.tokens import Change, TokenEncoder, Tokens, run_torch_layer
from eavctl.errors import UsageError
from eavctl.registry import register
from eavctl.settings import Share, Within

POOL, POOL_STEP = 35, 7
WIDENING = 4  # of a layer's feed-forward part
POSITION_STD = 0.02
LEAST_POWER = 1e-6
TINY = {"kernel": 25, "stride": 5, "layers": 3}  # trains in minutes on a CPU


@register(
    "encoders",
    "shallow-transformer",
    modality="eeg",
    features=("eeg-epochs",),
    sizes={"base": {}, "tiny": TINY},
    fused={"layers": 4},
    example_shape=(6, 96),
    example_settings={"filters": 8, "kernel": 5, "layers": 2, "heads": 2},
)
class ShallowTransformer(TokenEncoder, EegRows):
    """The shallow convolutional network [1]_ with a transformer between its filters and its log power.

    Each sample in time is a token: the outputs of all filters. Layers of self-attention [2]_ add information
    from the rest of the segment to the tokens. The layers are pre-norm: they normalise their input, not the
    residual stream, so that the power of the filter outputs can still be measured.

    Parameters
    ----------
    shape : (n_chans, n_times) of one row, in microvolt; long enough for one pool of 35 tokens.
    filters : number of temporal filters, each with its own channel weights; the width of a token.
    kernel : length of the temporal filters in samples.
    stride : distance of the tokens in samples. It preserves power: frequencies above half the rate of the
        tokens are aliased with their power. Pools keep their length in samples.
    layers : number of transformer layers; 0 gives the shallow network.
    heads : number of attention heads, a divisor of ``filters``. With 4, a head compares tokens by 10 values;
        8 heads would compare 5 values and need twice as many attention matrices.
    dropout : dropout rate at the end; a fifth of it in the layers.

    References
    ----------
    .. [1] Schirrmeister et al.: Deep learning with convolutional neural networks for EEG decoding and
       visualization, Human Brain Mapping 38, 2017.
    .. [2] Vaswani et al.: Attention is all you need, NeurIPS 2017.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        filters: Annotated[int, Within(1, 512)] = 40,
        kernel: Annotated[int, Within(1, 2000)] = 13,
        stride: Annotated[int, Within(1, 1000)] = 1,
        layers: Annotated[int, Within(0, 48)] = 12,
        heads: Annotated[int, Within(1, 512)] = 4,
        dropout: Share = 0.5,
    ) -> None:
        super().__init__(shape, "shallow-transformer", kernel - 1 + POOL)
        if filters % heads:
            raise UsageError(f"shallow-transformer: {heads} heads do not divide {filters} filters")
        if stride < 1:
            raise UsageError(f"shallow-transformer: stride must be 1 or more, not {stride}")
        # Linear maps over time and over channels commute; with channels first, fewer signals are filtered.
        self.spatial = nn.Conv1d(self.n_chans, filters, 1, bias=False)
        self.temporal = nn.Conv1d(filters, filters, kernel, stride=stride, groups=filters)
        n_tokens = (self.n_times - kernel) // stride + 1
        self.positions = nn.Parameter(POSITION_STD * torch.randn(n_tokens, filters))
        self.layers = nn.ModuleList(_layer(filters, heads, dropout / 5, layers) for _ in range(layers))
        self.norm = nn.BatchNorm1d(filters)
        pool, step = (max(1, round(length / stride)) for length in (POOL, POOL_STEP))
        self.pool = nn.AvgPool1d(pool, step)
        self.dropout = nn.Dropout(dropout)
        self.width, self.n_layers = filters, layers
        self.n_channels = filters  # of the embedding, each with a time course
        self.embedding_dim = filters * ((n_tokens - pool) // step + 1)

    def forward(self, x: Tensor) -> Tensor:
        """Embed (batch, n_chans, n_times) as (batch, filters * n_pools)."""
        return self.run_layers(self.tokens(x))

    def tokens(self, x: Tensor) -> Tokens:
        """Filter outputs of rows (batch, n_chans, n_times), one token per step, plus position embeddings."""
        maps: Tensor = self.temporal(self.spatial(self.standardised(x)))
        return Tokens(maps.transpose(1, 2) + self.positions)

    def pooled(self, tokens: Tokens) -> Tensor:
        """Logarithm of the mean square of every filter in each pool, (batch, embedding_dim)."""
        power = self.pool(self.norm(tokens.states.transpose(1, 2)).square())
        embedding: Tensor = self.dropout(power.clamp(min=LEAST_POWER).log()).flatten(1)
        return embedding

    def _run_layer(
        self, number: int, states: Tensor, mask: Tensor | None, n_given: int, change: Change | None
    ) -> Tensor:
        layer: Any = self.layers[number]
        return run_torch_layer(layer, states, n_given, change)


def _layer(width: int, heads: int, dropout: float, layers: int) -> nn.TransformerEncoderLayer:
    """A layer whose residual branches start small, so that their sum over all layers stays small."""
    layer = nn.TransformerEncoderLayer(
        width, heads, WIDENING * width, dropout, "gelu", batch_first=True, norm_first=True
    )
    layer.self_attn.dropout = 0.0  # on a CPU, dropout of attention weights makes attention 3 times slower
    with torch.no_grad():
        for projection in (layer.self_attn.out_proj, layer.linear2):
            projection.weight.div_(math.sqrt(2 * layers))
    return layer

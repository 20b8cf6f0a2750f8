"""``ast``: the Audio Spectrogram Transformer on log mel energies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from eavctl.encoders.augmentation import stripes, unpadded
from eavctl.encoders.pretrained import Pretrained, Size, draw_tokens, named_sizes, public, sized
from eavctl.encoders.tokens import PUBLIC_LAYER, Change, TokenEncoder, Tokens, run_public_layer
from eavctl.errors import DataError
from eavctl.registry import register

SIZES: dict[str, dict[str, Any]] = {
    "base": {
        "patch_size": 16,
        "time_stride": 10,
        "frequency_stride": 10,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
    },
    "tiny": {
        "patch_size": 16,
        "time_stride": 16,
        "frequency_stride": 16,
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "initializer_range": 0.125,  # preserves the variance across layers: 1 / sqrt(hidden_size)
    },
}
AUDIOSET_MEAN, AUDIOSET_STD = -4.2677393, 4.5689974
STD_FLOOR = 1e-3
TOKENS = 2  # class and distillation token, before those of the patches
POSITIONS = "embeddings.position_embeddings"
# Largest share of the frames and of the bands that training masks, in each of two stripes.
MASK_TIME, MASK_BANDS = 0.10, 0.12


@register(
    "encoders",
    "ast",
    modality="audio",
    features=("fbank",),
    sizes=named_sizes(SIZES),
    example_shape=(96, 32),
    example_settings={"size": "tiny"},
)
class Ast(TokenEncoder, Pretrained):
    """The mean of the class and the distillation token of an Audio Spectrogram Transformer.

    Attention masks patches of padding, which is the run of equal frames at the end of a row; patches beyond
    the longest row of a batch are not computed. So half-empty rows cost half, and an embedding depends
    neither on the value of the padding nor on the batch. For rows without padding, the embedding equals that
    of the public model.

    Parameters
    ----------
    shape : (n_frames, n_mels) of one sample: log mel energies, not normalised; at least 16 x 16.
    size : "base" is the public network, with 1212 patches for (1024, 128), for public weights; "tiny" is for
        training from scratch on a CPU.
    frames_last : whether rows are (n_mels, n_frames), as in the feature set ``logmel``.

    References
    ----------
    .. [1] Gong, Chung, Glass: AST: Audio Spectrogram Transformer, Interspeech 2021.
    """

    name = "ast"
    n_pooled = TOKENS
    architecture = (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "num_mel_bins",
        "patch_size",
        "time_stride",
        "frequency_stride",
        "hidden_act",
        "qkv_bias",
        "layer_norm_eps",
    )
    normalisation = ("mean", "std")
    parts = (
        "embeddings.cls_token",
        "embeddings.distillation_token",
        POSITIONS,
        "embeddings.patch_embeddings.projection",
        "embeddings.get_shape",
        "layernorm",
        *(f"layers.0.{part}" for part in PUBLIC_LAYER),
    )

    def __init__(self, shape: Sequence[int], *, size: Size = "base", frames_last: bool = False) -> None:
        make_config, make_body = public("ASTConfig", "ASTModel")
        settings = sized(SIZES, size)
        if len(shape) != 2 or min(shape) < settings["patch_size"]:
            raise DataError(
                f"encoder 'ast' takes log mel energies of at least {settings['patch_size']} frames and "
                f"bands, not rows of shape {tuple(shape)}; extract with --features fbank"
            )
        n_frames, n_mels = reversed(shape) if frames_last else shape
        config = make_config(max_length=n_frames, num_mel_bins=n_mels, **settings)
        mean, std = torch.tensor(AUDIOSET_MEAN), torch.tensor(AUDIOSET_STD)
        super().__init__(size, make_body(config), config.hidden_size, mean, std)
        parts = self.body.embeddings
        draw_tokens(size, parts.cls_token, parts.distillation_token, parts.position_embeddings)
        self.frames_last = frames_last
        self.width, self.n_layers = config.hidden_size, len(self.body.layers)
        self._has_public_normalisation = False

    def load_weights(self, weights: Path) -> None:
        """Load the body from a public checkpoint; its mean and deviation of the input are no longer fitted.

        For fewer frames, the middle position embeddings are used; for more, they are interpolated, as in the
        paper. For weights and errors see `Pretrained.load_weights`.
        """
        super().load_weights(weights)
        self._has_public_normalisation = True

    def fit_input(self, x: Tensor) -> None:
        """Fit the mean and deviation of the unpadded frames, unless those of public weights were loaded.

        Parameters
        ----------
        x : shape (n_samples, *shape), training rows only.
        """
        if not self._has_public_normalisation:
            values = self.input_values(x)[0]
            self.set_moments(values.mean(), values.std(correction=0))

    def input_values(self, x: Tensor) -> Tensor:
        """See `eavctl.encoders.moments.FitsMoments`: the unpadded frames of all bands, (1, n_values)."""
        x = self._frames_first(x)
        return x[unpadded(x.transpose(1, 2))].reshape(1, -1)

    def set_moments(self, mean: Tensor, std: Tensor) -> None:
        """See `eavctl.encoders.moments.FitsMoments`."""
        if not self._has_public_normalisation:
            self.mean.copy_(mean.squeeze())
            self.std.copy_(std.squeeze().clamp(min=STD_FLOOR))

    def forward(self, x: Tensor) -> Tensor:
        """Embed (batch, *shape) as (batch, hidden_size)."""
        return self.run_layers(self.tokens(x))

    def tokens(self, x: Tensor) -> Tokens:
        """Class and distillation token and the patches of (batch, *shape), up to the longest unpadded row."""
        x = self._frames_first(x)
        config, parts = self.body.config, self.body.embeddings
        bands, steps = parts.get_shape(config)
        n_frames = unpadded(x.transpose(1, 2)).sum(dim=1)
        lengths = (n_frames / config.time_stride).ceil().clamp(max=steps)  # patches with unpadded frames
        # A graph has one number of patches: all, of which the mask leaves out those of padding.
        longest = steps if torch.compiler.is_exporting() else int(lengths.max())
        trimmed = x[:, : (longest - 1) * config.time_stride + config.patch_size]
        patches = parts.patch_embeddings((trimmed - self.mean) / (2 * self.std))
        tokens = torch.cat([parts.cls_token, parts.distillation_token], dim=1).expand(x.shape[0], -1, -1)
        positions = parts.position_embeddings
        grid = positions[:, TOKENS:].reshape(1, bands, steps, -1)[:, :, :longest].flatten(1, 2)
        states = torch.cat([tokens + positions[:, :TOKENS], patches + grid], dim=1)
        return Tokens(states, _attention_mask(lengths, longest, bands))

    def pooled(self, tokens: Tokens) -> Tensor:
        """Mean of the class and the distillation token, (batch, hidden_size)."""
        embedded: Tensor = self.body.layernorm(tokens.states[:, :TOKENS]).mean(dim=1)
        return embedded

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Mask stripes of time and of bands [1]_; masked cells are set to the mean of the input.

        Parameters
        ----------
        x : shape (batch, *shape).
        generator : random generator on the device of ``x``.

        References
        ----------
        .. [1] Park et al.: SpecAugment, 2019.
        """
        frames = self._frames_first(x)
        in_time = stripes(frames, frames.shape[1], MASK_TIME, generator)[:, :, None]
        in_frequency = stripes(frames, frames.shape[2], MASK_BANDS, generator)[:, None, :]
        hidden = (in_time | in_frequency) & unpadded(frames.transpose(1, 2))[:, :, None]
        return torch.where(self._frames_first(hidden), self.mean, x)

    def _run_layer(
        self, number: int, states: Tensor, mask: Tensor | None, n_given: int, change: Change | None
    ) -> Tensor:
        return run_public_layer(self.body.layers[number], states, mask, n_given, change)

    def _frames_first(self, x: Tensor) -> Tensor:
        """Reorder (batch, *shape) to (batch, n_frames, n_mels), or back."""
        return x.transpose(1, 2) if self.frames_last else x

    def _stored_config(self, facts: Mapping[str, Any]) -> Any:
        config = self.body.config
        return type(config)(**{**config.to_dict(), "max_length": facts["max_length"]})

    def _fitted(self, state: dict[str, Tensor], facts: Mapping[str, Any]) -> dict[str, Tensor]:
        bands, steps = self.body.embeddings.get_shape(self.body.config)
        positions = state[POSITIONS]
        grid = positions[0, TOKENS:].T.reshape(positions.shape[2], bands, -1)
        fitted = _fit_steps(grid, steps).flatten(1).T[None]
        return {**state, POSITIONS: torch.cat([positions[:, :TOKENS], fitted], dim=1)}


def _attention_mask(lengths: Tensor, longest: int, bands: int) -> Tensor | None:
    """Mask of the tokens to attend to, bool (batch, 1, 1, n_tokens); None: all."""
    if not torch.compiler.is_exporting() and bool((lengths == longest).all()):
        return None
    is_unpadded = torch.arange(longest, device=lengths.device) < lengths[:, None]
    return F.pad(is_unpadded.repeat(1, bands), (TOKENS, 0), value=True)[:, None, None]


def _fit_steps(grid: Tensor, steps: int) -> Tensor:
    """Adapt positions (dim, bands, stored steps) to the number of time steps: crop or interpolate."""
    stored = grid.shape[2]
    if steps <= stored:
        start = stored // 2 - steps // 2
        return grid[:, :, start : start + steps]
    return F.interpolate(grid[None], (grid.shape[1], steps), mode="bilinear", align_corners=False)[0]

"""``vit``: the Vision Transformer on each frame of a face clip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from eavctl.encoders.face_clips import FaceClipEncoder, NFrames
from eavctl.encoders.pretrained import Size, draw_tokens, named_sizes, public, sized
from eavctl.encoders.public_names import HALF, VIT_B16
from eavctl.encoders.tokens import (
    PUBLIC_LAYER,
    Change,
    TokenEncoder,
    Tokens,
    mean_of_sequences,
    run_public_layer,
)
from eavctl.registry import register
from eavctl.settings import Within

SIZES: dict[str, dict[str, Any]] = {
    "base": {
        "image_size": 224,
        "patch_size": 16,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
    },
    "tiny": {
        "image_size": 56,
        "patch_size": 8,
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "initializer_range": 0.125,  # preserves the variance across layers: 1 / sqrt(hidden_size)
    },
}
POSITIONS = "embeddings.position_embeddings"
Eps = Annotated[float, Within(0, 1e-2)]


@register(
    "encoders",
    "vit",
    modality="video",
    features=("faces", "images"),
    sizes=named_sizes(SIZES),
    example_shape=(6, 32, 32, 3),
    example_settings={"size": "tiny"},
    example_dtype="uint8",
)
class Vit(TokenEncoder, FaceClipEncoder):
    """The class token of a Vision Transformer, averaged over the frames.

    Parameters
    ----------
    shape : see `FaceClipEncoder`.
    size : "base" is ViT-B/16 at 224 pixels, for public weights; "tiny" is for training from scratch on a CPU.
    frames : number of frames to use, evenly spaced; None: all for size "base", 5 for "tiny".
    norm_eps : epsilon of the layer norms: 1e-12 of weights of transformers, 1e-6 of timm and torchvision.
        Weights of a state dict choose it.

    References
    ----------
    .. [1] Dosovitskiy et al.: An image is worth 16x16 words, ICLR 2021.
    """

    name = "vit"
    n_pooled = 1
    left_out: ClassVar = {"add_pooling_layer": False}
    architecture = (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "image_size",
        "patch_size",
        "num_channels",
        "hidden_act",
        "qkv_bias",
        "layer_norm_eps",
    )
    namings = VIT_B16
    parts = (
        "embeddings.cls_token",
        POSITIONS,
        "embeddings.patch_embeddings.projection",
        "layernorm",
        *(f"layers.0.{part}" for part in PUBLIC_LAYER),
    )

    def __init__(
        self,
        shape: Sequence[int],
        *,
        size: Size = "base",
        frames: NFrames | None = None,
        norm_eps: Eps = 1e-12,
    ) -> None:
        make_config, make_body = public("ViTConfig", "ViTModel")
        config = make_config(layer_norm_eps=float(norm_eps), **sized(SIZES, size))
        super().__init__(
            shape,
            frames=frames,
            side=config.image_size,
            size=size,
            body=make_body(config, **self.left_out),
            embedding_dim=config.hidden_size,
            mean=HALF,
            std=HALF,
        )
        parts = self.body.embeddings
        draw_tokens(size, parts.cls_token, parts.position_embeddings)
        self.width, self.n_layers = config.hidden_size, len(self.body.layers)
        self.norm_eps = norm_eps

    def tokens(self, x: Tensor) -> Tokens:
        """Class token and patches of every used frame of (batch, *shape); each frame is a sequence."""
        clips = self.used_frames(x)
        return Tokens(self.body.embeddings(self.pictures(clips)), n_sequences=clips.shape[1])

    def pooled(self, tokens: Tokens) -> Tensor:
        """Mean over the frames of their class tokens, (batch, hidden_size)."""
        return mean_of_sequences(self.body.layernorm(tokens.states[:, 0]), tokens.n_sequences)

    def describe(self, pictures: Tensor) -> Tensor:
        """Class tokens (n, hidden_size) of standardised pictures (n, 3, side, side)."""
        return self.run_layers(Tokens(self.body.embeddings(pictures)))

    def _resized(self, name: str, tensor: Tensor) -> Tensor:
        """Interpolate positions of pictures of another size in two dimensions, as in the paper."""
        n_patches = tensor.shape[1] - self.n_pooled if tensor.ndim == 3 else 0
        stored = math.isqrt(max(0, n_patches))
        if name != POSITIONS or n_patches < 1 or stored**2 != n_patches:
            return tensor
        own, patches = tensor[:, : self.n_pooled], tensor[:, self.n_pooled :]
        side = self.body.config.image_size // self.body.config.patch_size
        grid = patches.transpose(1, 2).reshape(len(patches), -1, stored, stored)
        if side != stored:
            grid = F.interpolate(grid, (side, side), mode="bicubic", align_corners=False, antialias=True)
        return torch.cat([own, grid.flatten(2).transpose(1, 2)], dim=1)

    def _run_layer(
        self, number: int, states: Tensor, mask: Tensor | None, n_given: int, change: Change | None
    ) -> Tensor:
        return run_public_layer(self.body.layers[number], states, mask, n_given, change)

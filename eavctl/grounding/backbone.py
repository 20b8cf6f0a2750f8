"""A Vision Transformer whose blocks a phrase can change, with attention in windows in most of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from eavctl.encoders.pretrained import Pretrained, Size, draw_tokens, public, sized
from eavctl.encoders.public_names import HALF
from eavctl.encoders.tokens import PUBLIC_LAYER, Change, run_public_layer
from eavctl.errors import DataError, UsageError

POSITIONS = "embeddings.position_embeddings"
BRIGHTEST = 255.0
LARGEST_SIDE = 2048  # pixels


@dataclass(frozen=True)
class Shape:
    """Sizes of a backbone.

    Parameters
    ----------
    side : of the square pictures, in pixels, by default.
    patch : side of a patch, in pixels.
    width, n_blocks, heads, inner : of the transformer; ``inner`` is the width within its MLPs.
    rank : of the changes that a law makes.
    window : side of a window of attention, in patches; None: every block attends to the whole picture.
    n_global : blocks that attend to the whole picture where others do not: the last of equal parts.
    initial_std : standard deviation of the initial weights.
    """

    side: int
    patch: int
    width: int
    n_blocks: int
    heads: int
    inner: int
    rank: int
    window: int | None = None
    n_global: int = 1
    initial_std: float = 0.02

    @property
    def windows(self) -> list[int | None]:
        """The side of the windows in each block; None: the whole picture."""
        part = self.n_blocks // self.n_global
        return [None if number % part == part - 1 else self.window for number in range(self.n_blocks)]

    def grid(self, side: int) -> int:
        """Number of patches along a side of pictures of that many pixels.

        Raises
        ------
        UsageError : patches or windows do not fill such pictures.
        """
        unit = self.patch * (self.window or 1)
        if not unit <= side <= LARGEST_SIDE or side % unit:
            raise UsageError(f"pictures must have a multiple of {unit} pixels a side, not {side}")
        return side // self.patch


SIZES = {
    "base": Shape(448, 16, 768, 12, 12, 3072, rank=32, window=14, n_global=4),
    "tiny": Shape(64, 8, 64, 4, 4, 128, rank=16, initial_std=0.125),  # 1 / sqrt(width) keeps the variance
}


@dataclass(frozen=True)
class BlockChange:
    """What a phrase changes in a block.

    Parameters
    ----------
    project : what is added to queries, keys and values: of states (batch, n_places, width), shape (batch,
        n_places, 3 * width); None: nothing.
    output : applied to the block's output; None: nothing.
    """

    project: Change | None = None
    output: Callable[[Tensor], Tensor] | None = None


class Backbone(Pretrained):
    """A Vision Transformer [1]_ without its class token; "base" attends in windows in 8 of 12 blocks [2]_.

    Parameters
    ----------
    size : "base" is ViT-B/16, for public weights of any resolution; "tiny" is for training from scratch.
    side : of the pictures, in pixels; None: 448 for "base", 64 for "tiny".

    Raises
    ------
    UsageError : no such size, or a side that patches or windows do not fill.

    References
    ----------
    .. [1] Dosovitskiy et al.: An image is worth 16x16 words, ICLR 2021.
    .. [2] Li et al.: Exploring plain vision transformer backbones for object detection, ECCV 2022.
    """

    name = "vit"
    normalisation = ("image_mean", "image_std")
    left_out: ClassVar = {"add_pooling_layer": False}
    architecture = (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "patch_size",
        "num_channels",
        "hidden_act",
        "qkv_bias",
        "layer_norm_eps",
    )
    parts = (
        POSITIONS,
        "embeddings.cls_token",
        "embeddings.patch_embeddings",
        "layernorm",
        *(f"layers.0.{part}" for part in PUBLIC_LAYER),
    )

    def __init__(self, size: Size = "tiny", side: int | None = None) -> None:
        shape: Shape = sized(SIZES, size)
        side = shape.side if side is None else side
        grid = shape.grid(side)
        make_config, make_body = public("ViTConfig", "ViTModel")
        config = make_config(
            image_size=side,
            patch_size=shape.patch,
            hidden_size=shape.width,
            num_hidden_layers=shape.n_blocks,
            num_attention_heads=shape.heads,
            intermediate_size=shape.inner,
            initializer_range=shape.initial_std,
        )
        half = torch.tensor(HALF).reshape(3, 1, 1)
        super().__init__(size, make_body(config, **self.left_out), shape.width, half, half.clone())
        self.shape, self.side, self.grid = shape, side, grid
        draw_tokens(size, self.body.embeddings.cls_token, self.body.embeddings.position_embeddings)

    def forward(self, pictures: Tensor, changes: Sequence[BlockChange]) -> Tensor:
        """Features of the places of pictures.

        Parameters
        ----------
        pictures : uint8, shape (batch, side, side, 3).
        changes : one a block.

        Returns
        -------
        Shape (batch, grid * grid, width), row by row.
        """
        embeddings = self.body.embeddings
        values = pictures.permute(0, 3, 1, 2).to(self.mean.dtype) / BRIGHTEST
        places = embeddings.patch_embeddings((values - self.mean) / self.std)
        states = embeddings.dropout(places + embeddings.position_embeddings[:, 1:])
        for layer, window, change in zip(self.body.layers, self.shape.windows, changes, strict=True):
            states = run_block(layer, states, None if window is None else (self.grid, window), change)
        features: Tensor = self.body.layernorm(states)
        return features

    def _checked_config(self, facts: dict[str, Any], folder: Path) -> dict[str, Any]:
        checked = super()._checked_config(facts, folder)
        side = checked["image_size"]
        if not isinstance(side, int) or not self.shape.patch <= side <= LARGEST_SIDE:
            raise DataError(f"{folder}: weights for pictures of {side} pixels; use others")
        return checked

    def _stored_config(self, facts: Mapping[str, Any]) -> Any:
        config = self.body.config
        return type(config)(**{**config.to_dict(), "image_size": facts["image_size"]})

    def _fitted(self, state: dict[str, Tensor], facts: Mapping[str, Any]) -> dict[str, Tensor]:
        """The state with its positions interpolated to the grid."""
        return {**state, POSITIONS: fit_positions(state[POSITIONS], self.grid)}


def fit_positions(positions: Tensor, grid: int) -> Tensor:
    """Interpolate the position embeddings of a square grid, (1, 1 + n_places, width), to another size.

    Returns
    -------
    Shape (1, 1 + grid * grid, width); the first, of the class token, is kept.
    """
    stored = round((positions.shape[1] - 1) ** 0.5)
    if stored == grid:
        return positions
    square = positions[:, 1:].transpose(1, 2).reshape(1, -1, stored, stored)
    fitted = F.interpolate(square, (grid, grid), mode="bicubic", align_corners=False)
    return torch.cat([positions[:, :1], fitted.flatten(2).transpose(1, 2)], dim=1)


def run_block(layer: Any, states: Tensor, windows: tuple[int, int] | None, change: BlockChange) -> Tensor:
    """Run a layer of `transformers`' ViT with the change that a phrase makes.

    All but the attention treats each place by itself, so that a layer within windows is the layer on the
    windows as rows. The change of the projections differs from picture to picture: it is computed on whole
    pictures, and cut as the states are.

    Parameters
    ----------
    layer : a ViTLayer, with the parts `PUBLIC_LAYER`.
    states : (batch, n_places, width).
    windows : sides of the grid of places and of the windows, in places; None: no windows.
    change : of the projections and of the output.
    """
    project = change.project
    if windows is None:
        states = run_public_layer(layer, states, None, states.shape[1], project)
    else:
        cut = cut_windows(states, *windows)
        within = None if project is None else _within_windows(project, windows)
        states = join_windows(run_public_layer(layer, cut, None, cut.shape[1], within), *windows)
    return states if change.output is None else change.output(states)


def _within_windows(project: Change, windows: tuple[int, int]) -> Change:
    """The change of pictures as one of their windows."""
    return lambda cut: cut_windows(project(join_windows(cut, *windows)), *windows)


def cut_windows(states: Tensor, grid: int, window: int) -> Tensor:
    """Cut a grid into windows: (batch, grid ** 2, width) to (batch * n_windows, window ** 2, width)."""
    n = grid // window
    cut = states.reshape(len(states), n, window, n, window, -1)
    return cut.transpose(2, 3).reshape(-1, window**2, states.shape[2])


def join_windows(states: Tensor, grid: int, window: int) -> Tensor:
    """Put windows together again: the inverse of `cut_windows`."""
    n = grid // window
    cut = states.reshape(-1, n, n, window, window, states.shape[2])
    return cut.transpose(2, 3).reshape(-1, grid**2, states.shape[2])

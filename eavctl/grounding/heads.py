"""The heads of a grounding network: pooling by a phrase, a box, a mask, and whether the phrase fits."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

MATCHED = 64  # values in which places and phrase are compared
HIDDEN = 256
EDGE, LEAST_VARIANCE = 1e-3, 1e-6  # shares of a picture, where logit and square root have finite slopes
EXPECTED_SHARE = 0.1  # of a picture that an object covers, for the initial bias of masks


class Pooled(NamedTuple):
    """Features of what a phrase describes.

    Parameters
    ----------
    features : (batch, width).
    centre, spread : x and y of the weights' mean and deviation, as shares of the picture, (batch, 2).
    """

    features: Tensor
    centre: Tensor
    spread: Tensor


class Pooling(nn.Module):
    """Mean of the places, weighted by how well each fits the phrase: language-adaptive pooling [1]_.

    Besides the features, it tells where the weights lie: networks without public weights learn it slowly.

    Parameters
    ----------
    width, phrase_width : of the places' features and of the phrase's.
    grid : places along a side.

    References
    ----------
    .. [1] Su et al.: Language adaptive weight generation for multi-task visual grounding, CVPR 2023.
    """

    where: Tensor

    def __init__(self, width: int, phrase_width: int, grid: int) -> None:
        super().__init__()
        self.place, self.phrase = nn.Linear(width, MATCHED), nn.Linear(phrase_width, MATCHED)
        steps = (torch.arange(grid) + 0.5) / grid
        rows, columns = torch.meshgrid(steps, steps, indexing="ij")
        where = torch.stack([columns, rows], dim=2).reshape(-1, 2)
        self.register_buffer("where", where, persistent=False)

    def forward(self, places: Tensor, phrase: Tensor) -> Pooled:
        """Pool (batch, n_places, width) by phrases (batch, phrase_width)."""
        scores = self.place(places) @ self.phrase(phrase)[:, :, None] / math.sqrt(MATCHED)
        weights = scores.softmax(dim=1)
        centre = (weights * self.where).sum(dim=1)
        variance = (weights * (self.where - centre[:, None]) ** 2).sum(dim=1)
        return Pooled((weights * places).sum(dim=1), centre, (variance + LEAST_VARIANCE).sqrt())


class BoxHead(nn.Module):
    """Three linear layers and a sigmoid to (cx, cy, width, height) as shares, (batch, 4).

    The layers give the distance of the box's centre from that of the pooling's weights.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width + 4, HIDDEN),
            nn.GELU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.GELU(),
            nn.Linear(HIDDEN, 4),
        )

    def forward(self, pooled: Pooled) -> Tensor:
        """The boxes of what was pooled, (batch, 4)."""
        values = self.layers(torch.cat(pooled, dim=1))
        start = torch.cat([pooled.centre.logit(eps=EDGE), torch.zeros_like(pooled.spread)], dim=1)
        boxes: Tensor = (values + start).sigmoid()
        return boxes


class ScoreHead(nn.Module):
    """The logit that a phrase fits something, from the pooled features and those of the phrase."""

    def __init__(self, width: int, phrase_width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width + phrase_width, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, 1))

    def forward(self, pooled: Pooled, phrase: Tensor) -> Tensor:
        """From what was pooled by phrases (batch, phrase_width), (batch,)."""
        logits: Tensor = self.layers(torch.cat([pooled.features, phrase], dim=1))
        return logits[:, 0]


class MaskHead(nn.Module):
    """Two transposed convolutions to a quarter of a patch, and a dot product with the phrase [1]_.

    A point of the map is 4 pixels for patches of 16, and 2 for those of 8.

    Parameters
    ----------
    width, phrase_width : of the places' features and of the phrase's.
    grid, side : of the places, and of the pictures in pixels.

    References
    ----------
    .. [1] Su et al.: Language adaptive weight generation for multi-task visual grounding, CVPR 2023.
    """

    def __init__(self, width: int, phrase_width: int, grid: int, side: int) -> None:
        super().__init__()
        inner = max(width // 3, 32)
        self.grid, self.side = grid, side
        self.widen = nn.ConvTranspose2d(width, inner, 2, stride=2)
        self.norm = nn.LayerNorm(inner)
        self.again = nn.ConvTranspose2d(inner, width, 2, stride=2)
        self.phrase = nn.Linear(phrase_width, width)
        self.bias = nn.Parameter(torch.tensor(math.log(EXPECTED_SHARE / (1 - EXPECTED_SHARE))))

    def forward(self, places: Tensor, phrase: Tensor) -> Tensor:
        """Logits (batch, side, side) of places (batch, grid ** 2, width), phrases (batch, phrase_width)."""
        grid = places.transpose(1, 2).reshape(len(places), -1, self.grid, self.grid)
        wide = self.widen(grid).permute(0, 2, 3, 1)
        points = self.again(F.gelu(self.norm(wide)).permute(0, 3, 1, 2))
        fits = torch.einsum("bchw,bc->bhw", points, self.phrase(phrase)) / math.sqrt(points.shape[1])
        size = (self.side, self.side)
        whole = F.interpolate((fits + self.bias)[:, None], size, mode="bilinear", align_corners=False)
        return whole[:, 0]

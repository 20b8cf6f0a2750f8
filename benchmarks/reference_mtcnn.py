"""MTCNN by the textbook, in torch, with the defaults and the weights of the package ``mtcnn``.

The package itself runs in tensorflow. On recorded frames it finds the same faces as this, in boxes that are
the same to 0.01 pixels if pictures are resized in its way, and mostly within 3 pixels with torch's.

Reference: Zhang, Zhang, Li, Qiao: Joint face detection and alignment using multitask cascaded convolutional
networks, IEEE Signal Processing Letters, 2016.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import joblib
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

SMALLEST_FACE, FACTOR = 20, 0.709  # pixels; from one level of the pyramid to the next
LEAST = (0.6, 0.7, 0.7)  # scores of P-Net, R-Net and O-Net; the package asks 0.8 of O-Net
CELL, STRIDE = 12, 2  # P-Net's window and step, pixels


def _convolution(n_in: int, n_out: int, side: int) -> list[nn.Module]:
    return [nn.Conv2d(n_in, n_out, side), nn.PReLU(n_out)]


def _pool(side: int) -> nn.Module:
    return nn.MaxPool2d(side, stride=2, ceil_mode=True)


class ByColumns(nn.Module):
    """Flattens (n, channels, height, width) to rows that count columns, then rows, then channels."""

    def forward(self, x: Tensor) -> Tensor:
        """Flatten."""
        return x.permute(0, 3, 2, 1).flatten(1)


class Net(nn.Module):
    """A trunk and heads: offsets of the box, points (O-Net), and the pair from which the score comes."""

    def __init__(self, trunk: list[nn.Module], heads: list[nn.Module]) -> None:
        super().__init__()
        self.trunk, self.heads = nn.Sequential(*trunk), nn.ModuleList(heads)

    def forward(self, x: Tensor) -> list[Tensor]:
        """What each head says, the score, (n, ...), last."""
        x = self.trunk(x)
        *others, pair = [head(x) for head in self.heads]
        return [*others, pair.softmax(dim=1)[:, 1]]


class Mtcnn:
    """The three networks and the cascade."""

    def __init__(self) -> None:
        self.pnet = Net(
            [*_convolution(3, 10, 3), _pool(2), *_convolution(10, 16, 3), *_convolution(16, 32, 3)],
            [nn.Conv2d(32, 4, 1), nn.Conv2d(32, 2, 1)],
        )
        self.rnet = Net(
            [
                *(*_convolution(3, 28, 3), _pool(3), *_convolution(28, 48, 3), _pool(3)),
                *(*_convolution(48, 64, 2), ByColumns(), nn.Linear(576, 128), nn.PReLU(128)),
            ],
            [nn.Linear(128, 4), nn.Linear(128, 2)],
        )
        self.onet = Net(
            [
                *(*_convolution(3, 32, 3), _pool(3), *_convolution(32, 64, 3), _pool(3)),
                *(*_convolution(64, 64, 3), _pool(2), *_convolution(64, 128, 2)),
                *(ByColumns(), nn.Linear(1152, 256), nn.PReLU(256)),
            ],
            [nn.Linear(256, 4), nn.Linear(256, 10), nn.Linear(256, 2)],
        )
        for name in ("pnet", "rnet", "onet"):
            _load(getattr(self, name), name)

    @torch.inference_mode()
    def detect(self, picture: np.ndarray) -> np.ndarray:
        """Find the faces in a picture, uint8 (height, width, 3), RGB.

        Returns
        -------
        float, shape (n_faces, 5): left, top, right and bottom in pixels, and the score; best first.
        """
        image = ((torch.tensor(picture).permute(2, 0, 1).float() - 127.5) / 128)[None]
        boxes = _squares(self._proposals(image))
        boxes = _squares(_distinct(_refined(self.rnet, image, boxes, 24, LEAST[1]), 0.7))
        return _distinct(_refined(self.onet, image, boxes, 48, LEAST[2]), 0.7, of_smaller=True)

    def _proposals(self, image: Tensor) -> np.ndarray:
        """Boxes and scores, (n, 5), from P-Net on each level of the pyramid."""
        height, width = image.shape[2:]
        scale, levels = CELL / SMALLEST_FACE, [np.empty((0, 5))]
        while min(height, width) * scale >= CELL:
            level = F.interpolate(image, (int(height * scale), int(width * scale)), mode="area")
            offsets, scores = (values[0].numpy() for values in self.pnet(level))
            rows, columns = np.nonzero(scores > LEAST[0])
            corner = np.stack([columns, rows], axis=1) * STRIDE + 1  # as the package counts
            length = CELL - 1
            boxes = np.concatenate([corner, corner + length], axis=1) + length * offsets[:, rows, columns].T
            levels.append(_distinct(np.column_stack([boxes / scale, scores[rows, columns]]), 0.5))
            scale *= FACTOR
        return _distinct(np.concatenate(levels), 0.7)


def _load(net: Net, name: str) -> None:
    """Fill a network; in the package's file, kernels have their channels last."""
    spec = importlib.util.find_spec("mtcnn")  # not imported, since that would take tensorflow
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "assets" / "weights"
    weights = iter(joblib.load(folder / f"{name}.lz4"))
    for layer in net.modules():
        if isinstance(layer, nn.PReLU):
            layer.weight.data = torch.tensor(next(weights).reshape(-1))
        elif isinstance(layer, (nn.Conv2d, nn.Linear)):
            kernel = torch.tensor(next(weights))
            layer.weight.data = (kernel.permute(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T).contiguous()
            layer.bias = nn.Parameter(torch.tensor(next(weights)))


def _refined(net: Net, image: Tensor, boxes: np.ndarray, side: int, least: float) -> np.ndarray:
    """Boxes and scores, (n, 5), of the square boxes in which a network sees a face."""
    if not len(boxes):
        return boxes
    patches = F.grid_sample(
        image.expand(len(boxes), -1, -1, -1), _grid(boxes, image.shape[2:], side), align_corners=True
    )
    offsets, *_, scores = (values.numpy() for values in net(patches))
    keep = scores > least
    size = boxes[keep, 2:3] - boxes[keep, :1] + 1
    return np.column_stack([boxes[keep, :4] + offsets[keep] * size, scores[keep]])


def _grid(boxes: np.ndarray, size: torch.Size, side: int) -> Tensor:
    """Where patches of ``side`` pixels take their pixels from, (n, side, side, 2), -1 to 1."""
    steps = np.linspace(0, 1, side)
    down, across = (
        2 * (boxes[:, i : i + 1] + (boxes[:, i + 2 : i + 3] - boxes[:, i : i + 1]) * steps) / length - 1
        for i, length in ((1, size[0]), (0, size[1]))
    )
    shape = (len(boxes), side, side)
    grid = [np.broadcast_to(across[:, None, :], shape), np.broadcast_to(down[:, :, None], shape)]
    return torch.from_numpy(np.stack(grid, axis=-1)).float()


def _squares(boxes: np.ndarray) -> np.ndarray:
    """Squares of the same centres, as long as the longer sides; scores stay."""
    centre = (boxes[:, :2] + boxes[:, 2:4]) / 2
    half = (boxes[:, 2:4] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([centre - half, centre + half, boxes[:, 4:]], axis=1)


def _distinct(boxes: np.ndarray, most: float, of_smaller: bool = False) -> np.ndarray:
    """Boxes and scores, best first, without those that a better one overlaps by more than ``most``.

    As in the package, a box that is itself left out still counts as a better one.
    """
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    areas = (boxes[:, 2:4] - boxes[:, :2]).prod(axis=1)
    corners, opposite = boxes[:, None, :2], boxes[:, None, 2:4]
    sides = np.minimum(opposite, boxes[:, 2:4]) - np.maximum(corners, boxes[:, :2])
    common = np.maximum(sides, 0).prod(axis=2)
    whole = np.minimum(areas[:, None], areas) if of_smaller else areas[:, None] + areas - common
    return np.asarray(boxes[~np.triu(common > most * whole, k=1).any(axis=0)])

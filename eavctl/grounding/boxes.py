"""Boxes (cx, cy, width, height) as shares of a picture: their corners, and how much two overlap."""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_AREA = 1e-9  # share of the picture, so that boxes of no size have an overlap of zero


def corners(boxes: Tensor) -> Tensor:
    """Left, top, right and bottom of boxes (n, 4), as shares of the picture, (n, 4)."""
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    return torch.cat([centre - half, centre + half], dim=1)


def overlap(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union of pairs of boxes, and its generalisation [1]_.

    Parameters
    ----------
    boxes, others : (cx, cy, width, height), shape (n, 4).

    Returns
    -------
    IoU, from 0 to 1, and GIoU, from -1 to 1, which still falls as boxes that do not meet move apart; (n,).

    References
    ----------
    .. [1] Rezatofighi et al.: Generalized intersection over union, CVPR 2019.
    """
    one, other = corners(boxes), corners(others)
    inner = torch.cat([torch.maximum(one, other)[:, :2], torch.minimum(one, other)[:, 2:]], dim=1)
    outer = torch.cat([torch.minimum(one, other)[:, :2], torch.maximum(one, other)[:, 2:]], dim=1)
    both = _area(inner)
    union = (_area(one) + _area(other) - both).clamp(min=LEAST_AREA)
    hull = _area(outer).clamp(min=LEAST_AREA)
    iou = both / union
    return iou, iou - (hull - union) / hull


def _area(edges: Tensor) -> Tensor:
    """Area between corners (n, 4), zero where the right lies left of the left; (n,)."""
    size = (edges[:, 2:] - edges[:, :2]).clamp(min=0)
    return size[:, 0] * size[:, 1]

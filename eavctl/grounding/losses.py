"""Losses of boxes, masks and scores, one value a row; and the sum that a grounding network minimises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from eavctl.grounding.boxes import overlap

FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2
# L1, GIoU, focal and dice as VG-LAW has them (Su et al., CVPR 2023); it has no score.
WEIGHTS: Mapping[str, float] = MappingProxyType({"l1": 1, "giou": 1, "focal": 4, "dice": 4, "score": 1})


class Answers(NamedTuple):
    """What a grounding network answers for a batch.

    Parameters
    ----------
    boxes : cx, cy, width, height as shares of the picture, (batch, 4).
    masks : logits, (batch, side, side).
    scores : logits that the phrase fits something in the picture, (batch,).
    """

    boxes: Tensor
    masks: Tensor
    scores: Tensor


@dataclass(frozen=True)
class Truth:
    """What a grounding network should answer for a batch.

    Parameters
    ----------
    boxes : (batch, 4), never read where nothing is there.
    there : bool, (batch,), whether the phrase fits something.
    masks : (batch, side, side), 1 where the object is, never read where no mask is known.
    has_mask : bool, (batch,).
    """

    boxes: Tensor
    there: Tensor
    masks: Tensor
    has_mask: Tensor


def row_losses(answers: Answers, truth: Truth) -> dict[str, Tensor]:
    """Each loss by its name in `WEIGHTS`, of the rows that have it.

    Returns
    -------
    ``score`` of all rows; ``l1`` and ``giou`` of rows with an object; ``focal`` and ``dice`` of rows with a
    mask. Their lengths differ, and can be 0.
    """
    boxes, true_boxes = answers.boxes[truth.there], truth.boxes[truth.there]
    masks, true_masks = answers.masks[truth.has_mask], truth.masks[truth.has_mask].to(answers.masks.dtype)
    is_there = truth.there.to(answers.scores.dtype)
    return {
        "score": F.binary_cross_entropy_with_logits(answers.scores, is_there, reduction="none"),
        "l1": box_l1(boxes, true_boxes),
        "giou": giou_loss(boxes, true_boxes),
        "focal": focal_loss(masks, true_masks),
        "dice": dice_loss(masks, true_masks),
    }


def weighted_sum(losses: Mapping[str, Tensor]) -> Tensor:
    """Weighted sum of the means of `row_losses`; a loss that no row has counts 0."""
    means = [WEIGHTS[name] * values.sum() / max(1, len(values)) for name, values in losses.items()]
    return torch.stack(means).sum()


def box_l1(boxes: Tensor, truth: Tensor) -> Tensor:
    """Sum of the absolute differences of the four values, of boxes (n, 4); (n,)."""
    return (boxes - truth).abs().sum(dim=1)


def giou_loss(boxes: Tensor, truth: Tensor) -> Tensor:
    """1 - GIoU of boxes (n, 4), from 0 to 2; (n,). See `eavctl.grounding.boxes.overlap`."""
    return 1 - overlap(boxes, truth)[1]


def focal_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Focal loss [1]_ with alpha 0.25 and gamma 2, mean over the pixels of a mask.

    Parameters
    ----------
    logits : of masks, shape (n, height, width).
    truth : 1 where the object is, else 0, the same shape and type.

    Returns
    -------
    Shape (n,).

    References
    ----------
    .. [1] Lin et al.: Focal loss for dense object detection, ICCV 2017.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    wrong = torch.where(truth > 0.5, 1 - logits.sigmoid(), logits.sigmoid())
    alpha = torch.where(truth > 0.5, FOCAL_ALPHA, 1 - FOCAL_ALPHA)
    return (alpha * wrong**FOCAL_GAMMA * entropy).mean(dim=(1, 2))


def dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1) over the pixels of a mask [1]_; see `focal_loss`.

    References
    ----------
    .. [1] Milletari, Navab, Ahmadi: V-Net, 3DV 2016.
    """
    share = logits.sigmoid()
    both = (share * truth).sum(dim=(1, 2))
    return 1 - (2 * both + 1) / (share.sum(dim=(1, 2)) + truth.sum(dim=(1, 2)) + 1)

"""How well boxes and masks fit the true ones: intersection over union, and shares and means of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from eavctl.grounding.boxes import overlap
from eavctl.grounding.losses import Answers, Truth

MASK_THRESHOLD = 0.35  # of the probability of a pixel, as VG-LAW has it (Su et al., CVPR 2023)
MASK_LOGIT = math.log(MASK_THRESHOLD / (1 - MASK_THRESHOLD))
HIT = 0.5  # least IoU of a box that counts as found


@dataclass(frozen=True)
class Fits:
    """How well the answers for some rows fit, on the CPU.

    Parameters
    ----------
    boxes : IoU of the boxes of rows with an object, (n_there,).
    masks : IoU of the masks of rows with a mask, (n_masks,).
    scores : bool, whether the score is on the right side of 0, (n,).
    there : bool, whether the phrase fits something, (n,).
    """

    boxes: Tensor
    masks: Tensor
    scores: Tensor
    there: Tensor

    @classmethod
    def of(cls, answers: Answers, truth: Truth) -> Fits:
        """Compare answers with the truth."""
        is_object = answers.masks[truth.has_mask] > MASK_LOGIT
        return cls(
            box_iou(answers.boxes[truth.there], truth.boxes[truth.there]).cpu(),
            mask_iou(is_object, truth.masks[truth.has_mask] > 0).cpu(),
            ((answers.scores > 0) == truth.there).cpu(),
            truth.there.cpu(),
        )

    @classmethod
    def joined(cls, parts: list[Fits]) -> Fits:
        """The rows of several batches as one."""
        names = ("boxes", "masks", "scores", "there")
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))

    @property
    def figures(self) -> dict[str, float]:
        """``P@0.5`` of the boxes, ``mIoU`` of the masks, ``there``: mean recall of both kinds of phrases.

        Without the figures for which there are no rows.
        """
        recalls = [self.scores[self.there == kind] for kind in (True, False)]
        figures = {}
        if len(self.boxes):
            figures["P@0.5"] = share_found(self.boxes)
        if len(self.masks):
            figures["mIoU"] = float(self.masks.double().mean())
        if all(len(each) for each in recalls):
            figures["there"] = sum(float(each.double().mean()) for each in recalls) / 2
        return figures


def box_iou(boxes: Tensor, truth: Tensor) -> Tensor:
    """Intersection over union of boxes (cx, cy, width, height), (n, 4); (n,)."""
    return overlap(boxes, truth)[0]


def mask_iou(masks: Tensor, truth: Tensor) -> Tensor:
    """Intersection over union of masks, bool (n, height, width); 1 where both are empty; (n,)."""
    both = (masks & truth).sum(dim=(1, 2))
    either = (masks | truth).sum(dim=(1, 2))
    return torch.where(either > 0, both / either.clamp(min=1), 1.0)


def share_found(ious: Tensor) -> float:
    """Prec@0.5: share of the boxes whose IoU (n,) is at least 0.5."""
    return float((ious >= HIT).double().mean())

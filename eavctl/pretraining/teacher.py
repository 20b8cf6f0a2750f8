"""Teachers: moving averages of a student, which give the targets of BYOL, MoCo and DINO."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from eavctl.classifiers.network import Encoder
from eavctl.pretraining.base import Method


class Teacher(nn.Module):
    """A copy of a student's parts whose weights follow the student's as an exponential moving average.

    Parameters
    ----------
    parts : modules of the student, applied one after the other.
    """

    def __init__(self, *parts: Any) -> None:
        super().__init__()
        self.parts = nn.ModuleList(copy.deepcopy(part) for part in parts).requires_grad_(False)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Outputs of the last part; no gradient is recorded."""
        for part in self.parts:
            x = part(x)
        return x

    @torch.no_grad()
    def follow(self, *parts: Any, momentum: float) -> None:
        r"""Move each weight to :math:`m \cdot teacher + (1 - m) \cdot student`, and copy the buffers.

        Parameters
        ----------
        parts : of the student, as when the teacher was made.
        momentum : m, from 0, which copies the student, to 1.
        """
        for own, part in zip(self.parts, parts, strict=True):
            for weight, of_student in zip(own.parameters(), part.parameters(), strict=True):
                weight.lerp_(of_student, 1 - momentum)
            for buffer, other in zip(own.buffers(), part.buffers(), strict=True):
                buffer.copy_(other)


def cosine_momentum(start: float, progress: float) -> float:
    """Momentum that rises from ``start`` to 1 along half a cosine [1]_.

    Parameters
    ----------
    start : momentum at the first step.
    progress : share of the steps done, from 0 to 1.

    References
    ----------
    .. [1] Grill et al.: Bootstrap your own latent: a new approach to self-supervised learning, NeurIPS 2020.
    """
    return 1 - (1 - start) * (math.cos(math.pi * progress) + 1) / 2


class TaughtMethod(Method):
    """Base class of the methods whose targets come from a teacher of encoder and projector.

    Parameters
    ----------
    encoder : the encoder to train.
    projector : its head; the teacher has one too.
    momentum : of the teacher, at the first step; it rises to 1 with the steps.
    """

    def __init__(self, encoder: Encoder, projector: nn.Sequential, momentum: float) -> None:
        super().__init__(encoder)
        self.projector = projector
        self.teacher = Teacher(encoder, projector)
        self.first_momentum = self.momentum = momentum

    def ready(self) -> None:
        """See `Method`."""
        self.teacher.follow(self.encoder, self.projector, momentum=0)

    def before_step(self, progress: float) -> None:
        """See `Method`."""
        self.momentum = cosine_momentum(self.first_momentum, progress)

    def after_step(self) -> None:
        """See `Method`."""
        super().after_step()
        self.teacher.follow(self.encoder, self.projector, momentum=self.momentum)

"""``dino``: the student predicts the teacher's distribution over prototypes, centred and sharpened."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from eavctl import ranks
from eavctl.classifiers.network import Encoder
from eavctl.pretraining.heads import Momentum, Prototypes, Temperature, Width, mlp
from eavctl.pretraining.losses.self_distillation import moved_centre, self_distillation
from eavctl.pretraining.teacher import TaughtMethod
from eavctl.registry import register
from eavctl.settings import Share


@register("pretraining methods", "dino", defaults={"epochs": 60, "batch": 256, "lr": 1e-3})
class Dino(TaughtMethod):
    """DINO [1]_: self-distillation without labels, of two views of full size.

    Parameters
    ----------
    encoder : the encoder to train.
    student_temperature, teacher_temperature : of the distributions; the teacher's is the lower one.
    hidden, out : widths of the projector.
    prototypes : number of outputs behind it.
    momentum : of the teacher, at the first step.
    centring : momentum of the centre.
    frozen : share of the training during which the prototypes are frozen.

    Notes
    -----
    Defaults: learning rate 1e-3 and momentum 0.99 give 70.6 and 76.1 %; no others were tried.

    References
    ----------
    .. [1] Caron et al.: Emerging properties in self-supervised vision transformers, ICCV 2021.
    """

    centre: Tensor

    def __init__(
        self,
        encoder: Encoder,
        *,
        student_temperature: Temperature = 0.1,
        teacher_temperature: Temperature = 0.04,
        hidden: Width = 512,
        out: Width = 128,
        prototypes: Width = 512,
        momentum: Momentum = 0.99,
        centring: Momentum = 0.9,
        frozen: Share = 0.1,
    ) -> None:
        projector = nn.Sequential(mlp(encoder.embedding_dim, hidden, out), Prototypes(out, prototypes))
        super().__init__(encoder, projector, momentum)
        self.temperatures = {
            "student_temperature": student_temperature,
            "teacher_temperature": teacher_temperature,
        }
        self.centring, self.frozen = centring, frozen
        self.register_buffer("centre", torch.zeros(prototypes))

    @property
    def prototypes(self) -> nn.Module:
        """The last layer."""
        return self.projector[-1]

    def loss(self, views: tuple[Tensor, ...]) -> Tensor:
        """See `Method`."""
        batch = torch.cat(views)
        self.targets = ranks.share(self.teacher, batch)  # for the centre
        student: Any = self.projector(self.encoded(batch)).chunk(2)
        teacher: Any = self.targets.chunk(2)
        return self_distillation(student, teacher, self.centre, **self.temperatures)

    def before_step(self, progress: float) -> None:
        """See `Method`."""
        super().before_step(progress)
        self.prototypes.requires_grad_(progress >= self.frozen)

    def after_step(self) -> None:
        """See `Method`."""
        super().after_step()
        self.centre.copy_(moved_centre(self.centre, self.targets, self.centring))

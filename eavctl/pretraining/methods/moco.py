"""``moco``: each view finds the other view of its row among a queue of rows of earlier batches."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from eavctl import ranks
from eavctl.classifiers.network import Encoder
from eavctl.pretraining.heads import Momentum, Temperature, Width, mlp
from eavctl.pretraining.losses.queued_info_nce import queued_info_nce
from eavctl.pretraining.queue import Queue
from eavctl.pretraining.teacher import TaughtMethod
from eavctl.registry import register
from eavctl.settings import Within


@register("pretraining methods", "moco", defaults={"epochs": 60, "batch": 256, "lr": 1e-3})
class MoCo(TaughtMethod):
    """MoCo v2 [1]_: InfoNCE of the student's queries with the teacher's keys against a queue of older keys.

    Both views of a row are query and key in turn.

    Parameters
    ----------
    encoder : the encoder to train.
    temperature : of the similarities.
    hidden, out : widths of the projector.
    momentum : of the teacher, at the first step.
    queue : number of older keys; best below the number of rows, as a row's own older keys are no negatives.

    Notes
    -----
    Defaults: learning rate 1e-3, momentum 0.99 and a queue of 1,024 give 70.1 and 77.0 % after 30 epochs; no
    others were tried. A momentum of 0.999 has a time constant of 1,000 steps, more than a small training has.

    References
    ----------
    .. [1] Chen, Fan, Girshick, He: Improved baselines with momentum contrastive learning, 2020.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        temperature: Temperature = 0.2,
        hidden: Width = 512,
        out: Width = 128,
        momentum: Momentum = 0.99,
        queue: Annotated[int, Within(1, 1_000_000)] = 1024,
    ) -> None:
        super().__init__(encoder, mlp(encoder.embedding_dim, hidden, out), momentum)
        self.temperature = temperature
        self.queue = Queue(queue, out)

    def loss(self, views: tuple[Tensor, ...]) -> Tensor:
        """See `Method`."""
        batch = torch.cat(views)
        self.keys = F.normalize(ranks.share(self.teacher, batch))  # for the queue
        one, other = self.keys.chunk(2)
        queries = self.projector(self.encoded(batch))
        return queued_info_nce(queries, torch.cat([other, one]), self.queue.rows, self.temperature)

    def after_step(self) -> None:
        """See `Method`."""
        super().after_step()
        self.queue.push(self.keys)

"""``swav``: the cluster of one view is predicted from the other; clusters are kept equally large."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from eavctl.classifiers.network import Encoder
from eavctl.pretraining.base import Method
from eavctl.pretraining.heads import Prototypes, Temperature, Width, mlp
from eavctl.pretraining.losses.sinkhorn import sinkhorn
from eavctl.pretraining.losses.swapped_prediction import swapped_prediction
from eavctl.pretraining.queue import Queue
from eavctl.registry import register
from eavctl.settings import Share, Within


@register("pretraining methods", "swav", defaults={"epochs": 60, "batch": 256, "lr": 5e-4})
class Swav(Method):
    """SwAV [1]_: swapped prediction of balanced assignments to prototypes, which are trained too.

    Parameters
    ----------
    encoder : the encoder to train.
    temperature : of the predictions.
    epsilon : of the Sinkhorn assignments.
    hidden, out : widths of the projector.
    prototypes : number of clusters.
    queue : number of rows of earlier batches that are assigned with the batch, for batches that are small
        beside the prototypes.
    frozen : share of the training during which the prototypes are frozen.

    Notes
    -----
    Defaults: learning rate 5e-4, temperature 0.2 and 512 prototypes give 70.1 and 75.6 %, at an effective
    rank of 94; learning rate 1e-3 70.5 and 75.6 %, at 64; temperature 0.1 and 1,024 prototypes, at 1e-3, 69.6
    and 74.3 %, at 58.

    References
    ----------
    .. [1] Caron et al.: Unsupervised learning of visual features by contrasting cluster assignments,
       NeurIPS 2020.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        temperature: Temperature = 0.2,
        epsilon: Annotated[float, Within(1e-3, 10)] = 0.05,
        hidden: Width = 512,
        out: Width = 128,
        prototypes: Width = 512,
        queue: Annotated[int, Within(0, 1_000_000)] = 512,
        frozen: Share = 0.1,
    ) -> None:
        super().__init__(encoder)
        self.temperature, self.epsilon, self.frozen = temperature, epsilon, frozen
        self.projector = mlp(encoder.embedding_dim, hidden, out)
        self.prototypes = Prototypes(out, prototypes)
        self.queue = Queue(queue, out)

    def loss(self, views: tuple[Tensor, ...]) -> Tensor:
        """See `Method`."""
        projections = F.normalize(self.projector(self.encoded(torch.cat(views))))
        self.projections = projections.detach()  # for the queue
        one, other = self.prototypes(projections).chunk(2)
        return swapped_prediction((one, other), (self._codes(one), self._codes(other)), self.temperature)

    def before_step(self, progress: float) -> None:
        """See `Method`."""
        self.prototypes.requires_grad_(progress >= self.frozen)

    def after_step(self) -> None:
        """See `Method`."""
        super().after_step()
        self.queue.push(self.projections)

    @torch.no_grad()
    def _codes(self, scores: Tensor) -> Tensor:
        """Assignments of the rows of a batch, balanced over them and the queue."""
        queued = self.prototypes(self.queue.rows)
        return sinkhorn(torch.cat([scores, queued]), epsilon=self.epsilon)[: len(scores)]

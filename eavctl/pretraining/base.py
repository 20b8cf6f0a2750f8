"""Base class of the methods of self-supervised pretraining."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from eavctl import ranks
from eavctl.classifiers.network import Augmentation, Encoder, settle
from eavctl.encoders.moments import fit_moments

MakeView = Callable[[Tensor, torch.Generator], Tensor]


class Method(nn.Module):
    """A method of pretraining: it holds the encoder, its heads, and whatever its loss needs besides.

    Subclasses implement `loss` and are registered under ``pretraining methods`` by ``@register(..., defaults=
    {...})``, whose ``defaults`` are values of `eavctl.classifiers.training_loop.TrainSettings`. Settings of a
    method are keyword-only parameters with annotations, as those of encoders.

    Queues, centres, teachers and prototypes are buffers, parameters or submodules, so that a checkpoint holds
    them. All randomness comes from torch's default generator, which the training loop seeds every epoch, and
    from the generator that `augment` gets. A method is a `eavctl.classifiers.network.Trainable`.

    Parameters
    ----------
    encoder : the encoder to train; only it is kept afterwards.

    Attributes
    ----------
    n_views : number of random views of each row that `augment` makes.
    make_view : makes a random view of a batch; the encoder's own augmentation unless it is replaced.
    body : the pretrained part that can be frozen; a method has none.
    """

    n_views: ClassVar[int] = 2
    body: nn.Module | None = None
    encoder: Encoder
    make_view: MakeView

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.make_view = encoder.augment

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        """The encoders that are kept, one for each stream of the rows; of one table it is `encoder`."""
        return (self.encoder,)

    def view_by(self, views: Augmentation) -> None:
        """Make views by these augmentations in place of the encoder's own."""
        self.make_view = views

    def forward(self, x: Tensor) -> Tensor:
        """Embed (batch, *shape) as (batch, embedding_dim) with the encoder alone."""
        return self.encoder(x)

    def encoded(self, x: Tensor) -> Tensor:
        """Embed rows of a training batch, (n_rows, *shape) as (n_rows, embedding_dim)."""
        return ranks.share(self.encoder, x)

    def loss(self, views: tuple[Tensor, ...]) -> Tensor:
        """The loss of a training batch, a scalar, from its views (batch, *shape) each."""
        raise NotImplementedError

    def augment(self, x: Any, generator: torch.Generator) -> tuple[Any, ...]:
        """`n_views` random views of a training batch (batch, *shape)."""
        return tuple(self.make_view(x, generator) for _ in range(self.n_views))

    def fit_input(self, x: Any) -> None:
        """Fit the encoder's input statistics on all training rows, then call `ready`."""
        self.encoder.fit_input(x)
        self.ready()

    def fit_input_pieces(self, pieces: Iterable[Any]) -> bool:
        """See `eavctl.classifiers.network.Trainable`."""
        if not hasattr(self.encoder, "set_moments"):
            return False
        fit_moments(self.encoder, pieces)
        self.ready()
        return True

    def ready(self) -> None:
        """Called once, after the input statistics were fitted and before the first step.

        A teacher becomes a copy of the student here: a copy made in ``__init__`` lacks the statistics.
        """

    def before_step(self, progress: float) -> None:
        """Called before each step, for schedules of a momentum and for layers frozen at first.

        Parameters
        ----------
        progress : share of all steps that are done, at least 0 and below 1.
        """

    def after_step(self) -> None:
        """Called after each step of the optimizer, to update a teacher or a queue.

        It restores the constraints on the encoder's weights; a subclass calls it first.
        """
        settle(self.encoder)

    def constant_rate(self) -> Iterable[nn.Parameter]:
        """Parameters whose learning rate is constant, not scheduled; by default none."""
        return ()

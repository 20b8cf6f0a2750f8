"""What the fusion networks share: an encoder a stream, streams that are missing, and the contrastive term.

A stream that a sample lacks is never computed: its encoder sees the rows that have it and no others, so
that no stand-in value reaches a weight, an attention or a batch norm.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from eavctl.classifiers.network import Criterion, StreamBatch, settle
from eavctl.errors import UsageError
from eavctl.settings import Within

Lost = Annotated[float, Within(0, 0.99)]  # share of the rows
Weight = Annotated[float, Within(0, 1000)]

CONTRAST_DIM = 128
CONTRAST_TEMPERATURE = 0.07


@dataclass(frozen=True)
class Seen:
    """What one stream gives of a batch.

    Parameters
    ----------
    rows : numbers of the batch's rows that have the stream, (n_seen,).
    values : one tensor row each, (n_seen, ...).
    """

    rows: Tensor
    values: Tensor

    def spread(self, n_rows: int) -> Tensor:
        """The values in their rows of the batch, (n_rows, ...); the other rows are 0 and must be masked."""
        empty = self.values.new_zeros(n_rows, *self.values.shape[1:])
        return empty.index_copy(0, self.rows, self.values)


@dataclass(frozen=True)
class Said:
    """What a fusion network makes of a batch.

    Parameters
    ----------
    logits : (batch, n_classes).
    weights : (batch, n_streams), rows sum to 1, 0 where a stream is absent: how much each weighed.
    embeddings : of each stream, (n_seen, embedding_dim).
    heads : logits of each stream's own head, (n_seen, n_classes), where the method has such.
    """

    logits: Tensor
    weights: Tensor
    embeddings: list[Seen]
    heads: list[Seen] | None = None


class FusionNetwork(nn.Module):
    """An encoder a stream, and a way to fuse what they give; see `eavctl.classifiers.network.Trainable`.

    Parameters
    ----------
    encoders : one a stream.
    started : of each, whether its weights and input statistics come from a training before.
    modality_dropout : share of the training rows that lose some of their streams, at random, at each step.
    contrastive : weight of the contrastive term in the loss; 0 leaves it out.
    """

    def __init__(
        self, encoders: Sequence[Any], started: Sequence[bool], modality_dropout: float, contrastive: float
    ) -> None:
        super().__init__()
        if not 0 <= modality_dropout < 1 or contrastive < 0:
            raise UsageError("modality_dropout lies between 0 and 1, and contrastive is 0 or above")
        self.encoders = nn.ModuleList(encoders)
        self.started = tuple(started)
        self.modality_dropout, self.contrastive = modality_dropout, contrastive
        self.contrasts = nn.ModuleList(
            nn.Linear(encoder.embedding_dim, CONTRAST_DIM) for encoder in encoders if contrastive
        )

    @property
    def body(self) -> nn.Module:
        """The encoders, which can be held fixed at first."""
        return self.encoders

    def say(self, x: StreamBatch) -> Said:
        """Logits and how they came about."""
        raise NotImplementedError

    def forward(self, x: StreamBatch) -> Tensor:
        """Logits (batch, n_classes)."""
        return self.say(x).logits

    def weights(self, x: StreamBatch) -> Tensor:
        """How much each stream weighed, see `Said`."""
        return self.say(x).weights

    def loss(self, x: StreamBatch, y: Tensor, criterion: Criterion) -> Tensor:
        """Cross entropy, and the contrastive term if there is one."""
        said = self.say(x)
        loss = self.cross_entropy(said, y, criterion)
        return loss + self.contrastive * self._contrast(said.embeddings) if self.contrastive else loss

    def cross_entropy(self, said: Said, y: Tensor, criterion: Criterion) -> Tensor:
        """Of the fused logits."""
        return criterion(said.logits, y)

    def fit_input(self, x: StreamBatch) -> None:
        """Fit the input statistics of encoders that start from scratch, on the rows that they see."""
        for stream, (encoder, started) in enumerate(zip(self.encoders, self.started, strict=True)):
            rows = seen(x, stream).values
            if not started and len(rows):
                encoder.fit_input(rows)  # type: ignore[operator]

    def augment(self, x: StreamBatch, generator: torch.Generator) -> StreamBatch:
        """Vary each stream as its encoder does, and take streams from some rows."""
        pairs = zip(self.encoders, x.tensors, strict=True)
        tensors = tuple(encoder.augment(tensor, generator) for encoder, tensor in pairs)  # type: ignore[operator]
        return StreamBatch(tensors, without_some(x.present, self.modality_dropout, generator))

    def after_step(self) -> None:
        """See `Trainable`."""
        for encoder in self.encoders:
            settle(encoder)

    def embed(self, x: StreamBatch) -> list[Seen]:
        """Each stream's embeddings by its encoder alone."""
        found = [seen(x, stream) for stream in range(len(self.encoders))]
        return [
            Seen(each.rows, _of_rows(encoder, each.values))
            for each, encoder in zip(found, self.encoders, strict=True)
        ]

    def _contrast(self, embeddings: Sequence[Seen]) -> Tensor:
        """The mean over pairs of streams of `info_nce`, on the rows that have both."""
        placed = [
            Seen(each.rows, project(each.values))
            for each, project in zip(embeddings, self.contrasts, strict=True)
        ]
        terms = [info_nce(*_shared(one, other)) for one, other in itertools.combinations(placed, 2)]
        return torch.stack(terms).mean()


def seen(x: StreamBatch, stream: int) -> Seen:
    """The rows of a batch that have a stream, and what they have."""
    rows = x.present[:, stream].nonzero()[:, 0]
    return Seen(rows, x.tensors[stream][rows])


def without_some(present: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Take from a share of the rows some of their streams: one at least, and one at least is left.

    Parameters
    ----------
    present : bool, (batch, n_streams), every row with a stream at least.
    """
    drawn = torch.rand(present.shape, generator=generator, device=present.device)
    least = drawn.masked_fill(~present, 2.0).amin(dim=1, keepdim=True)
    most = drawn.masked_fill(~present, -1.0).amax(dim=1, keepdim=True)
    kept = (drawn == least) | ((drawn < 0.5) & (drawn < most))
    chosen = torch.rand(len(present), 1, generator=generator, device=present.device) < share
    return torch.where(chosen, present & kept, present)


def info_nce(one: Tensor, other: Tensor) -> Tensor:
    """How hard it is to find each row's partner among all, both ways; 0 for fewer than two rows.

    Parameters
    ----------
    one, other : (n_rows, dim), embeddings of the same samples.

    References
    ----------
    .. [1] van den Oord, Li, Vinyals: Representation learning with contrastive predictive coding, 2018.
    """
    if len(one) < 2:
        return one.sum() * 0
    likeness = F.normalize(one) @ F.normalize(other).T / CONTRAST_TEMPERATURE
    partner = torch.arange(len(one), device=one.device)
    both_ways: Tensor = F.cross_entropy(likeness, partner) + F.cross_entropy(likeness.T, partner)
    return both_ways / 2


def _of_rows(encoder: Any, values: Tensor) -> Tensor:
    """The encoder's embeddings, also of no rows at all."""
    if len(values):
        with _norms_held(encoder) if len(values) == 1 else nullcontext():
            embedded: Tensor = encoder(values)
        return embedded
    nothing: Tensor = next(encoder.parameters()).new_zeros(0, encoder.embedding_dim)
    return nothing


@contextmanager
def _norms_held(encoder: nn.Module) -> Iterator[None]:
    """Let batch norms of vectors go by their running statistics: a single row has no deviation."""
    norms = [part for part in encoder.modules() if isinstance(part, nn.BatchNorm1d) and part.training]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()


def _shared(one: Seen, other: Seen) -> tuple[Tensor, Tensor]:
    """The values of the rows that two streams share, in the same order."""
    in_one, in_other = torch.isin(one.rows, other.rows), torch.isin(other.rows, one.rows)
    return one.values[in_one], other.values[in_other]

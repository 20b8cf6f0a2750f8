"""What the fusion networks share: an encoder a stream, missing streams, and the contrastive loss.

A missing stream is never computed: an encoder runs on the rows that have its stream and on no others, so no
placeholder value reaches a weight, an attention or a batch norm.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from eavctl import ranks
from eavctl.classifiers.network import Criterion, StreamBatch, settle
from eavctl.errors import UsageError
from eavctl.settings import Within

DroppedRows = Annotated[float, Within(0, 0.99)]  # a share
Weight = Annotated[float, Within(0, 1000)]

CONTRAST_DIM = 128
CONTRAST_TEMPERATURE = 0.07


@dataclass(frozen=True)
class StreamOutput:
    """Values of one stream in a batch.

    Parameters
    ----------
    rows : indices of the batch's rows that have the stream, (n_present,).
    values : one tensor row each, (n_present, ...).
    """

    rows: Tensor
    values: Tensor

    @property
    def is_empty(self) -> bool:
        """Whether no row has the stream."""
        return not len(self.rows)

    def with_values(self, values: Tensor) -> Self:
        """Other values of the same rows."""
        return replace(self, values=values)

    def taken(self, values: Tensor) -> Tensor:
        """The rows of this stream from values of the whole batch."""
        return values[self.rows]

    def spread(self, n_rows: int) -> Tensor:
        """The values at their rows of the batch, (n_rows, ...); other rows are 0 and must be masked."""
        empty = self.values.new_zeros(n_rows, *self.values.shape[1:])
        return empty.index_copy(0, self.rows, self.values)


class WholeBatch(StreamOutput):
    """Values of all rows of a batch, for export: a graph has no shapes that depend on its input's values.

    ``rows`` is a mask, bool (batch,); values of rows that lack the stream have no effect.
    """

    @property
    def is_empty(self) -> bool:
        """False: whether a row has the stream is not known before the graph runs."""
        return False

    def taken(self, values: Tensor) -> Tensor:
        """The values of the whole batch."""
        return values

    def spread(self, n_rows: int) -> Tensor:
        """The values, 0 in rows that lack the stream."""
        return _where(self.rows, self.values)


@dataclass(frozen=True)
class FusionOutput:
    """Output of a fusion network for a batch.

    Parameters
    ----------
    logits : (batch, n_classes).
    weights : of each stream, (batch, n_streams); rows sum to 1, and a missing stream has 0.
    embeddings : of each stream, (n_present, embedding_dim).
    heads : logits of each stream's own head, (n_present, n_classes), if the method has heads.
    """

    logits: Tensor
    weights: Tensor
    embeddings: list[StreamOutput]
    heads: list[StreamOutput] | None = None


class FusionNetwork(nn.Module):
    """Base of the fusion networks: an encoder a stream; see `eavctl.classifiers.network.Trainable`.

    Parameters
    ----------
    encoders : one a stream.
    started : one a stream: whether its encoder starts from a trained model, input statistics included.
    modality_dropout : share of the training rows from which, at each step, some streams are dropped.
    contrastive : weight of the contrastive loss; 0 leaves it out.

    Raises
    ------
    UsageError : a share or weight out of bounds.
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
        """The encoders, which can be frozen for the first epochs."""
        return self.encoders

    def fuse(self, x: StreamBatch) -> FusionOutput:
        """Logits, weights of the streams, embeddings and, if the method has them, outputs of the heads."""
        raise NotImplementedError

    def forward(self, x: StreamBatch) -> Tensor:
        """Logits (batch, n_classes)."""
        return self.fuse(x).logits

    def logits_and_weights(self, x: StreamBatch) -> Tensor:
        """Logits and, beside them, the weights of the streams, (batch, n_classes + n_streams)."""
        output = self.fuse(x)
        return torch.cat([output.logits, output.weights], dim=1)

    def loss(self, x: StreamBatch, y: Tensor, criterion: Criterion) -> Tensor:
        """Cross entropy, plus the weighted contrastive loss."""
        output = self.fuse(x)
        loss = self.cross_entropy(output, y, criterion)
        return loss + self.contrastive * self._contrast(output.embeddings) if self.contrastive else loss

    def cross_entropy(self, output: FusionOutput, y: Tensor, criterion: Criterion) -> Tensor:
        """Cross entropy of the fused logits."""
        return criterion(output.logits, y)

    def fit_input(self, x: StreamBatch) -> None:
        """Fit the input statistics of encoders trained from scratch, each on the rows with its stream."""
        for stream, (encoder, started) in enumerate(zip(self.encoders, self.started, strict=True)):
            rows = stream_rows(x, stream).values
            if not started and len(rows):
                encoder.fit_input(rows)  # type: ignore[operator]

    def augment(self, x: StreamBatch, generator: torch.Generator) -> StreamBatch:
        """Augment each stream as its encoder does, and drop streams from some rows."""
        pairs = zip(self.encoders, x.tensors, strict=True)
        tensors = tuple(encoder.augment(tensor, generator) for encoder, tensor in pairs)  # type: ignore[operator]
        return StreamBatch(tensors, drop_streams(x.present, self.modality_dropout, generator))

    def after_step(self) -> None:
        """See `Trainable`."""
        for encoder in self.encoders:
            settle(encoder)

    def embed(self, x: StreamBatch) -> list[StreamOutput]:
        """Embeddings of each stream by its own encoder."""
        streams = [stream_rows(x, stream) for stream in range(len(self.encoders))]
        return [
            each.with_values(_encoded(encoder, each))
            for each, encoder in zip(streams, self.encoders, strict=True)
        ]

    def _contrast(self, embeddings: Sequence[StreamOutput]) -> Tensor:
        """`info_nce` of each pair of streams on the rows that have both, averaged over pairs."""
        projected = [
            each.with_values(project(each.values))
            for each, project in zip(embeddings, self.contrasts, strict=True)
        ]
        terms = [info_nce(*_shared(one, other)) for one, other in itertools.combinations(projected, 2)]
        return torch.stack(terms).mean()


def stream_rows(x: StreamBatch, stream: int) -> StreamOutput:
    """The rows of a batch that have a stream, with their features; in an export all rows, some masked."""
    if torch.compiler.is_exporting():
        mask = x.present[:, stream]
        return WholeBatch(mask, _where(mask, x.tensors[stream]))
    rows = x.present[:, stream].nonzero()[:, 0]
    return StreamOutput(rows, x.tensors[stream][rows])


def drop_streams(present: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Modality dropout: drop one or more streams from a share of the rows, and keep one or more of each.

    Parameters
    ----------
    present : bool, (batch, n_streams), at least one stream in every row.
    share : of the rows.

    Returns
    -------
    bool, (batch, n_streams).
    """
    drawn = torch.rand(present.shape, generator=generator, device=present.device)
    least = drawn.masked_fill(~present, 2.0).amin(dim=1, keepdim=True)
    most = drawn.masked_fill(~present, -1.0).amax(dim=1, keepdim=True)
    kept = (drawn == least) | ((drawn < 0.5) & (drawn < most))
    chosen = torch.rand(len(present), 1, generator=generator, device=present.device) < share
    return torch.where(chosen, present & kept, present)


def info_nce(one: Tensor, other: Tensor) -> Tensor:
    """Contrastive loss InfoNCE [1]_ at a temperature of 0.07, averaged over both directions.

    Parameters
    ----------
    one, other : (n_rows, dim), embeddings of the same samples in two streams.

    Returns
    -------
    A scalar, 0 for fewer than two rows.

    References
    ----------
    .. [1] van den Oord, Li, Vinyals: Representation learning with contrastive predictive coding, 2018.
    """
    if len(one) < 2:
        return one.sum() * 0
    similarity = F.normalize(one) @ F.normalize(other).T / CONTRAST_TEMPERATURE
    partner = torch.arange(len(one), device=one.device)
    both_ways: Tensor = F.cross_entropy(similarity, partner) + F.cross_entropy(similarity.T, partner)
    return both_ways / 2


def _encoded(encoder: Any, stream: StreamOutput) -> Tensor:
    """The encoder's embeddings of any number of rows, 0 and 1 included."""
    if stream.is_empty:
        empty: Tensor = next(encoder.parameters()).new_zeros(0, encoder.embedding_dim)
        return empty
    with _frozen_norms(encoder) if encoder.training and len(stream.values) == 1 else nullcontext():
        return ranks.share(encoder, stream.values)


def _where(mask: Tensor, values: Tensor) -> Tensor:
    """The values of the rows of a mask, bool (batch,); other rows are 0."""
    return torch.where(mask.reshape(-1, *[1] * (values.dim() - 1)), values, torch.zeros_like(values[:1]))


def share_streams(
    function: Callable[[StreamBatch], list[StreamOutput]], x: StreamBatch
) -> list[StreamOutput]:
    """`eavctl.ranks.share` for a function of several streams, which computes each row by itself.

    To a rank that has too few rows of a stream, rows are added that do not count, see
    `eavctl.ranks.Part.n_run`.
    """
    if not ranks.is_sharing():
        return function(x)
    whole = ranks.Part.of(len(x))
    edges = np.cumsum([0, *whole.counts])
    counts = [x.present[a:b].sum(dim=0).tolist() for a, b in itertools.pairwise(edges)]
    parts = [ranks.Part(tuple(each)) for each in zip(*counts, strict=True)]
    tensors, present = [each[whole.rows] for each in x.tensors], x.present[whole.rows]
    first = x.present.int().argmax(dim=0)  # a row that has the stream, if one does
    while any(lacks := [part.n_run > n for part, n in zip(parts, present.sum(dim=0).tolist(), strict=True)]):
        added = [each[i][None] for each, i in zip(x.tensors, first, strict=True)]
        tensors = [torch.cat(pair) for pair in zip(tensors, added, strict=True)]
        present = torch.cat([present, torch.tensor([lacks], device=present.device)])
    with ranks.streams(dict(enumerate(parts))):
        found = function(StreamBatch(tuple(tensors), present))
    return [
        StreamOutput(
            x.present[:, stream].nonzero()[:, 0],
            part.gathered(each.values[: part.n_rows]) if part.total else each.values,
        )
        for stream, (each, part) in enumerate(zip(found, parts, strict=True))
    ]


@contextmanager
def _frozen_norms(encoder: nn.Module) -> Iterator[None]:
    """Use the running statistics of batch norms of vectors: one row has no standard deviation."""
    norms = [part for part in encoder.modules() if isinstance(part, nn.BatchNorm1d) and part.training]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()


def _shared(one: StreamOutput, other: StreamOutput) -> tuple[Tensor, Tensor]:
    """The values of the rows that have both streams, in the same order."""
    in_one, in_other = torch.isin(one.rows, other.rows), torch.isin(other.rows, one.rows)
    return one.values[in_one], other.values[in_other]

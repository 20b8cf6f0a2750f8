"""One modality aligned to the space in which others meet, so that it can name classes it never met.

The space is a fusion network ``attention`` of the other modalities, trained and then frozen. A network of
the query modality learns the classes, then to put each sample where the others put it. A new sample is named
after the nearest of the classes' centroids, and a class's centroid needs no sample of the query modality.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from eavctl.classifiers.calibration import softmax
from eavctl.classifiers.fitting import Keeping, fit_members
from eavctl.classifiers.network import Criterion, StreamBatch, forward, settle
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Streams
from eavctl.classifiers.training_loop import Epoch, TrainSettings
from eavctl.errors import UsageError
from eavctl.fusion.networks.base import CONTRAST_TEMPERATURE, info_nce
from eavctl.fusion.networks.model import Design, FusionModel, Stream, fit

AFFECT_WEIGHT = 0.2
Note = Callable[[str], None]


class QueryNetwork(nn.Module):
    """An encoder, a linear map of it to the space, and what is read from there; see `Trainable`.

    Parameters
    ----------
    encoder : of the query modality.
    dim : values of an embedding.
    affect : valence and arousal of each class, shape (n_classes, 2); NaN where they are not known.
    dropout : of the embedding before the head.
    """

    body = None  # all is trained from scratch
    affect: Tensor

    def __init__(self, encoder: Any, dim: int, affect: np.ndarray, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.project = nn.Linear(encoder.embedding_dim, dim)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(dim, len(affect)))
        self.feel = nn.Linear(dim, 2)
        self.register_buffer("affect", torch.tensor(affect, dtype=torch.float32))

    def embed(self, x: Tensor) -> Tensor:
        """Embed (batch, *shape) as (batch, dim)."""
        embedding: Tensor = self.project(self.encoder(x))
        return embedding

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, n_classes)."""
        logits: Tensor = self.head(self.embed(x))
        return logits

    def loss(self, x: Tensor, y: Tensor, criterion: Criterion) -> Tensor:
        """Cross entropy + 0.2 (valence + arousal), the two as in `affect_loss`."""
        embedded = self.embed(x)
        felt = affect_loss(self.feel(embedded), self.affect[y])
        return criterion(self.head(embedded), y) + AFFECT_WEIGHT * felt

    def fit_input(self, x: Tensor) -> None:
        """See `Trainable`."""
        self.encoder.fit_input(x)

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """See `Trainable`."""
        varied: Tensor = self.encoder.augment(x, generator)
        return varied

    def after_step(self) -> None:
        """See `Trainable`."""
        settle(self.encoder)


class AlignmentNetwork(nn.Module):
    """A query network on its way into a frozen space; see `Trainable`.

    A row has two streams: what the query network reads, and where the space has the same sample.

    Parameters
    ----------
    query : the network, trained on the classes.
    centroids : of the classes in the space, shape (n_classes, dim).
    """

    body = None
    centroids: Tensor

    def __init__(self, query: QueryNetwork, centroids: np.ndarray) -> None:
        super().__init__()
        self.query = query
        self.register_buffer("centroids", torch.tensor(centroids, dtype=torch.float32))

    def forward(self, x: StreamBatch) -> Tensor:
        """Logits (batch, n_classes) by `likeness`: an epoch is judged by the way classes are named later."""
        return likeness(self.query.embed(x.tensors[0]), self.centroids)

    def loss(self, x: StreamBatch, y: Tensor, criterion: Criterion) -> Tensor:
        """InfoNCE, cross entropy of the head, and cross entropy of the likeness to the centroids.

        The last is the pull to the class's own centroid: away from the others by as much, so that it cannot
        be had by drawing all samples to one place.
        """
        embedded = self.query.embed(x.tensors[0])
        pull = criterion(likeness(embedded, self.centroids), y)
        return info_nce(embedded, x.tensors[1]) + criterion(self.query.head(embedded), y) + pull

    def fit_input(self, x: StreamBatch) -> None:
        """Leave the encoder's statistics: they were fitted on the same rows when it learned the classes."""

    def augment(self, x: StreamBatch, generator: torch.Generator) -> StreamBatch:
        """Vary what the query network reads; the space stands still."""
        return replace(x, tensors=(self.query.augment(x.tensors[0], generator), x.tensors[1]))

    def after_step(self) -> None:
        """See `Trainable`."""
        self.query.after_step()


def affect_loss(felt: Tensor, affect: Tensor) -> Tensor:
    """Mean squared errors of valence and of arousal, summed, over the rows whose class has them.

    Parameters
    ----------
    felt, affect : (batch, 2); NaN in ``affect`` where it is not known. 0 where none is.
    """
    known = ~affect.isnan().any(dim=1)
    if not known.any():
        return felt.sum() * 0
    return F.mse_loss(felt[known], affect[known]) * affect.shape[1]


def likeness(embedded: Tensor, centroids: Tensor) -> Tensor:
    """Cosines of rows (batch, dim) to centroids (n_classes, dim), divided by the temperature of 0.07."""
    return F.normalize(embedded) @ F.normalize(centroids).T / CONTRAST_TEMPERATURE


def class_means(points: np.ndarray, y: np.ndarray, n_classes: int) -> np.ndarray:
    """The direction of each class: the mean of its points at unit length, float32 (n_classes, dim).

    Parameters
    ----------
    points : shape (n_rows, dim).
    y : class numbers, shape (n_rows,); every class occurs.
    """
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    unit = points / np.where(lengths == 0, 1, lengths)
    return np.stack([unit[y == c].mean(axis=0) for c in range(n_classes)]).astype(np.float32)


@dataclass(frozen=True)
class AlignmentSettings:
    """How a query modality is aligned.

    Parameters
    ----------
    training : of the space and of the query network.
    epochs : of the alignment, at most; all else as in ``training``.
    """

    training: TrainSettings = field(default_factory=TrainSettings)
    epochs: int = 100

    def __post_init__(self) -> None:
        if self.training.freeze_epochs:
            raise UsageError("zero-shot trains its encoders from scratch: leave --freeze-epochs out")
        if self.epochs < 1:
            raise UsageError(f"the alignment needs an epoch at least, not {self.epochs}")


class Aligned:
    """A frozen space and the networks that bring a query modality into it.

    Parameters
    ----------
    space : the fusion network of the other modalities.
    networks : the members.
    temperatures : by which each member's likeness is divided, fitted on validation rows; without the
        classes' biases, which one that was held out has not.
    classes : ordered names of the classes that were trained on.
    """

    def __init__(
        self,
        space: FusionModel,
        networks: Sequence[AlignmentNetwork],
        temperatures: Sequence[float],
        classes: Sequence[str],
    ) -> None:
        self.space, self.classes = space, tuple(classes)
        self.networks = [network.eval() for network in networks]
        self.temperatures = tuple(temperatures)

    def place(self, others: Streams) -> np.ndarray:
        """Where the space has samples of the other modalities, float32 (n_rows, dim)."""
        return self.space.joint(others)

    def name(self, query: np.ndarray, centroids: np.ndarray) -> np.ndarray:
        """How near samples of the query modality are to classes, as probabilities.

        Parameters
        ----------
        query : shape (n_rows, *shape).
        centroids : of any classes, shape (n_classes, dim), of points by `place`.

        Returns
        -------
        float64 (n_rows, n_classes), rows sum to 1: the softmax of cosine / temperature.
        """
        directions = torch.from_numpy(centroids)

        def by(network: AlignmentNetwork) -> Callable[[Tensor], Tensor]:
            return lambda x: likeness(network.query.embed(x), directions)

        members = zip(self.networks, self.temperatures, strict=True)
        proba = [softmax(forward(by(network), query) / temperature) for network, temperature in members]
        mean: np.ndarray = np.mean(proba, axis=0)
        return mean

    def state_dict(self) -> dict[str, Tensor]:
        """All that was learned, by name: of the space and of the query networks."""
        state = {f"space.{name}": tensor for name, tensor in self.space.state_dict().items()}
        for i, network in enumerate(self.networks):
            state |= {f"query.{i}.{name}": tensor for name, tensor in network.state_dict().items()}
        return state


def align(
    x: Streams,
    labels: Sequence[str] | np.ndarray,
    design: Design,
    affect: Mapping[str, np.ndarray],
    settings: AlignmentSettings,
    *,
    groups: Sequence[str] | np.ndarray | None = None,
    units: Sequence[str] | np.ndarray | None = None,
    note: Note = lambda text: None,
) -> Aligned:
    """Train a space, then a query network, then align the second to the first.

    All three see these rows and no others: whoever holds a class out leaves its rows out of them.

    Parameters
    ----------
    x : rows; the first stream is the query, the others make the space. No stream may lack in a row.
    labels, groups, units : shape (n_rows,); see `eavctl.classifiers.dnn.fit`.
    design : of method ``attention``, with the streams of ``x``.
    affect : valence and arousal of each class, shape (2,), NaN where they are not known.
    settings : of the trainings.
    note : told how far it is.

    Raises
    ------
    DataError, UsageError : as `eavctl.classifiers.dnn.fit`.
    """
    rows = Rows.of(x.arrays[0], labels, groups, units=units)
    beside = Streams(x.arrays[1:], x.present[:, 1:])
    space = fit(
        beside,
        labels,
        replace(design, streams=design.streams[1:]),
        groups=groups,
        units=units,
        settings=settings.training,
        keeping=_telling(note, "space"),
    )
    points = space.joint(beside)
    known = np.stack([affect[name] for name in rows.classes])
    both = Streams((x.arrays[0], points), np.ones((len(x), 2), dtype=bool))
    networks, temperatures = _aligned(rows, both, design.streams[0], known, settings, note)
    return Aligned(space, networks, temperatures, rows.classes)


def _aligned(
    rows: Rows,
    both: Streams,
    query: Stream,
    affect: np.ndarray,
    settings: AlignmentSettings,
    note: Note,
) -> tuple[list[AlignmentNetwork], list[float]]:
    """The members that bring rows of the query to their points, both given, and their temperatures."""
    facts = {"query": asdict(query)}
    points = both.arrays[1]
    centroids = class_means(points, rows.y, len(rows.classes))

    def fresh(member: int) -> QueryNetwork:
        return QueryNetwork(query.build(), points.shape[1], affect, settings.training.dropout)

    learned = fit_members(fresh, rows, settings.training, facts, _telling(note, "query"))

    def started(member: int) -> AlignmentNetwork:
        network = AlignmentNetwork(fresh(member), centroids)
        network.query.load_state_dict(learned[member]["weights"])
        return network

    training = replace(settings.training, epochs=settings.epochs)
    results = fit_members(started, replace(rows, x=both), training, facts, _telling(note, "alignment"))
    networks = []
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced at once
        for member, result in enumerate(results):
            networks.append(started(member))
            networks[-1].load_state_dict(result["weights"])
    return networks, [result["temperature"] for result in results]


def _telling(note: Note, part: str) -> Keeping:
    """Tell each epoch of a part of the training."""

    def on_epoch(epoch: Epoch) -> None:
        note(f"{part} {epoch}")

    return Keeping(on_epoch=on_epoch)

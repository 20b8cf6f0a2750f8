"""Zero-shot recognition: one modality aligned to the embedding space of others.

The space is a fusion network ``attention`` of the other modalities, trained and then frozen. A network of
the query modality is trained on the classes, then aligned: it maps each sample to the point where the space
has the same sample. A test sample gets the class of the nearest centroid, and a centroid needs no sample of
the query modality.
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
from eavctl.fusion.networks.model import Design, FusionModel, StreamDesign, fit

AFFECT_WEIGHT = 0.2
Note = Callable[[str], None]


class QueryNetwork(nn.Module):
    """An encoder, a linear map to the space, and two heads, of classes and of affect; see `Trainable`.

    Parameters
    ----------
    encoder : of the query modality.
    dim : size of an embedding.
    affect : valence and arousal of each class, shape (n_classes, 2); NaN where they are not known.
    dropout : of the embedding before the head.
    """

    body = None  # nothing is pretrained
    affect: Tensor

    def __init__(self, encoder: Any, dim: int, affect: np.ndarray, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.project = nn.Linear(encoder.embedding_dim, dim)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(dim, len(affect)))
        self.affect_head = nn.Linear(dim, 2)
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
        affect = affect_loss(self.affect_head(embedded), self.affect[y])
        return criterion(self.head(embedded), y) + AFFECT_WEIGHT * affect

    def fit_input(self, x: Tensor) -> None:
        """See `Trainable`."""
        self.encoder.fit_input(x)

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """See `Trainable`."""
        augmented: Tensor = self.encoder.augment(x, generator)
        return augmented

    def after_step(self) -> None:
        """See `Trainable`."""
        settle(self.encoder)


class AlignmentNetwork(nn.Module):
    """A query network in training for alignment to a frozen space; see `Trainable`.

    A row has two streams: the features of the query modality, and the sample's point in the space.

    Parameters
    ----------
    query : the network, already trained on the classes.
    centroids : of the classes in the space, shape (n_classes, dim).
    """

    body = None
    centroids: Tensor

    def __init__(self, query: QueryNetwork, centroids: np.ndarray) -> None:
        super().__init__()
        self.query = query
        self.register_buffer("centroids", torch.tensor(centroids, dtype=torch.float32))

    def forward(self, x: StreamBatch) -> Tensor:
        """Logits (batch, n_classes) by `similarity`, so that validation scores what prediction will do."""
        return similarity(self.query.embed(x.tensors[0]), self.centroids)

    def loss(self, x: StreamBatch, y: Tensor, criterion: Criterion) -> Tensor:
        """InfoNCE, cross entropy of the head, and cross entropy of the similarity to the centroids.

        The last pulls a sample to its class's centroid and pushes it from the others, so that it does not
        fall by mapping all samples to one point.
        """
        embedded = self.query.embed(x.tensors[0])
        to_centroids = criterion(similarity(embedded, self.centroids), y)
        return info_nce(embedded, x.tensors[1]) + criterion(self.query.head(embedded), y) + to_centroids

    def fit_input(self, x: StreamBatch) -> None:
        """Keep the encoder's input statistics, which were fitted on the same rows with the classes."""

    def augment(self, x: StreamBatch, generator: torch.Generator) -> StreamBatch:
        """Augment the features of the query modality; the points of the frozen space stay."""
        return replace(x, tensors=(self.query.augment(x.tensors[0], generator), x.tensors[1]))

    def after_step(self) -> None:
        """See `Trainable`."""
        self.query.after_step()


def affect_loss(predicted: Tensor, affect: Tensor) -> Tensor:
    """Mean squared errors of valence and of arousal, summed, over the rows of classes with known affect.

    Parameters
    ----------
    predicted, affect : (batch, 2); NaN in ``affect`` where it is not known.

    Returns
    -------
    A scalar, 0 if the affect of no row is known.
    """
    known = ~affect.isnan().any(dim=1)
    if not known.any():
        return predicted.sum() * 0
    return F.mse_loss(predicted[known], affect[known]) * affect.shape[1]


def similarity(embedded: Tensor, centroids: Tensor) -> Tensor:
    """Cosines of rows (batch, dim) to centroids (n_classes, dim), divided by the temperature of 0.07."""
    return F.normalize(embedded) @ F.normalize(centroids).T / CONTRAST_TEMPERATURE


def class_means(points: np.ndarray, y: np.ndarray, n_classes: int) -> np.ndarray:
    """The centroid of each class: the mean of its points, each at unit length; float32 (n_classes, dim).

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
    """Settings of a zero-shot training.

    Parameters
    ----------
    training : of the space and of the query network.
    epochs : the most epochs of the alignment, whose other settings are those of ``training``.

    Raises
    ------
    UsageError : frozen epochs, or no epoch of alignment.
    """

    training: TrainSettings = field(default_factory=TrainSettings)
    epochs: int = 100

    def __post_init__(self) -> None:
        if self.training.freeze_epochs:
            raise UsageError("zero-shot trains all encoders from scratch: freeze_epochs must be 0")
        if self.epochs < 1:
            raise UsageError(f"the alignment needs 1 epoch or more, not {self.epochs}")


class Aligned:
    """A frozen space and the networks aligned to it.

    Parameters
    ----------
    space : the fusion network of the other modalities.
    networks : the members.
    temperatures : one a member, fitted on validation rows; similarities are divided by it. There are no
        class biases, since none can be fitted for a held-out class.
    classes : ordered names of the training classes.
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

    def embed_space(self, others: Streams) -> np.ndarray:
        """Points of samples of the other modalities in the space, float32 (n_rows, dim)."""
        return self.space.joint(others)

    def predict_proba(self, query: np.ndarray, centroids: np.ndarray) -> np.ndarray:
        """Class probabilities of samples of the query modality, by their similarity to centroids.

        Parameters
        ----------
        query : shape (n_rows, *shape).
        centroids : of any classes, shape (n_classes, dim), in the space of `embed_space`.

        Returns
        -------
        float64 (n_rows, n_classes), rows sum to 1: the softmax of cosine / temperature.
        """
        directions = torch.from_numpy(centroids)

        def similarities(network: AlignmentNetwork) -> Callable[[Tensor], Tensor]:
            return lambda x: similarity(network.query.embed(x), directions)

        members = zip(self.networks, self.temperatures, strict=True)
        proba = [softmax(forward(similarities(net), query) / temperature) for net, temperature in members]
        mean: np.ndarray = np.mean(proba, axis=0)
        return mean

    def state_dict(self) -> dict[str, Tensor]:
        """Weights and buffers of the space and of the query networks, by name."""
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
    row_weights: np.ndarray | None = None,
    groups: Sequence[str] | np.ndarray | None = None,
    units: Sequence[str] | np.ndarray | None = None,
    copies: np.ndarray | None = None,
    note: Note = lambda text: None,
) -> Aligned:
    """Train a space, then a query network, then align the query network to the space.

    All three are fitted on these rows only; the caller leaves out the rows of a held-out class.

    Parameters
    ----------
    x : rows; the first stream is the query, the others make the space. Every row needs every stream.
    labels, row_weights, groups, units, copies : shape (n_rows,); see `eavctl.classifiers.dnn.fit`.
    design : of method ``attention``, with the streams of ``x``.
    affect : valence and arousal of each class, shape (2,), NaN where they are not known.
    settings : of the trainings.
    note : callback, called with a line on each epoch.

    Raises
    ------
    DataError, UsageError : as `eavctl.classifiers.dnn.fit`.
    """
    rows = Rows.of(x.arrays[0], labels, groups, units=units, weights=row_weights, copies=copies)
    others = Streams(x.arrays[1:], x.present[:, 1:])
    space = fit(
        others,
        labels,
        replace(design, streams=design.streams[1:]),
        row_weights=row_weights,
        groups=groups,
        units=units,
        copies=copies,
        settings=settings.training,
        keeping=_noting(note, "space"),
    )
    points = space.joint(others)
    known = np.stack([affect[name] for name in rows.classes])
    both = Streams((x.arrays[0], points), np.ones((len(x), 2), dtype=bool))
    networks, temperatures = _aligned(rows, both, design.streams[0], known, settings, note)
    return Aligned(space, networks, temperatures, rows.classes)


def _aligned(
    rows: Rows,
    both: Streams,
    query: StreamDesign,
    affect: np.ndarray,
    settings: AlignmentSettings,
    note: Note,
) -> tuple[list[AlignmentNetwork], list[float]]:
    """Networks that map the query's rows to their points, one a member, and their temperatures."""
    facts = {"query": asdict(query)}
    points = both.arrays[1]
    centroids = class_means(points, rows.y, len(rows.classes))

    def fresh(member: int) -> QueryNetwork:
        return QueryNetwork(query.build(), points.shape[1], affect, settings.training.dropout)

    learned = fit_members(fresh, rows, settings.training, facts, _noting(note, "query"))

    def started(member: int) -> AlignmentNetwork:
        network = AlignmentNetwork(fresh(member), centroids)
        network.query.load_state_dict(learned[member]["weights"])
        return network

    training = replace(settings.training, epochs=settings.epochs)
    results = fit_members(started, replace(rows, x=both), training, facts, _noting(note, "alignment"))
    networks = []
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced at once
        for member, result in enumerate(results):
            networks.append(started(member))
            networks[-1].load_state_dict(result["weights"])
    return networks, [result["temperature"] for result in results]


def _noting(note: Note, part: str) -> Keeping:
    """Call ``note`` after each epoch of a part of the training."""

    def on_epoch(epoch: Epoch) -> None:
        note(f"{part} {epoch}")

    return Keeping(on_epoch=on_epoch)

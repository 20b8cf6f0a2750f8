"""What the training loop trains: an encoder with a head, or anything that keeps the same contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from eavctl import registry
from eavctl.classifiers.streams import Rows, Streams


@dataclass(frozen=True)
class StreamBatch:
    """A batch of `Streams` as tensors.

    Parameters
    ----------
    tensors : one a stream, (batch, *shape of the stream).
    present : bool, (batch, n_streams); rows that a stream lacks are never read.
    """

    tensors: tuple[Tensor, ...]
    present: Tensor

    def __len__(self) -> int:
        return len(self.present)


Batch = Tensor | StreamBatch


def as_batch(x: Rows, device: torch.device) -> Batch:
    """Rows as a network takes them: pictures stay bytes, all else is float32."""
    if isinstance(x, Streams):
        tensors = tuple(_as_tensor(array).to(device) for array in x.arrays)
        return StreamBatch(tensors, torch.from_numpy(x.present).to(device))
    return _as_tensor(x).to(device)


def _as_tensor(x: np.ndarray) -> Tensor:
    """Share the rows' memory but where it cannot be written, as a memory map's: torch wants it writable."""
    return torch.from_numpy(np.require(x, np.uint8 if x.dtype == np.uint8 else np.float32, ["C", "W"]))


@dataclass(frozen=True)
class Criterion:
    """Cross entropy as the training weighs it.

    Parameters
    ----------
    class_weights : (n_classes,).
    label_smoothing : share of every target spread over all classes.
    """

    class_weights: Tensor
    label_smoothing: float

    def __call__(self, logits: Tensor, y: Tensor) -> Tensor:
        """Mean over rows, of logits (n_rows, n_classes) and class numbers (n_rows,)."""
        return F.cross_entropy(logits, y, self.class_weights, label_smoothing=self.label_smoothing)


class Trainable(Protocol):
    """What the loop asks of a network, besides being an ``nn.Module``.

    ``body`` is what is pretrained and can be held fixed; None where nothing is.
    """

    body: nn.Module | None

    def __call__(self, x: Any) -> Tensor:
        """Logits (batch, n_classes) of a batch."""
        ...

    def loss(self, x: Any, y: Tensor, criterion: Criterion) -> Tensor:
        """What a step makes less, of a batch and its class numbers (batch,)."""
        ...

    def fit_input(self, x: Any) -> None:
        """Keep in buffers what standardises the input, fitted on all training rows."""
        ...

    def augment(self, x: Any, generator: torch.Generator) -> Any:
        """Vary a training batch, with randomness from the generator alone."""
        ...

    def after_step(self) -> None:
        """Set right what a step of the optimiser must not leave as it is."""
        ...


class Encoder(Protocol):
    """What is asked of a registered encoder, besides being an ``nn.Module``."""

    embedding_dim: int

    def __call__(self, x: Tensor) -> Tensor:
        """Embed (batch, *shape) as (batch, embedding_dim)."""
        ...

    def fit_input(self, x: Tensor) -> None:
        """Keep in buffers what standardises the input, fitted on the training rows (n_rows, *shape)."""
        ...

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Vary a training batch (batch, *shape), with randomness from the generator alone."""
        ...

    # Some have more: ``after_step()`` is called when the optimiser has moved the weights; ``body`` is what
    # can be held fixed, and ``load_weights(folder)`` reads it from a public checkpoint.


class Network(nn.Module):
    """An encoder and its head: (batch, *shape) to (batch, n_classes) logits; see `Trainable`."""

    encoder: Encoder

    def __init__(self, encoder: Encoder, n_classes: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(encoder.embedding_dim, n_classes))

    @property
    def body(self) -> nn.Module | None:
        """The encoder's pretrained part, where it has one."""
        return getattr(self.encoder, "body", None)

    def forward(self, x: Tensor) -> Tensor:
        """Encode and classify."""
        logits: Tensor = self.head(self.encoder(x))
        return logits

    def loss(self, x: Tensor, y: Tensor, criterion: Criterion) -> Tensor:
        """See `Trainable`."""
        return criterion(self(x), y)

    def fit_input(self, x: Tensor) -> None:
        """See `Trainable`."""
        self.encoder.fit_input(x)

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """See `Trainable`."""
        return self.encoder.augment(x, generator)

    def after_step(self) -> None:
        """See `Trainable`."""
        settle(self.encoder)


def build_network(meta: Mapping[str, Any]) -> Network:
    """A new network by the names in a model's meta."""
    entry = registry.get("encoders", meta["encoder"])
    encoder = entry.build(tuple(meta["shape"]), **meta["encoder_settings"])
    return Network(encoder, len(meta["classes"]), meta["dropout"])


def settle(encoder: Any) -> None:
    """Call the encoder's ``after_step`` where it has one."""
    if hasattr(encoder, "after_step"):
        encoder.after_step()

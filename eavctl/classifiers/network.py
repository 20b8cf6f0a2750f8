"""Networks that the training loop trains: an encoder with a head, or anything that keeps the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from eavctl import ranks, registry
from eavctl.classifiers.streams import Features, Streams, Table, in_memory
from eavctl.encoders.moments import fit_moments

INFERENCE_BATCH = 64
CPU = torch.device("cpu")


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


def as_batch(x: np.ndarray | Streams, device: torch.device) -> Batch:
    """Rows as a network takes them: pictures stay bytes, all else is float32."""
    if isinstance(x, Streams):
        tensors = tuple(_moved(_as_tensor(array), device) for array in x.arrays)
        return StreamBatch(tensors, torch.from_numpy(x.present).to(device))
    return _moved(_as_tensor(x), device)


def _moved(x: Tensor, device: torch.device) -> Tensor:
    """Copy to a GPU from pinned memory, which does not wait for what the GPU computes."""
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x.to(device)


def _as_tensor(x: Table) -> Tensor:
    """Share the rows' memory but where it cannot be written, as a memory map's: torch wants it writable."""
    x = in_memory(x)
    return torch.from_numpy(np.require(x, np.uint8 if x.dtype == np.uint8 else np.float32, ["C", "W"]))


@dataclass(frozen=True)
class Criterion:
    """Cross entropy as the training weighs it.

    Parameters
    ----------
    class_weights : (n_classes,).
    label_smoothing : share of every target spread over all classes.
    row_weights : of the rows of a batch, (n_rows,); None where all count alike.
    """

    class_weights: Tensor
    label_smoothing: float
    row_weights: Tensor | None = None

    def __call__(self, logits: Tensor, y: Tensor) -> Tensor:
        """Weighted mean over rows, of logits (n_rows, n_classes) and class numbers (n_rows,)."""
        if self.row_weights is None:
            return F.cross_entropy(logits, y, self.class_weights, label_smoothing=self.label_smoothing)
        losses = F.cross_entropy(
            logits, y, self.class_weights, label_smoothing=self.label_smoothing, reduction="none"
        )
        return self.row_weights @ losses / (self.row_weights @ self.class_weights[y])

    def taking(self, rows: Tensor) -> Criterion:
        """The criterion for some rows of a batch, by their numbers."""
        return self if self.row_weights is None else replace(self, row_weights=self.row_weights[rows])


class Trainable(Protocol):
    """What the training loop requires of a network, besides being an ``nn.Module``.

    ``body`` is the pretrained part, which can be frozen; None where there is none.
    """

    body: nn.Module | None

    def __call__(self, x: Any) -> Tensor:
        """Outputs (batch, n_outputs) of a batch."""
        ...

    def augment(self, x: Any, generator: torch.Generator) -> Any:
        """Augment a training batch; all randomness comes from the generator."""
        ...

    def after_step(self) -> None:
        """Restore constraints on the weights after a step of the optimizer."""
        ...

    # Optional: ``fit_input(x)`` fits the buffers that standardise the input, on all training rows, and
    # ``fit_input_pieces(pieces)`` does so in one pass, or returns False where it cannot;
    # ``before_step(progress)`` is called before each step with the share of the stage's steps that
    # are done; ``constant_rate()`` gives the parameters whose learning rate does not follow the schedule;
    # ``slower()`` gives pairs of a share of the learning rate and the parameters that train at it;
    # ``schedule(step, total)`` is the share of the learning rate at a step, in place of the cosine.


class Augmentation(Protocol):
    """What can replace an encoder's own ``augment``."""

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Augment a training batch (batch, *shape); all randomness comes from the generator."""
        ...

    def describe(self) -> list[str]:
        """All that the result depends on besides the batch, for a model's meta."""
        ...


class ClassifierNetwork(Trainable, Protocol):
    """What `eavctl.classifiers.objective.Classification` requires besides: logits, and a loss of its own."""

    def loss(self, x: Any, y: Tensor, criterion: Criterion) -> Tensor:
        """The loss of a batch and its class numbers (batch,)."""
        ...


class Encoder(Protocol):
    """What is required of a registered encoder, besides being an ``nn.Module``."""

    embedding_dim: int

    def __call__(self, x: Tensor) -> Tensor:
        """Embed (batch, *shape) as (batch, embedding_dim)."""
        ...

    def fit_input(self, x: Tensor) -> None:
        """Fit the buffers that standardise the input, on the training rows (n_rows, *shape)."""
        ...

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Augment a training batch (batch, *shape); all randomness comes from the generator."""
        ...

    # Optional: ``after_step()`` is called after each step of the optimizer; ``body`` is the part that can be
    # frozen, and ``load_weights(folder)`` reads it from a public checkpoint. An encoder that is an
    # `eavctl.encoders.moments.FitsMoments` is fitted to tables that are larger than memory in one pass.


class Network(nn.Module):
    """An encoder and its head: (batch, *shape) to (batch, n_classes) logits; a `ClassifierNetwork`.

    Attributes
    ----------
    augmentation : of training batches; None for the encoder's own.
    """

    encoder: Encoder

    def __init__(self, encoder: Encoder, n_classes: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.augmentation: Augmentation | None = None
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(encoder.embedding_dim, n_classes))
        self._started = False
        self._body_share: float | None = None

    def tune_body(self, share: float) -> None:
        """Train the body at a share of the learning rate; its batch norms keep their statistics."""
        self._body_share = share

    def slower(self) -> list[tuple[float, list[nn.Parameter]]]:
        """See `Trainable`."""
        if self._body_share is None or self.body is None:
            return []
        return [(self._body_share, list(self.body.parameters()))]

    def train(self, mode: bool = True) -> Network:
        """See ``nn.Module.train``; the batch norms of a body that is tuned remain in evaluation mode."""
        super().train(mode)
        if self._body_share is not None and self.body is not None:
            for part in self.body.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.eval()
        return self

    def start_from(self, state: Mapping[str, Tensor]) -> None:
        """Load a pretrained encoder: all of it is `body` then, and keeps its statistics of the input.

        Raises
        ------
        RuntimeError : the state of another encoder.
        """
        self._module.load_state_dict(dict(state))
        self._started = True

    @property
    def body(self) -> nn.Module | None:
        """The pretrained part: the whole encoder after `start_from`, else its own, where it has one."""
        return self._module if self._started else getattr(self.encoder, "body", None)

    @property
    def _module(self) -> nn.Module:
        return cast(nn.Module, self.encoder)

    def forward(self, x: Tensor) -> Tensor:
        """Encode and classify."""
        logits: Tensor = self.head(self.encoder(x))
        return logits

    def loss(self, x: Tensor, y: Tensor, criterion: Criterion) -> Tensor:
        """See `ClassifierNetwork`."""
        return criterion(self.head(ranks.share(self.encoder, x)), y)

    def fit_input(self, x: Tensor) -> None:
        """See `Trainable`; an encoder that was started from another keeps its statistics."""
        if not self._started:
            self.encoder.fit_input(x)

    def fit_input_pieces(self, pieces: Iterable[Tensor]) -> bool:
        """See `Trainable`."""
        if not self._started and hasattr(self.encoder, "set_moments"):
            fit_moments(self.encoder, pieces)
        return self._started or hasattr(self.encoder, "set_moments")

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """See `Trainable`."""
        return (self.augmentation or self.encoder.augment)(x, generator)

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


def forward(module: Callable[[Any], Tensor], x: Features, device: torch.device = CPU) -> np.ndarray:
    """Outputs of a module in evaluation mode for all rows, in batches: float64 (n_rows, n_outputs).

    Of several ranks each computes some of the batches, so that every row is computed once.
    """
    starts = range(0, len(x), INFERENCE_BATCH)
    mine = starts[ranks.Part.of(len(starts)).rows]
    with torch.inference_mode():
        outputs = [module(as_batch(x[i : i + INFERENCE_BATCH], device)).cpu().numpy() for i in mine]
    return np.concatenate([each for some in ranks.of_all(outputs) for each in some]).astype(np.float64)

"""A small encoder, toy rows, and the loop's order of a step, for tests of pretraining methods."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from eavctl import registry

DIM, N_FEATURES = 8, 12
SMALL = {"hidden": 32, "out": 16, "prototypes": 12, "queue": 24}


class SmallEncoder(nn.Module):
    """Two layers with batch normalisation and dropout; keeps the contract of an encoder."""

    mean: Tensor
    embedding_dim = DIM

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(N_FEATURES))
        self.layers = nn.Sequential(
            nn.Linear(N_FEATURES, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.05), nn.Linear(32, DIM)
        )

    def forward(self, x: Tensor) -> Tensor:
        embedding: Tensor = self.layers(x - self.mean)
        return embedding

    def fit_input(self, x: Tensor) -> None:
        self.mean.copy_(x.mean(dim=0))

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return x + 0.3 * torch.randn(x.shape, generator=generator)


def built(name: str, seed: int = 0, **settings: Any) -> Any:
    """A method on a small encoder; its heads and queues are small where it has them."""
    entry = registry.get("pretraining methods", name)
    small = {key: value for key, value in SMALL.items() if key in entry.settings}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return entry.build(SmallEncoder(), **{**small, **settings})


def rows(n: int = 48) -> Tensor:
    """Eight independent directions of variance in twelve columns."""
    generator = torch.Generator().manual_seed(3)
    latent = torch.randn(n, DIM, generator=generator)
    return 2 + latent @ torch.randn(DIM, N_FEATURES, generator=generator)


def views(method: Any, seed: int = 0) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = method.augment(rows(), torch.Generator().manual_seed(seed))
    return found


def train(method: Any, n_steps: int, first: int = 0, total: int = 40) -> None:
    """Steps with all hooks, in the order of the training loop."""
    optimizer = torch.optim.AdamW(method.parameters(), lr=3e-3)
    method.train()
    with torch.random.fork_rng(devices=[]):
        for step in range(first, first + n_steps):
            torch.manual_seed(step)
            method.before_step(step / total)
            loss = method.loss(views(method, step))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            method.after_step()


def spread(embedding: Tensor) -> float:
    """Standard deviation of unit-length embeddings, over 1 / sqrt(dim), that of random directions."""
    units = nn.functional.normalize(embedding)
    return float(units.std(dim=0).mean()) * math.sqrt(embedding.shape[1])

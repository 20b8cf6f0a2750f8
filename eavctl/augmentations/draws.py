"""Random numbers, one for each row of a batch, and types of settings that augmentations share."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Generator, Tensor

from eavctl.settings import Within

Chance = Annotated[float, Within(0, 1)]  # that a row is altered
Part = Annotated[float, Within(0, 0.9)]  # of an axis


def uniform(x: Tensor, least: float, most: float, generator: Generator) -> Tensor:
    """A number from ``least`` to ``most`` for each row, shape (batch, 1, ...) with as many axes as ``x``."""
    drawn = torch.rand((len(x), *[1] * (x.ndim - 1)), generator=generator, device=x.device)
    return least + (most - least) * drawn


def chosen(x: Tensor, chance: float, generator: Generator) -> Tensor:
    """Whether each row is altered, bool, shape as `uniform`."""
    return uniform(x, 0, 1, generator) < chance

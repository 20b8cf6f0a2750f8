"""Rows of each kind, and an augmentation by its name."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from eavctl import registry
from eavctl.augmentations.kind import Kind

PADDING = -80.0
N_PADDED = 7
KINDS = {
    "images": Kind("images"),
    "spectrograms": Kind("spectrograms", padding=PADDING, decibels=1.0),
    "eeg": Kind("eeg", band=(0.5, 45.0), sfreq=100.0),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(kind: str, n: int = 6, **options: Any) -> Tensor:
    """Random rows, as augmentations take them; of the spectrograms every second one is padded."""
    if kind == "images":
        shape = (n, options.get("n_frames", 1), options.get("channels", 3), 12, 10)
        return 255 * torch.rand(shape, generator=generator(1))
    if kind == "eeg":
        return 20 * torch.randn((n, 5, 200), generator=generator(1))
    x = -60 * torch.rand((n, 24, 50), generator=generator(1))
    x[::2, :, -N_PADDED:] = PADDING
    return x


def alter(name: str, kind: str, x: Tensor, seed: int = 0, **settings: Any) -> Tensor:
    """The augmentation of a name, with settings that it takes."""
    entry = registry.get("augmentations", name)
    found: Tensor = entry.build(x, generator(seed), KINDS[kind], **settings)
    return found

"""Masks for spectrograms: of the frames that are not padding, and random stripes for augmentation."""

from __future__ import annotations

import torch
from torch import Tensor

PADDING_TOLERANCE = 1e-3
N_MASKS = 2


def unpadded(x: Tensor, padding: float | None = None) -> Tensor:
    """Mask of the frames that are not padding: bool (batch, n_frames) for x (batch, n_mels, n_frames).

    Padding is the run of frames at the end that have the value ``padding``; where that is None, of equal
    frames. The first frame never counts as padding, so every clip has at least one frame.
    """
    last = x[:, :, -1:] if padding is None else padding
    differs = (x - last).abs().amax(dim=1) > PADDING_TOLERANCE
    frames = torch.arange(x.shape[2], device=x.device)
    return frames <= (differs * frames).amax(dim=1, keepdim=True)


def stripes(x: Tensor, size: int, share: float, generator: torch.Generator) -> Tensor:
    """Mask of two random intervals per sample, each of up to ``share`` of an axis: bool (batch, size)."""
    shape = (len(x), N_MASKS, 1)
    width = torch.rand(shape, generator=generator, device=x.device) * share * size
    start = torch.rand(shape, generator=generator, device=x.device) * (size - width)
    indices = torch.arange(size, device=x.device)
    return ((indices >= start) & (indices < start + width)).any(dim=1)

"""What encoders of spectrograms share: which frames sound, and random stripes that hide some of them."""

from __future__ import annotations

import torch
from torch import Tensor

PADDING_TOLERANCE = 1e-3
N_MASKS = 2


def sounding(x: Tensor) -> Tensor:
    """Which frames are not padding: bool (batch, n_frames) of x (batch, n_mels, n_frames).

    Padding is the run of equal frames at the end. A clip's first frame always counts as sounding, so that
    no clip is without any.
    """
    differs = (x - x[:, :, -1:]).abs().amax(dim=1) > PADDING_TOLERANCE
    places = torch.arange(x.shape[2], device=x.device)
    return places <= (differs * places).amax(dim=1, keepdim=True)


def stripes(x: Tensor, size: int, share: float, generator: torch.Generator) -> Tensor:
    """A few random intervals of up to ``share`` of an axis for each sample: bool (batch, size)."""
    shape = (len(x), N_MASKS, 1)
    width = torch.rand(shape, generator=generator, device=x.device) * share * size
    start = torch.rand(shape, generator=generator, device=x.device) * (size - width)
    places = torch.arange(size, device=x.device)
    return ((places >= start) & (places < start + width)).any(dim=1)

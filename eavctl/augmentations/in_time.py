"""Augmentations along time, of spectrograms (batch, n_mels, n_frames) and EEG (batch, n_chans, n_times)."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Generator, Tensor

from eavctl.augmentations.draws import Part, uniform
from eavctl.augmentations.kind import EEG, SPECTROGRAMS, Kind
from eavctl.encoders.augmentation import stripes, unpadded
from eavctl.registry import register
from eavctl.settings import Within


@register("augmentations", "time-crop", of=(SPECTROGRAMS, EEG), order=3, default=True)
def time_crop(
    x: Tensor, generator: Generator, kind: Kind, *, least: Annotated[float, Within(0.1, 1)] = 0.6
) -> Tensor:
    """Keep a random window of each row.

    The window of a clip is moved to the beginning, and the rest is padding. That of EEG is moved to a random
    time, and the rest is set to the mean of each channel.

    Parameters
    ----------
    x : shape (batch, n_bands, n_times).
    generator : random generator on the device of ``x``.
    least : smallest share of the row, without its padding, that is kept.
    """
    inside = content(x, kind)
    n_times = inside.sum(dim=1, keepdim=True)
    length = (uniform(inside, least, 1, generator) * n_times).round().clamp(min=1).long()
    free = n_times - length
    start, onset = ((uniform(inside, 0, 1, generator) * (free + 1)).long().minimum(free) for _ in range(2))
    if kind.name == SPECTROGRAMS:
        onset = torch.zeros_like(onset)
    times = torch.arange(x.shape[2], device=x.device)
    source = (times + start - onset).clamp(0, x.shape[2] - 1)
    kept = (times >= onset) & (times < onset + length)
    window = x.gather(2, source[:, None].expand_as(x))
    rest = kind.padding if kind.name == SPECTROGRAMS else mean_of(x, inside[:, None])
    return torch.where(kept[:, None], window, rest)


@register("augmentations", "time-mask", of=(SPECTROGRAMS, EEG), order=6, default=True)
def time_mask(x: Tensor, generator: Generator, kind: Kind, *, share: Part = 0.1) -> Tensor:
    """Set two random intervals of time to the mean of each band or channel over the row [1]_, [2]_.

    Parameters
    ----------
    x : shape (batch, n_bands, n_times).
    generator : random generator on the device of ``x``.
    share : largest length of an interval, as a share of the axis.

    References
    ----------
    .. [1] Park et al.: SpecAugment: a simple data augmentation method for automatic speech recognition, 2019.
    .. [2] Mohsenvand, Izadi, Maes: Contrastive representation learning for electroencephalogram
       classification, 2020.
    """
    inside = content(x, kind)[:, None]
    hidden = stripes(x, x.shape[2], share, generator)[:, None] & inside
    return torch.where(hidden, mean_of(x, inside), x)


def content(x: Tensor, kind: Kind) -> Tensor:
    """Mask of the times that are not padding, bool (batch, n_times); the first one never is."""
    if kind.name == EEG:
        return torch.ones((len(x), x.shape[2]), dtype=torch.bool, device=x.device)
    return unpadded(x, kind.padding)


def mean_of(x: Tensor, inside: Tensor) -> Tensor:
    """Mean of each band over the times that a mask (batch, 1, n_times) has, shape (batch, n_bands, 1)."""
    return x @ inside.transpose(1, 2).to(x.dtype) / inside.sum(dim=2, keepdim=True)

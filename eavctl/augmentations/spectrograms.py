"""Augmentations of log spectrograms: (batch, n_mels, n_frames).

The level and the pitch of a voice carry emotion, so both are changed little; the level is changed only where
``gain`` is named. Padding at the end of a clip stays padding.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Generator, Tensor

from eavctl.augmentations.draws import Chance, Part, chosen, uniform
from eavctl.augmentations.in_time import content, mean_of
from eavctl.augmentations.kind import SPECTROGRAMS, Kind
from eavctl.encoders.augmentation import stripes
from eavctl.registry import register
from eavctl.settings import Within

DB = 10 / math.log(10)  # decibels per unit of the natural logarithm of power
SNR_RANGE = 20.0  # dB


@register("augmentations", "background", of=(SPECTROGRAMS,), order=1, default=True, needs="decibels")
def background(
    x: Tensor,
    generator: Generator,
    kind: Kind,
    *,
    snr: Annotated[float, Within(-20, 100)] = 10.0,
    p: Chance = 0.5,
) -> Tensor:
    """Add the power of another clip of the batch to some clips, at a low level [1]_.

    A batch of one clip stays as it is.

    Parameters
    ----------
    x : shape (batch, n_mels, n_frames).
    generator : random generator on the device of ``x``.
    kind : its ``decibels`` says what a unit is.
    snr : least ratio of the mean power of the clip to that of the other, dB; the largest is 20 dB more.
    p : share of the clips.

    References
    ----------
    .. [1] Niizumi et al.: BYOL for audio: self-supervised learning for general-purpose audio representation,
       2021 (mixing of exponentials).
    """
    if len(x) == 1:
        return x
    assert kind.decibels  # by the fact `needs`
    sounding = content(x, kind)[:, None]
    power = x * (kind.decibels / DB)
    level = _level(power, sounding)
    away = (uniform(x, 0, 1, generator).flatten() * (len(x) - 1)).long() + 1  # never to the row itself
    other = (torch.arange(len(x), device=x.device) + away) % len(x)
    shift = level - level[other] - uniform(x, snr, snr + SNR_RANGE, generator) / DB
    added = (power[other] + shift).masked_fill(~sounding[other], -math.inf)
    mixed = torch.logaddexp(power, added) * (DB / kind.decibels)
    return torch.where(sounding & chosen(x, p, generator), mixed, x)


@register("augmentations", "tempo", of=(SPECTROGRAMS,), order=2, default=True)
def tempo(x: Tensor, generator: Generator, kind: Kind, *, share: Part = 0.1) -> Tensor:
    """Make clips faster or slower; frames beyond the end are padding, or cut.

    Parameters
    ----------
    x : shape (batch, n_mels, n_frames).
    generator : random generator on the device of ``x``.
    share : most by which the tempo is scaled up, or its inverse.
    """
    rate = uniform(x, -1, 1, generator).mul(math.log(1 + share)).exp()[:, 0]
    n_frames = content(x, kind).sum(dim=1, keepdim=True)
    places = torch.arange(x.shape[2], device=x.device) * rate
    played = _interpolated(x, places.minimum(n_frames - 1), dim=2)
    return torch.where((places <= n_frames - 1)[:, None], played, kind.padding)


@register("augmentations", "mel-shift", of=(SPECTROGRAMS,), order=4, default=True)
def mel_shift(x: Tensor, generator: Generator, kind: Kind, *, share: Part = 0.015) -> Tensor:
    """Shift clips along the mel axis, as a smaller or larger vocal tract does; edges are repeated.

    Parameters
    ----------
    x : shape (batch, n_mels, n_frames).
    generator : random generator on the device of ``x``.
    share : largest shift up or down, as a share of the axis; 0.015 is one of 64 bands.
    """
    n_mels = x.shape[1]
    shift = uniform(x, -share * n_mels, share * n_mels, generator)[:, 0]
    places = torch.arange(n_mels, device=x.device) + shift
    return _interpolated(x, places.clamp(0, n_mels - 1), dim=1)


@register("augmentations", "gain", of=(SPECTROGRAMS,), order=5, default=False, needs="decibels")
def gain(
    x: Tensor, generator: Generator, kind: Kind, *, db: Annotated[float, Within(0, 100)] = 3.0
) -> Tensor:
    """Make clips louder or softer.

    Parameters
    ----------
    x : shape (batch, n_mels, n_frames).
    generator : random generator on the device of ``x``.
    kind : its ``decibels`` says what a unit is.
    db : largest gain up or down, dB.
    """
    assert kind.decibels  # by the fact `needs`
    louder = x + uniform(x, -db, db, generator) / kind.decibels
    return torch.where(content(x, kind)[:, None], louder, x)


@register("augmentations", "band-mask", of=(SPECTROGRAMS,), order=7, default=True)
def band_mask(x: Tensor, generator: Generator, kind: Kind, *, share: Part = 0.12) -> Tensor:
    """Set two random stripes of mel bands to each band's mean over the clip [1]_.

    Parameters
    ----------
    x : shape (batch, n_mels, n_frames).
    generator : random generator on the device of ``x``.
    share : largest width of a stripe, as a share of the bands.

    References
    ----------
    .. [1] Park et al.: SpecAugment: a simple data augmentation method for automatic speech recognition, 2019.
    """
    sounding = content(x, kind)[:, None]
    hidden = stripes(x, x.shape[1], share, generator)[:, :, None] & sounding
    return torch.where(hidden, mean_of(x, sounding), x)


def _level(power: Tensor, sounding: Tensor) -> Tensor:
    """Logarithm of the mean power of each clip without its padding, (batch, 1, 1)."""
    total = power.masked_fill(~sounding, -math.inf).logsumexp(dim=(1, 2), keepdim=True)
    return total - (sounding.sum(dim=2, keepdim=True) * power.shape[1]).log()


def _interpolated(x: Tensor, places: Tensor, dim: int) -> Tensor:
    """Values between the cells of an axis, linearly; ``places``, (batch, size), within the axis."""
    places = places[:, None] if dim == 2 else places[:, :, None]
    below = places.floor()
    first = below.long()
    second = (first + 1).clamp(max=x.shape[dim] - 1)
    return torch.lerp(
        x.gather(dim, first.expand_as(x)), x.gather(dim, second.expand_as(x)), (places - below).to(x.dtype)
    )

"""Augmentations of EEG: (batch, n_chans, n_times), in any unit.

There is no time reversal and no sign flip: neither gives a plausible EEG.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Generator, Tensor

from eavctl.augmentations.draws import Chance, Part, chosen, uniform
from eavctl.augmentations.kind import EEG, Kind
from eavctl.registry import register
from eavctl.settings import Within


@register("augmentations", "surrogate", of=(EEG,), order=1, default=True)
def surrogate(x: Tensor, generator: Generator, kind: Kind, *, share: Chance = 1.0, p: Chance = 0.5) -> Tensor:
    """Add random phases to the Fourier transform of some rows [1]_.

    The amplitude spectrum of each channel stays. A frequency's phase is the same for all channels, so the
    cross-spectra stay, too.

    Parameters
    ----------
    x : shape (batch, n_chans, n_times).
    generator : random generator on the device of ``x``.
    share : phases are drawn from this share of the circle; all of it leaves nothing of the order in time.
    p : share of the rows.

    References
    ----------
    .. [1] Schwabedal et al.: Addressing class imbalance in classification problems of noisy signals by using
       Fourier transform surrogates, 2018.
    """
    n_times = x.shape[2]
    spectrum = torch.fft.rfft(x)
    phase = 2 * math.pi * share * torch.rand(_each(spectrum), generator=generator, device=x.device)
    phase[:, :, 0] = 0  # the mean, and the frequency below, are real
    if n_times % 2 == 0:
        phase[:, :, -1] = 0
    turned = torch.fft.irfft(spectrum * torch.polar(torch.ones_like(phase), phase), n=n_times)
    return torch.where(chosen(x, p, generator), turned, x)


@register("augmentations", "band-stop", of=(EEG,), order=2, default=True, needs="sfreq")
def band_stop(
    x: Tensor,
    generator: Generator,
    kind: Kind,
    *,
    width: Annotated[float, Within(0.1, 100)] = 4.0,
    p: Chance = 0.5,
) -> Tensor:
    """Remove a random band of frequencies from some rows [1]_, with a centre in the pass-band.

    Parameters
    ----------
    x : shape (batch, n_chans, n_times).
    generator : random generator on the device of ``x``.
    kind : its ``sfreq`` and ``band``, Hz.
    width : of the band, Hz.
    p : share of the rows.

    References
    ----------
    .. [1] Mohsenvand, Izadi, Maes: Contrastive representation learning for electroencephalogram
       classification, 2020.
    """
    assert kind.sfreq  # by the fact `needs`
    low, high = kind.band
    centre = uniform(x, low, min(high, kind.sfreq / 2), generator)
    frequencies = torch.fft.rfftfreq(x.shape[2], 1 / kind.sfreq, device=x.device)
    stopped = ((frequencies - centre).abs() <= width / 2) & chosen(x, p, generator)
    found: Tensor = torch.fft.irfft(torch.fft.rfft(x).masked_fill(stopped, 0), n=x.shape[2])
    return found


@register("augmentations", "noise", of=(EEG,), order=4, default=True)
def noise(x: Tensor, generator: Generator, kind: Kind, *, share: Part = 0.2) -> Tensor:
    """Add white noise to each channel.

    Parameters
    ----------
    x : shape (batch, n_chans, n_times).
    generator : random generator on the device of ``x``.
    share : largest standard deviation of the noise, as a share of the channel's in the row.
    """
    level = uniform(x, 0, share, generator) * x.std(dim=2, keepdim=True, correction=0)
    return torch.addcmul(x, level, torch.randn(x.shape, generator=generator, device=x.device))


@register("augmentations", "channel-dropout", of=(EEG,), order=7, default=True)
def channel_dropout(x: Tensor, generator: Generator, kind: Kind, *, share: Part = 0.2) -> Tensor:
    """Set random channels to their mean [1]_; at least one is kept.

    Parameters
    ----------
    x : shape (batch, n_chans, n_times).
    generator : random generator on the device of ``x``.
    share : chance of each channel.

    References
    ----------
    .. [1] Saeed et al.: Learning from heterogeneous EEG signals with differentiable channel reordering, 2021.
    """
    drawn = torch.rand((*x.shape[:2], 1), generator=generator, device=x.device)
    kept = (drawn >= share) | (drawn == drawn.amax(dim=1, keepdim=True))
    return torch.where(kept, x, x.mean(dim=2, keepdim=True))


def _each(spectrum: Tensor) -> tuple[int, int, int]:
    """A shape for one number a frequency, for all channels of a row alike."""
    return len(spectrum), 1, spectrum.shape[2]

"""``cnn-lstm``: two convolutions over a log-mel spectrogram, then a bidirectional LSTM over its time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from eavctl.encoders.augmentation import stripes, unpadded
from eavctl.errors import DataError
from eavctl.registry import register
from eavctl.settings import Share, Within

Filters = Annotated[int, Within(1, 1024)]

STD_FLOOR = 1e-3
MIN_BANDS = 16
MIN_FRAMES = 16

DB = 10 / math.log(10)  # decibels per unit of the natural logarithm of power
# White noise of 0.05 of a clip's peak relative to its loudest mel cell: -39 to -33 dB in nine of ten clips.
NOISE_DB = -36.0
# Augmentation of the training input: shares of the clip, and numbers of mel bands.
STRETCH = 0.15
SHIFT_TIME = 0.07
SHIFT_BANDS = 2.0
MASK_TIME = 0.10
MASK_BANDS = 0.12


@register(
    "encoders",
    "cnn-lstm",
    modality="audio",
    features=("logmel",),
    example_shape=(64, 300),
    free_axis=1,
    shortest=MIN_FRAMES,
)
class CnnLstm(nn.Module):
    """Two convolutions, a bidirectional LSTM over time, and attention pooling over the unpadded frames.

    A step of the LSTM covers 60 ms (for frames of 10 ms): the concatenated filter outputs of all frequencies.
    300 frames give 50 steps.

    Parameters
    ----------
    shape : (n_mels, n_frames) of one sample, in dB (or standardised); at least 16 x 16.
    channels : number of filters of the two 3x3 convolutions.
    lstm_units : units of the LSTM in each direction; the embedding has twice as many values.
    dropout : dropout rate of the LSTM's inputs.
    noisy : share of the training clips to which white noise of up to 0.05 of their peak is added. It masks
        everything 36 dB below the loudest sound: for noisy recordings, not for clean ones.

    Notes
    -----
    Frames at the end that repeat the last one are padding. They are excluded from the pooling and from the
    statistics of the input.

    References
    ----------
    .. [1] Zhao, Mao, Chen: Speech emotion recognition using deep 1D & 2D CNN LSTM networks, 2019.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        *,
        channels: tuple[Filters, Filters] = (32, 64),
        lstm_units: Annotated[int, Within(1, 2048)] = 128,
        dropout: Share = 0.3,
        noisy: Annotated[float, Within(0, 1)] = 0.0,
    ) -> None:
        super().__init__()
        n_mels, _ = _checked(shape)
        first, second = channels
        # Pooling before normalisation is equivalent up to the sign of the scale, at a quarter of the cost.
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, first, 3, stride=(1, 3), padding=1, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, padding=1, bias=False),
            nn.MaxPool2d((4, 1)),
            nn.BatchNorm2d(second),
            nn.ReLU(),
        )
        self.convolutions.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(second * (n_mels // 8), lstm_units, batch_first=True, bidirectional=True)
        self.attention = nn.Linear(2 * lstm_units, 1, bias=False)
        self.normalize = nn.LayerNorm(2 * lstm_units)
        self.embedding_dim = 2 * lstm_units
        self.noisy = noisy
        self.register_buffer("mean", torch.zeros(n_mels, 1))
        self.register_buffer("std", torch.ones(n_mels, 1))

    def fit_input(self, x: Tensor) -> None:
        """Fit the mean and standard deviation of each mel band over the unpadded frames of ``x``.

        Parameters
        ----------
        x : shape (n_samples, n_mels, n_frames), training rows only.
        """
        values = self.input_values(x)
        self.set_moments(values.mean(dim=1), values.std(dim=1, correction=0))

    def input_values(self, x: Tensor) -> Tensor:
        """See `eavctl.encoders.moments.FitsMoments`: the unpadded frames, (n_mels, n_values)."""
        return x.transpose(0, 1)[:, unpadded(x)]

    def set_moments(self, mean: Tensor, std: Tensor) -> None:
        """See `eavctl.encoders.moments.FitsMoments`."""
        self.mean.copy_(mean[:, None])
        self.std.copy_(std[:, None].clamp(min=STD_FLOOR))

    def forward(self, x: Tensor) -> Tensor:
        """Embed (batch, n_mels, n_frames) as (batch, 2 * lstm_units)."""
        active = unpadded(x)
        standard = (x - self.mean) / self.std * active[:, None]
        maps = self.convolutions(standard[:, None].contiguous(memory_format=torch.channels_last))
        steps = self.dropout(maps.flatten(1, 2).transpose(1, 2))
        states, _ = self.lstm(steps)
        embedding: Tensor = self.normalize(self._pool(states, active))
        return embedding

    def _pool(self, states: Tensor, active: Tensor) -> Tensor:
        """Attention over the unpadded steps: (batch, n_steps, n_units) to (batch, n_units)."""
        n_frames, n_steps = active.shape[1], states.shape[1]
        first_frames = torch.arange(n_steps, device=active.device) * n_frames // n_steps
        sounds = first_frames < active.sum(dim=1, keepdim=True)  # padding is at the end only
        scores = self.attention(states).squeeze(2).masked_fill(~sounds, -torch.inf)
        return (torch.softmax(scores, dim=1)[:, None] @ states).squeeze(1)

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Augment a batch: add noise, change tempo, onset and pitch, and mask times and bands [1]_.

        Masked cells are set to the mean of their band.

        Parameters
        ----------
        x : shape (batch, n_mels, n_frames).
        generator : random generator on the device of ``x``.

        References
        ----------
        .. [1] Park et al.: SpecAugment, 2019.
        """
        noised = _with_noise(x, self.noisy, generator) if self.noisy else x
        moved = _move(noised, generator)
        in_time = stripes(x, x.shape[2], MASK_TIME, generator)[:, None, :]
        in_frequency = stripes(x, x.shape[1], MASK_BANDS, generator)[:, :, None]
        hidden = (in_time | in_frequency) & unpadded(moved)[:, None]
        return torch.where(hidden, self.mean, moved)


def _checked(shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) != 2 or shape[0] < MIN_BANDS or shape[1] < MIN_FRAMES:
        raise DataError(
            f"encoder 'cnn-lstm' takes a log-mel spectrogram of at least {MIN_BANDS} bands and {MIN_FRAMES} "
            f"frames, not rows of shape {tuple(shape)}; extract with --features logmel"
        )
    return shape[0], shape[1]


def _uniform(x: Tensor, limit: float, generator: torch.Generator) -> Tensor:
    """One random number per sample between -limit and limit, shape (batch,)."""
    return (2 * torch.rand(len(x), generator=generator, device=x.device) - 1) * limit


def _with_noise(x: Tensor, clips: float, generator: torch.Generator) -> Tensor:
    """Add white noise of up to 0.05 of the peak, as mel power, to the unpadded frames of some clips.

    The range of standardised input is so small that the noise has no effect on it.
    """
    share = torch.rand(len(x), 1, 1, generator=generator, device=x.device)
    # The power of noise in a mel cell is approximately the mean of two exponential variates.
    power = -torch.rand((2, *x.shape), generator=generator, device=x.device).clamp(min=1e-6).log().mean(dim=0)
    level = x.amax(dim=(1, 2), keepdim=True) + NOISE_DB
    noise = level + 10 * torch.log10(share.square() * power + 1e-12)
    chosen = torch.rand(len(x), 1, 1, generator=generator, device=x.device) < clips
    return torch.where(unpadded(x)[:, None] & chosen, torch.logaddexp(x / DB, noise / DB) * DB, x)


def _move(x: Tensor, generator: torch.Generator) -> Tensor:
    """Stretch and shift in time, and shift along the mel bands; edges are repeated."""
    n_bands, n_frames = x.shape[1:]
    stretch = 1 + _uniform(x, STRETCH, generator)[:, None]
    times = stretch * _centres(n_frames, x.device) + _uniform(x, 2 * SHIFT_TIME, generator)[:, None]
    bands = _centres(n_bands, x.device) + _uniform(x, 2 * SHIFT_BANDS / n_bands, generator)[:, None]
    # The axes move independently, which costs half as much as an affine grid.
    grid = torch.stack([times[:, None, :].expand_as(x), bands[:, :, None].expand_as(x)], dim=3)
    return F.grid_sample(x[:, None], grid, padding_mode="border", align_corners=False)[:, 0]


def _centres(size: int, device: torch.device) -> Tensor:
    """Centres of the cells of an axis from -1 to 1, shape (size,)."""
    return torch.linspace(-1, 1, 2 * size + 1, device=device)[1::2]

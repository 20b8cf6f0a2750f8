"""Base class of the EEG encoders: standardisation of the input, and augmentation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from eavctl.errors import DataError

FLAT = 1e-3  # microvolt: a channel that varies less is flat
# Augmentation of the training input.
SHIFT = 0.1  # of the length of a row
GAIN, NOISE = 0.1, 0.1  # of a channel's standard deviation
LOST = 0.05  # of the channels


class EegRows(nn.Module):
    """Base class of EEG encoders, which standardises rows (n_chans, n_times) channel by channel.

    Parameters
    ----------
    shape : (n_chans, n_times) of one row, in microvolt.
    encoder : name of the encoder, for errors.
    shortest : smallest number of samples of a row.

    Raises
    ------
    DataError : rows without two axes, or too short.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, shape: Sequence[int], encoder: str, shortest: int) -> None:
        super().__init__()
        if len(shape) != 2 or shape[1] < shortest:
            raise DataError(
                f"encoder {encoder!r} takes EEG rows (channels, samples) of at least {shortest} samples, not "
                f"rows of shape {tuple(shape)}; extract with --features eeg-epochs and long enough segments"
            )
        self.n_chans, self.n_times = shape
        self.register_buffer("mean", torch.zeros(self.n_chans, 1))
        self.register_buffer("std", torch.ones(self.n_chans, 1))

    def fit_input(self, x: Tensor) -> None:
        """Fit the mean and standard deviation of each channel; the deviation of a flat channel is set to 1.

        Parameters
        ----------
        x : shape (n_rows, n_chans, n_times), training rows only.
        """
        std, mean = torch.std_mean(x, dim=(0, 2), correction=0)
        self.set_moments(mean, std)

    def input_values(self, x: Tensor) -> Tensor:
        """See `eavctl.encoders.moments.FitsMoments`."""
        return x.transpose(0, 1).flatten(1)

    def set_moments(self, mean: Tensor, std: Tensor) -> None:
        """See `eavctl.encoders.moments.FitsMoments`."""
        self.mean.copy_(mean[:, None])
        self.std.copy_(torch.where(std > FLAT, std, 1)[:, None])

    def standardised(self, x: Tensor) -> Tensor:
        """Standardise rows (batch, n_chans, n_times) with the mean and deviation of the training rows."""
        return (x - self.mean) / self.std

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Augment a batch: shift rows in time, scale channels, add noise, and drop single channels.

        Parameters
        ----------
        x : shape (batch, n_chans, n_times), in microvolt.
        generator : random generator on the device of ``x``.

        References
        ----------
        .. [1] Rommel et al.: Data augmentation for learning predictive models on EEG: a systematic
           comparison, J. Neural Eng. 19, 2022.
        """
        channels = (len(x), self.n_chans, 1)
        gain = 1 + GAIN * torch.randn(channels, generator=generator, device=x.device)
        kept = torch.rand(channels, generator=generator, device=x.device) >= LOST
        noise = NOISE * torch.randn(x.shape, generator=generator, device=x.device)
        return self.mean + ((_shifted(x, generator) - self.mean) * gain + self.std * noise) * kept


def _shifted(x: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each row in time, circularly."""
    n_times = x.shape[2]
    shifts = SHIFT * n_times * (2 * torch.rand(len(x), 1, 1, generator=generator, device=x.device) - 1)
    times = torch.arange(n_times, device=x.device) + shifts.round().long()
    return x.gather(2, (times % n_times).expand_as(x))

"""``convnet``: three small convolutions on single pictures, for the feature set ``images``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from eavctl.encoders.augmentation import moved, relit
from eavctl.errors import DataError
from eavctl.registry import register
from eavctl.settings import Within

Filters = Annotated[int, Within(1, 1024)]

MIN_SIDE = 8  # three poolings leave one pixel
MOST_CHANNELS = 16
FLAT = 1e-3  # grey levels: a channel that varies less is flat
CHUNK = 4096  # pictures converted to float at once, to fit the input
# Augmentation of the training input.
SHIFT = 0.08  # of the height and the width
LIGHT = 0.2  # of brightness and contrast


@register(
    "encoders",
    "convnet",
    modality="video",
    features=("images",),
    example_shape=(28, 28, 1),
    example_settings={"channels": [4, 8, 8], "units": 16},
    example_dtype="uint8",
)
class ConvNet(nn.Module):
    """Three 3x3 convolutions, each with 2x2 max pooling and ReLU, and a linear layer.

    Pictures of 28 x 28 pixels give 128 maps of 3 x 3, 1152 values before the linear layer.

    Parameters
    ----------
    shape : (height, width, channels) of one picture, grey levels or colours from 0 to 255; at least 8 x 8.
    channels : number of filters of the three convolutions.
    units : number of values of an embedding.
    norm : "batch" for batch normalisation after each convolution.
    mirror : mirror half of the training pictures; false where left and right differ, as in digits and
        letters.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        *,
        channels: tuple[Filters, Filters, Filters] = (32, 64, 128),
        units: Annotated[int, Within(1, 8192)] = 256,
        norm: Literal["none", "batch"] = "none",
        mirror: bool = True,
    ) -> None:
        super().__init__()
        height, width, n_colours = _checked(shape)
        sizes = (n_colours, *channels)
        blocks = [_block(sizes[i], sizes[i + 1], norm) for i in range(3)]
        layers = nn.Sequential(*(part for block in blocks for part in block), nn.Flatten())
        # A third less time on a CPU than with the channels of a batch apart; the input has them together.
        self.convolutions = layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.linear = nn.Linear(channels[-1] * (height // 8) * (width // 8), units)
        self.embedding_dim = units
        self.mirror = mirror
        self.register_buffer("mean", torch.zeros(n_colours))
        self.register_buffer("std", torch.ones(n_colours))

    def fit_input(self, x: Tensor) -> None:
        """Fit the mean and standard deviation of each channel; the deviation of a flat channel is set to 1.

        Parameters
        ----------
        x : shape (n_rows, height, width, channels), bytes or floats from 0 to 255, training rows only.
        """
        n_values = x[..., 0].numel()
        sums = [part.double().sum(dim=(0, 1, 2)) for part in torch.split(x, CHUNK)]
        mean = torch.stack(sums).sum(dim=0) / n_values
        squares = [(part.double() - mean).square().sum(dim=(0, 1, 2)) for part in torch.split(x, CHUNK)]
        std = (torch.stack(squares).sum(dim=0) / n_values).sqrt()
        self.set_moments(mean, std)

    def input_values(self, x: Tensor) -> Tensor:
        """See `eavctl.encoders.moments.FitsMoments`."""
        return x.flatten(0, 2).T

    def set_moments(self, mean: Tensor, std: Tensor) -> None:
        """See `eavctl.encoders.moments.FitsMoments`."""
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > FLAT, std, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Embed (batch, height, width, channels), bytes or floats from 0 to 255, as (batch, units)."""
        standard = (x.to(self.mean.dtype) - self.mean) / self.std
        embedding: Tensor = self.linear(self.convolutions(standard.permute(0, 3, 1, 2)))
        return embedding

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Mirror half of the pictures, shift them by up to 8 %, and change brightness and contrast by 20 %.

        Parameters
        ----------
        x : shape (batch, height, width, channels), bytes or floats from 0 to 255; the result is floats.
        generator : random generator on the device of ``x``.
        """
        drawn = torch.rand(5, len(x), generator=generator, device=x.device)
        mirrored = (drawn[0] < 0.5) & self.mirror
        shifted = moved(x, SHIFT * (2 * drawn[1:3] - 1), mirrored)
        brightness, contrast = 1 + LIGHT * (2 * drawn[3:] - 1)
        return relit(shifted, brightness, contrast)


def _checked(shape: Sequence[int]) -> tuple[int, int, int]:
    if len(shape) != 3 or min(shape[:2]) < MIN_SIDE or not 1 <= shape[2] <= MOST_CHANNELS:
        raise DataError(
            f"encoder 'convnet' takes pictures (height, width, channels) of at least {MIN_SIDE} x {MIN_SIDE} "
            f"pixels, not rows of shape {tuple(shape)}; extract with --features images"
        )
    return shape[0], shape[1], shape[2]


def _block(before: int, after: int, norm: str) -> list[nn.Module]:
    """A convolution that keeps the size, batch normalisation where asked for, half the size, ReLU.

    The largest of four values is the same before and after ReLU, which here takes a quarter of the time.
    """
    convolution = nn.Conv2d(before, after, 3, padding=1, bias=norm == "none")
    norms = [nn.BatchNorm2d(after)] if norm == "batch" else []
    return [convolution, *norms, nn.MaxPool2d(2), nn.ReLU()]

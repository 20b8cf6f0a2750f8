"""``scnn``: four convolutions along a vector of spectral means, for the audio feature set ``means180``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from eavctl.errors import DataError
from eavctl.registry import register

KERNEL = 5
POOL = 8
STD_FLOOR = 1e-6
NOISE = 0.1  # of a feature's standard deviation


@register(
    "encoders",
    "scnn",
    modality="audio",
    features=("means180",),
    example_shape=(180,),
    example_settings={"channels": [16, 8, 8, 8]},
)
class Scnn(nn.Module):
    """Convolutions along the order of the features [1]_: neighbours in it are neighbours in frequency.

    Parameters
    ----------
    shape : (n_features,) of one row; at least 8.
    channels : filters of the four convolutions, of 5 features each. A pool of 8 follows the second.
    dropout : share of the values that training drops before the pool, and twice as many at the end.

    References
    ----------
    .. [1] Issa, Demirci, Yazici: Speech emotion recognition with deep convolutional neural networks,
       Biomedical Signal Processing and Control 59, 2020.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, shape: Sequence[int], *, channels: Sequence[int] = (256, 128, 128, 128), dropout: float = 0.1
    ) -> None:
        super().__init__()
        if len(shape) != 1 or shape[0] < POOL:
            raise DataError(
                f"encoder 'scnn' takes vectors of at least {POOL} features, not rows of shape "
                f"{tuple(shape)}; extract with --features means180"
            )
        first, second, third, fourth = channels
        self.convolutions = nn.Sequential(
            *_block(1, first),
            *_block(first, second),
            nn.Dropout(dropout),
            nn.MaxPool1d(POOL),
            *_block(second, third),
            *_block(third, fourth),
            nn.Dropout(2 * dropout),
            nn.Flatten(),
        )
        self.embedding_dim = fourth * (shape[0] // POOL)
        self.register_buffer("mean", torch.zeros(shape[0]))
        self.register_buffer("std", torch.ones(shape[0]))

    def fit_input(self, x: Tensor) -> None:
        """Keep mean and standard deviation of each feature; one that is constant keeps its unit.

        Parameters
        ----------
        x : shape (n_rows, n_features), the training rows and no others.
        """
        std, mean = torch.std_mean(x, dim=0, correction=0)
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > STD_FLOOR, std, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Embed (batch, n_features) as (batch, channels[-1] * (n_features // 8))."""
        embedding: Tensor = self.convolutions(((x - self.mean) / self.std)[:, None])
        return embedding

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Add normal noise of a tenth of each feature's standard deviation to a batch.

        Parameters
        ----------
        x : shape (batch, n_features).
        generator : the only source of randomness, on the device of ``x``.
        """
        return x + NOISE * self.std * torch.randn(x.shape, generator=generator, device=x.device)


def _block(before: int, after: int) -> list[nn.Module]:
    """A convolution that keeps the length, batch normalisation, ReLU."""
    convolution = nn.Conv1d(before, after, KERNEL, padding=KERNEL // 2, bias=False)
    return [convolution, nn.BatchNorm1d(after), nn.ReLU()]

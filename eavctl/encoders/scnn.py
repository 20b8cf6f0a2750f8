"""``scnn``: four convolutions along a vector of spectral means, for the audio feature set ``means180``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor, nn

from eavctl.encoders.vector_rows import VectorRows
from eavctl.errors import DataError
from eavctl.registry import register
from eavctl.settings import Within

Filters = Annotated[int, Within(1, 2048)]

KERNEL = 5
POOL = 8


@register(
    "encoders",
    "scnn",
    modality="audio",
    features=("means180",),
    example_shape=(180,),
    example_settings={"channels": [16, 8, 8, 8]},
)
class Scnn(VectorRows):
    """Convolutions along the features [1]_, of which neighbours are adjacent in frequency.

    Parameters
    ----------
    shape : (n_features,) of one row; at least 8.
    channels : number of filters of the four convolutions, each 5 features wide. Max pooling over 8 features
        follows the second.
    dropout : dropout rate before the pooling; twice this rate at the end.

    References
    ----------
    .. [1] Issa, Demirci, Yazici: Speech emotion recognition with deep convolutional neural networks,
       Biomedical Signal Processing and Control 59, 2020.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        channels: tuple[Filters, Filters, Filters, Filters] = (256, 128, 128, 128),
        dropout: Annotated[float, Within(0, 0.45)] = 0.1,
    ) -> None:
        if len(shape) != 1 or shape[0] < POOL:
            raise DataError(
                f"encoder 'scnn' takes vectors of at least {POOL} features, not rows of shape "
                f"{tuple(shape)}; extract with --features means180"
            )
        super().__init__(shape[0])
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

    def forward(self, x: Tensor) -> Tensor:
        """Embed (batch, n_features) as (batch, channels[-1] * (n_features // 8))."""
        embedding: Tensor = self.convolutions(self.standardised(x)[:, None])
        return embedding


def _block(before: int, after: int) -> list[nn.Module]:
    """A convolution that keeps the length, batch normalisation, ReLU."""
    convolution = nn.Conv1d(before, after, KERNEL, padding=KERNEL // 2, bias=False)
    return [convolution, nn.BatchNorm1d(after), nn.ReLU()]

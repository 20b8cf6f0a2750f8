"""``mlp``: one hidden layer on vectors of features of any kind."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from eavctl.errors import DataError
from eavctl.registry import register

STD_FLOOR = 1e-6
NOISE = 0.1  # of a feature's standard deviation


@register("encoders", "mlp", modality=None, features=(), example_shape=(40,), example_settings={"units": 16})
class Mlp(nn.Module):
    """Standardised and compressed features, a linear map of them, a ReLU.

    Features are summaries: of levels, slopes and moments, some of which lie many deviations out in a few
    rows. The inverse hyperbolic sine leaves what lies within a deviation nearly as it is and takes the
    logarithm of the rest, so that no such value decides a row. There are more features than rows as a rule;
    dropout among them keeps the map from relying on few.

    Parameters
    ----------
    shape : (n_features,) of one row.
    units : of the hidden layer, the values of an embedding.
    dropout : share of the features that training drops.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, shape: Sequence[int], *, units: int = 128, dropout: float = 0.5) -> None:
        super().__init__()
        if len(shape) != 1:
            raise DataError(
                f"encoder 'mlp' takes vectors of features, not rows of shape {tuple(shape)}; extract a "
                "feature set of columns, such as functionals, eeg-bands or face-stats"
            )
        self.hidden = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(shape[0], units), nn.BatchNorm1d(units), nn.ReLU()
        )
        self.embedding_dim = units
        self.register_buffer("mean", torch.zeros(shape[0]))
        self.register_buffer("std", torch.ones(shape[0]))

    def fit_input(self, x: Tensor) -> None:
        """Keep mean and standard deviation of each feature; one that is constant keeps its unit.

        Parameters
        ----------
        x : shape (n_rows, n_features), the training rows and no others.
        """
        std, mean = torch.std_mean(x.double(), dim=0, correction=0)
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > STD_FLOOR * (1 + mean.abs()), std, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Embed (batch, n_features) as (batch, units)."""
        embedding: Tensor = self.hidden(torch.asinh((x - self.mean) / self.std))
        return embedding

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Add normal noise of a tenth of each feature's standard deviation to a batch.

        Parameters
        ----------
        x : shape (batch, n_features).
        generator : the only source of randomness, on the device of ``x``.
        """
        return x + NOISE * self.std * torch.randn(x.shape, generator=generator, device=x.device)

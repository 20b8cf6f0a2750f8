"""``mlp``: one hidden layer on any vector of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor, nn

from eavctl.encoders.vector_rows import VectorRows
from eavctl.errors import DataError
from eavctl.registry import register
from eavctl.settings import Share, Within


@register("encoders", "mlp", modality=None, features=(), example_shape=(40,), example_settings={"units": 16})
class Mlp(VectorRows):
    """Standardised and compressed features, a linear layer, and a ReLU.

    Features such as slopes and moments have outliers of many standard deviations in a few rows. The inverse
    hyperbolic sine is nearly linear within one deviation and logarithmic beyond, so that no outlier dominates
    a row. There are usually more features than rows, so dropout is applied to the features.

    Parameters
    ----------
    shape : (n_features,) of one row.
    units : units of the hidden layer, which is the embedding.
    dropout : dropout rate of the features.
    """

    def __init__(
        self, shape: Sequence[int], *, units: Annotated[int, Within(1, 8192)] = 128, dropout: Share = 0.5
    ) -> None:
        if len(shape) != 1:
            raise DataError(
                f"encoder 'mlp' takes vectors of features, not rows of shape {tuple(shape)}; extract a "
                "feature set of columns, such as functionals, eeg-bands or face-stats"
            )
        super().__init__(shape[0])
        self.hidden = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(shape[0], units), nn.BatchNorm1d(units), nn.ReLU()
        )
        self.embedding_dim = units

    def forward(self, x: Tensor) -> Tensor:
        """Embed (batch, n_features) as (batch, units)."""
        embedding: Tensor = self.hidden(torch.asinh(self.standardised(x)))
        return embedding

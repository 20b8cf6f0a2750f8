"""``mlp``: one hidden layer on vectors of features of any kind."""

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

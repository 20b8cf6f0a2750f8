"""Heads on top of an encoder during pretraining: projectors, predictors and prototypes."""

from __future__ import annotations

import itertools
from typing import Annotated

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from eavctl.settings import Within

Width = Annotated[int, Within(4, 65_536)]
Temperature = Annotated[float, Within(1e-3, 10)]
Momentum = Annotated[float, Within(0, 1)]


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers from each width to the next, with batch normalisation and ReLU between them.

    Parameters
    ----------
    widths : of the input, of each hidden layer, and of the output; two or more.

    Returns
    -------
    A module from (batch, first width) to (batch, last width), whose last layer is linear.
    """
    *hidden, last = widths
    layers: list[nn.Module] = []
    for wide, narrow in itertools.pairwise(hidden):
        layers += [nn.Linear(wide, narrow, bias=False), nn.BatchNorm1d(narrow), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], last))


class Prototypes(nn.Module):
    """Directions that stand for clusters: the outputs are the cosines of each row with each of them.

    Parameters
    ----------
    dim : of the rows.
    n : number of prototypes.
    """

    def __init__(self, dim: int, n: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.Linear(dim, n).weight.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Cosines (batch, n) of rows (batch, dim), with prototypes normalised to unit length."""
        return F.linear(F.normalize(x), F.normalize(self.weight))

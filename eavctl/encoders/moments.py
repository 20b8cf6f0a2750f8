"""Mean and deviation of channels over training rows that come piece by piece."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor


class FitsMoments(Protocol):
    """An encoder whose input is standardised by the mean and the deviation of its channels."""

    def input_values(self, x: Tensor) -> Tensor:
        """The values of each channel in a batch (batch, *shape), shape (n_channels, n_values)."""
        ...

    def set_moments(self, mean: Tensor, std: Tensor) -> None:
        """Standardise by these, shape (n_channels,), from now on."""
        ...


def fit_moments(encoder: FitsMoments | Any, pieces: Iterable[Tensor]) -> None:
    """Fit the input statistics of an encoder in one pass, in double precision.

    The sums of squares of pieces are about their own means, and merged [1]_, so nothing cancels.

    Parameters
    ----------
    pieces : training rows, each (n_rows, *shape); one value of a channel at least.

    References
    ----------
    .. [1] Chan, Golub, LeVeque: Algorithms for computing the sample variance, The American Statistician
       37(3), 1983.
    """
    count, mean, squares = 0, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for x in pieces:
        values = encoder.input_values(x).double()
        n, own = values.shape[1], values.mean(dim=1)
        away = own - mean.to(own.device)
        mean = mean.to(own.device) + away * (n / (count + n))
        spread = (values - own[:, None]).square().sum(dim=1)
        squares = squares.to(own.device) + spread + away.square() * (count * n / (count + n))
        count += n
    encoder.set_moments(mean, (squares / count).sqrt())

"""What the networks for vectors share: how features are standardised, and how training varies them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STD_FLOOR = 1e-6  # of a feature's size: one that varies less is constant
NOISE = 0.1  # of a feature's standard deviation


class VectorRows(nn.Module):
    """Standardises rows (n_features,) feature by feature; the base of the encoders of vectors.

    Parameters
    ----------
    n_features : values of one row.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("std", torch.ones(n_features))

    def fit_input(self, x: Tensor) -> None:
        """Keep mean and standard deviation of each feature; one that is constant keeps its unit.

        Parameters
        ----------
        x : shape (n_rows, n_features), the training rows and no others.
        """
        std, mean = torch.std_mean(x.double(), dim=0, correction=0)
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > STD_FLOOR * (1 + mean.abs()), std, 1))

    def standardised(self, x: Tensor) -> Tensor:
        """Rows (batch, n_features) with every feature's mean 0 and deviation 1 over the training."""
        return (x - self.mean) / self.std

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Add normal noise of a tenth of each feature's standard deviation to a batch.

        Parameters
        ----------
        x : shape (batch, n_features).
        generator : the only source of randomness, on the device of ``x``.
        """
        return x + NOISE * self.std * torch.randn(x.shape, generator=generator, device=x.device)

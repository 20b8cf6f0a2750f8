"""Base class of the encoders of vectors: standardisation of the features, and augmentation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STD_FLOOR = 1e-6  # relative to the mean: a feature with a smaller deviation is constant
NOISE = 0.1  # of a feature's standard deviation


class VectorRows(nn.Module):
    """Base class of encoders of vectors, which standardises rows (n_features,) feature by feature.

    Parameters
    ----------
    n_features : number of features of a row.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("std", torch.ones(n_features))

    def fit_input(self, x: Tensor) -> None:
        """Fit the mean and standard deviation of each feature; a constant feature gets a deviation of 1.

        Parameters
        ----------
        x : shape (n_rows, n_features), training rows only.
        """
        std, mean = torch.std_mean(x.double(), dim=0, correction=0)
        self.set_moments(mean, std)

    def input_values(self, x: Tensor) -> Tensor:
        """See `eavctl.encoders.moments.FitsMoments`: (batch, n_features) to (n_features, batch)."""
        return x.T

    def set_moments(self, mean: Tensor, std: Tensor) -> None:
        """See `eavctl.encoders.moments.FitsMoments`."""
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > STD_FLOOR * (1 + mean.abs()), std, 1))

    def standardised(self, x: Tensor) -> Tensor:
        """Standardise rows (batch, n_features) with the mean and deviation of the training rows."""
        return (x - self.mean) / self.std

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Add Gaussian noise of a tenth of each feature's standard deviation to a batch.

        Parameters
        ----------
        x : shape (batch, n_features).
        generator : random generator on the device of ``x``.
        """
        return x + NOISE * self.std * torch.randn(x.shape, generator=generator, device=x.device)

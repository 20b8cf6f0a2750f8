"""The loss of VICReg."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

EPSILON = 1e-4  # added to variances: the square root has no gradient at 0


def vicreg(
    one: Tensor, other: Tensor, *, invariance: float = 25, variance: float = 25, covariance: float = 1
) -> Tensor:
    r"""Variance-invariance-covariance regularisation [1]_.

    The weighted sum of three terms, for two views Z and Z' of N rows and d columns:

    - invariance: the squared difference of Z and Z', averaged over rows and columns;
    - variance: :math:`\max(0, 1 - \sqrt{\mathrm{Var}(Z_j) + 10^{-4}})`, averaged over columns and both views;
    - covariance: the squares of the covariance matrix off its diagonal, summed, divided by d, and summed over
      both views.

    Variances and covariances divide by N - 1. Averages and sums are those of the authors' code, which their
    weights belong to; the formulas of the paper sum the invariance over columns and the variance over views.

    Parameters
    ----------
    one, other : (n_rows, dim), projections of two views of the same rows; two rows or more.
    invariance, variance, covariance : weights of the terms.

    Returns
    -------
    A scalar.

    References
    ----------
    .. [1] Bardes, Ponce, LeCun: VICReg: variance-invariance-covariance regularization for self-supervised
       learning, ICLR 2022.
    """
    similar = F.mse_loss(one, other)
    varied = (_too_little_variance(one) + _too_little_variance(other)) / 2
    uncorrelated = _covariance(one) + _covariance(other)
    return invariance * similar + variance * varied + covariance * uncorrelated


def _too_little_variance(z: Tensor) -> Tensor:
    """By how much the standard deviation of the columns falls short of 1, on average."""
    return F.relu(1 - torch.sqrt(z.var(dim=0) + EPSILON)).mean()


def _covariance(z: Tensor) -> Tensor:
    """Squared covariances of different columns, summed, over the number of columns."""
    n, d = z.shape
    centred = z - z.mean(dim=0)
    squares = (centred.T @ centred / (n - 1)).square()
    return (squares.sum() - squares.diagonal().sum()) / d

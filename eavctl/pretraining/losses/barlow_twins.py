"""The loss of Barlow Twins."""

from __future__ import annotations

from torch import Tensor

EPSILON = 1e-5  # added to variances: a constant column has none


def barlow_twins(one: Tensor, other: Tensor, *, redundancy: float = 5e-3) -> Tensor:
    r"""Distance of the cross-correlation matrix of two views from the identity [1]_.

    .. math:: \sum_i (1 - C_{ii})^2 + \lambda \sum_i \sum_{j \ne i} C_{ij}^2

    with C the mean over rows of the products of the columns of both views, each column standardised over the
    rows of its view.

    Parameters
    ----------
    one, other : (n_rows, dim), projections of two views of the same rows.
    redundancy : :math:`\lambda`, the weight of the redundancy between columns.

    Returns
    -------
    A scalar.

    References
    ----------
    .. [1] Zbontar, Jing, Misra, LeCun, Deny: Barlow Twins: self-supervised learning via redundancy reduction,
       ICML 2021.
    """
    correlation = _standardised(one).T @ _standardised(other) / len(one)
    diagonal = correlation.diagonal()
    off_diagonal = correlation.square().sum() - diagonal.square().sum()
    return (1 - diagonal).square().sum() + redundancy * off_diagonal


def _standardised(z: Tensor) -> Tensor:
    """Columns of mean 0 and standard deviation 1."""
    centred = z - z.mean(dim=0)
    return centred / (centred.square().mean(dim=0) + EPSILON).sqrt()

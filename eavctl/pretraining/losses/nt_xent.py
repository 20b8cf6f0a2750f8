"""NT-Xent, the loss of SimCLR."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def nt_xent(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    r"""Normalised temperature-scaled cross entropy [1]_, averaged over both views of all rows.

    Each of the 2N vectors has one positive, the other view of its row, and 2N - 2 negatives: both views of
    all other rows. With :math:`s_{ij}` the cosine of vectors i and j, and p(i) the positive of i:

    .. math:: -\frac{1}{2N} \sum_i \log \frac{\exp(s_{i,p(i)} / T)}{\sum_{j \ne i} \exp(s_{ij} / T)}

    Parameters
    ----------
    one, other : (n_rows, dim), projections of two views of the same rows, of any length.
    temperature : T, above 0.

    Returns
    -------
    A scalar.

    References
    ----------
    .. [1] Chen, Kornblith, Norouzi, Hinton: A simple framework for contrastive learning of visual
       representations, ICML 2020.
    """
    n = len(one)
    vectors = F.normalize(torch.cat([one, other]))
    logits = vectors @ vectors.T / temperature
    logits = logits.masked_fill(torch.eye(2 * n, dtype=torch.bool, device=one.device), -torch.inf)
    positive = torch.arange(2 * n, device=one.device).roll(n)
    return F.cross_entropy(logits, positive)

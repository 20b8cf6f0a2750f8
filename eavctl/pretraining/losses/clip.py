"""The loss of CLIP."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def clip(one: Tensor, other: Tensor, scale: Tensor | float) -> Tensor:
    r"""Symmetric InfoNCE between two modalities [1]_: each row finds its partner among all rows of the other.

    .. math:: -\frac{1}{2N} \sum_i \left( \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ij}}} +
              \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ji}}} \right)

    with :math:`s_{ij}` the cosine of row i of one and row j of the other, times the scale.

    Parameters
    ----------
    one, other : (n_rows, dim), projections of the same samples in two modalities.
    scale : the inverse of the temperature.

    Returns
    -------
    A scalar.

    References
    ----------
    .. [1] Radford et al.: Learning transferable visual models from natural language supervision, ICML 2021.
    """
    similarity = scale * F.normalize(one) @ F.normalize(other).T
    partner = torch.arange(len(one), device=one.device)
    both: Tensor = F.cross_entropy(similarity, partner) + F.cross_entropy(similarity.T, partner)
    return both / 2

"""Negative cosine similarity to a fixed target, the loss of SimSiam and BYOL."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def negative_cosine(prediction: Tensor, target: Tensor) -> Tensor:
    r"""Negative cosine of predictions and targets, averaged over rows; no gradient reaches the targets.

    .. math:: -\frac{1}{N} \sum_i \frac{p_i \cdot z_i}{\lVert p_i \rVert \lVert z_i \rVert}

    SimSiam [1]_ minimises it as it is. BYOL [2]_ minimises the squared distance of the unit vectors, which is
    2 plus twice this.

    Parameters
    ----------
    prediction, target : (n_rows, dim).

    Returns
    -------
    A scalar from -1 to 1.

    References
    ----------
    .. [1] Chen, He: Exploring simple siamese representation learning, CVPR 2021.
    .. [2] Grill et al.: Bootstrap your own latent: a new approach to self-supervised learning, NeurIPS 2020.
    """
    return -F.cosine_similarity(prediction, target.detach()).mean()

"""InfoNCE against a queue, the loss of MoCo."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def queued_info_nce(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Tensor:
    r"""InfoNCE [1]_ with the keys of earlier batches as negatives [2]_, averaged over rows.

    .. math:: -\frac{1}{N} \sum_i \log
              \frac{\exp(q_i \cdot k_i / T)}{\exp(q_i \cdot k_i / T) + \sum_j \exp(q_i \cdot u_j / T)}

    with queries q, keys k and queued keys u of unit length. No gradient reaches keys and queue.

    Parameters
    ----------
    query, key : (n_rows, dim), projections of two views of the same rows, of any length.
    queue : (n_queued, dim), keys of other rows, of any length.
    temperature : T, above 0.

    Returns
    -------
    A scalar.

    References
    ----------
    .. [1] van den Oord, Li, Vinyals: Representation learning with contrastive predictive coding, 2018.
    .. [2] He, Fan, Wu, Xie, Girshick: Momentum contrast for unsupervised visual representation learning,
       CVPR 2020.
    """
    query, key, queue = F.normalize(query), F.normalize(key.detach()), F.normalize(queue.detach())
    positive = (query * key).sum(dim=1, keepdim=True)
    logits = torch.cat([positive, query @ queue.T], dim=1) / temperature
    return F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))

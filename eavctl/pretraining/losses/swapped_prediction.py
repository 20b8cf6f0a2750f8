"""Swapped prediction, the loss of SwAV."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

Pair = tuple[Tensor, Tensor]


def swapped_prediction(scores: Pair, codes: Pair, temperature: float) -> Tensor:
    r"""Cross entropy of each view's scores with the other view's codes [1]_.

    .. math:: -\frac{1}{2N} \sum_i \left(c_i \cdot \log\mathrm{softmax}(s'_i / T)
              + c'_i \cdot \log\mathrm{softmax}(s_i / T)\right)

    Parameters
    ----------
    scores : of both views, (n_rows, n_prototypes) each: s and s', the cosines with the prototypes.
    codes : of both views, the same shapes: c and c', assignments by `eavctl.pretraining.losses.sinkhorn`,
        which no gradient reaches.
    temperature : T, above 0.

    Returns
    -------
    A scalar.

    References
    ----------
    .. [1] Caron et al.: Unsupervised learning of visual features by contrasting cluster assignments,
       NeurIPS 2020.
    """
    (one, other), (code_of_one, code_of_other) = scores, codes
    first = F.cross_entropy(one / temperature, code_of_other.detach())
    second = F.cross_entropy(other / temperature, code_of_one.detach())
    return (first + second) / 2

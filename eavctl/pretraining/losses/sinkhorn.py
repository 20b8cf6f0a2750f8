"""Balanced assignment of rows to prototypes by the Sinkhorn-Knopp algorithm."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def sinkhorn(scores: Tensor, *, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    r"""Assign rows to prototypes so that all prototypes get nearly equal shares [1]_ [2]_.

    The matrix :math:`\exp(S / \epsilon)` is scaled to equal sums of its columns, then to sums of 1 of its
    rows, and so on. The last scaling is that of the rows, so that their sums are exact and those of the
    columns approach n_rows / n_prototypes with the iterations. It is computed on logarithms: no
    :math:`\epsilon` overflows.

    Parameters
    ----------
    scores : (n_rows, n_prototypes), similarities S.
    epsilon : above 0; smaller values give sharper assignments.
    iterations : scalings of columns and rows, 1 or more.

    Returns
    -------
    (n_rows, n_prototypes), shares that sum to 1 in each row; without gradient.

    References
    ----------
    .. [1] Cuturi: Sinkhorn distances: lightspeed computation of optimal transport, NeurIPS 2013.
    .. [2] Caron et al.: Unsupervised learning of visual features by contrasting cluster assignments,
       NeurIPS 2020.
    """
    logs = scores / epsilon
    for _ in range(iterations):
        logs = torch.log_softmax(logs, dim=0)
        logs = torch.log_softmax(logs, dim=1)
    return logs.exp()

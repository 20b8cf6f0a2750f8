"""Self-distillation with centring and sharpening, the loss of DINO."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

Pair = tuple[Tensor, Tensor]


def self_distillation(
    student: Pair, teacher: Pair, centre: Tensor, *, student_temperature: float, teacher_temperature: float
) -> Tensor:
    r"""Cross entropy of the student's distribution of one view with the teacher's of the other view [1]_.

    .. math:: -\frac{1}{2N} \sum_i \sum_{v \ne w} \mathrm{softmax}((t_i^v - c) / T_t) \cdot
              \log\mathrm{softmax}(s_i^w / T_s)

    Subtracting the centre c keeps one output from dominating, and a teacher's temperature below the
    student's keeps the distributions from becoming uniform. No gradient reaches the teacher.

    Parameters
    ----------
    student, teacher : of both views, (n_rows, n_prototypes) each.
    centre : (n_prototypes,), running mean of the teacher's outputs; see `moved_centre`.
    student_temperature, teacher_temperature : :math:`T_s` and :math:`T_t`, above 0.

    Returns
    -------
    A scalar.

    References
    ----------
    .. [1] Caron et al.: Emerging properties in self-supervised vision transformers, ICCV 2021.
    """
    targets = [F.softmax((each.detach() - centre) / teacher_temperature, dim=1) for each in teacher]
    logits = [each / student_temperature for each in student]
    return (F.cross_entropy(logits[0], targets[1]) + F.cross_entropy(logits[1], targets[0])) / 2


@torch.no_grad()
def moved_centre(centre: Tensor, outputs: Tensor, momentum: float) -> Tensor:
    """Move the centre towards the mean of the teacher's outputs of a batch.

    Parameters
    ----------
    centre : (n_prototypes,).
    outputs : (n_rows, n_prototypes), of all views.
    momentum : share of the old centre in the new one, from 0 to 1.

    Returns
    -------
    (n_prototypes,).
    """
    return momentum * centre + (1 - momentum) * outputs.mean(dim=0)

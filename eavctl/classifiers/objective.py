"""What a training minimises and how it validates: classification, and the contract for other objectives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from eavctl.classifiers import weighting
from eavctl.classifiers.calibration import decide, fit_calibration, nll, uar
from eavctl.classifiers.network import Criterion, forward
from eavctl.classifiers.rows import Rows


@dataclass(frozen=True)
class Validation:
    """How a network did on validation rows.

    Parameters
    ----------
    loss : the epoch with the lowest is kept; NaN without validation rows, where the last epoch is kept.
    scores : by name, such as ``{"UAR": 0.61}``.
    fitted : JSON-able, what was fitted on the validation rows, such as a calibration; kept with the weights.
    monitored : figures of training rows by name, for the line of the epoch.
    """

    loss: float
    scores: Mapping[str, float] = field(default_factory=dict)
    fitted: Mapping[str, Any] = field(default_factory=dict)
    monitored: Mapping[str, float] = field(default_factory=dict)


class Objective(Protocol):
    """What `eavctl.classifiers.training_loop.Training` minimises, and how it validates."""

    def loss(self, network: Any, x: Any, y: Tensor) -> Tensor:
        """The loss of a training batch, as a scalar tensor: features ``x``, class numbers ``y`` (batch,)."""
        ...

    def validate(self, network: nn.Module, rows: Rows) -> Validation:
        """Validate a network in evaluation mode on the validation rows, of which there may be none."""
        ...

    # Optional: ``weighing(weights)`` is the objective for a batch of rows of these weights (batch,).


class Classification:
    """Cross entropy with balanced class weights, validated by the loss of calibrated probabilities.

    Calibration is fitted on the validation rows, see `eavctl.classifiers.calibration`. The loss after it
    measures how well an epoch separates the classes: late epochs are overconfident, which calibration mends.

    Parameters
    ----------
    counts : rows of each class among training and validation rows, without copies, shape (n_classes,).
    criterion : as the training weighs it.
    """

    def __init__(self, counts: np.ndarray, criterion: Criterion) -> None:
        self.counts, self.criterion = counts, criterion

    @classmethod
    def of(
        cls, rows: Rows, train: np.ndarray, label_smoothing: float, device: torch.device
    ) -> Classification:
        """The objective for rows of which those with the numbers ``train`` are trained on."""
        row_weights = weighting.taken(rows.fit_weights, train)
        weights = torch.from_numpy(weighting.of_classes(rows.y[train], len(rows.classes), row_weights))
        return cls(rows.counts, Criterion(weights.to(device, torch.get_default_dtype()), label_smoothing))

    def weighing(self, weights: Tensor) -> Classification:
        """The objective for a batch of rows of these weights, float32 (batch,)."""
        return Classification(self.counts, replace(self.criterion, row_weights=weights))

    def loss(self, network: Any, x: Any, y: Tensor) -> Tensor:
        """See `Objective`; each network adds terms of its own to the cross entropy."""
        loss: Tensor = network.loss(x, y, self.criterion)
        return loss

    def validate(self, network: nn.Module, rows: Rows) -> Validation:
        """See `Objective`."""
        if not len(rows):
            unfitted = fit_calibration(np.empty((0, len(self.counts))), rows.y, self.counts)
            return Validation(math.nan, {"UAR": math.nan}, unfitted.to_meta())
        logits = forward(network, rows.x, self.criterion.class_weights.device)
        if not np.isfinite(logits).all():
            return Validation(math.nan)
        calibration = fit_calibration(logits, rows.y, self.counts, rows.weights)
        proba = calibration(logits)
        recall = uar(decide(proba, self.counts / self.counts.sum()), rows.y)
        return Validation(nll(proba, rows.y), {"UAR": recall}, calibration.to_meta())

"""The objective of a grounding network: boxes, masks and scores, validated by the same losses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from eavctl.classifiers.network import INFERENCE_BATCH, StreamBatch, as_batch
from eavctl.classifiers.objective import Validation
from eavctl.classifiers.rows import Rows
from eavctl.grounding.examples import question, truth
from eavctl.grounding.losses import Answers, Truth, row_losses, weighted_sum
from eavctl.grounding.metrics import Fits


class Grounding:
    """Minimises the weighted losses of a `GroundNet`; a `eavctl.classifiers.objective.Objective`.

    Parameters
    ----------
    device : of the network.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def loss(self, network: Any, x: StreamBatch, y: Tensor) -> Tensor:
        """See `Objective`; the class numbers are not used."""
        return weighted_sum(row_losses(network(*question(x)), truth(x)))

    def validate(self, network: Any, rows: Rows) -> Validation:
        """The losses of all validation rows, each averaged over the rows that have it; and the metrics."""
        if not len(rows):
            return Validation(math.nan)
        losses, fits = [], []
        for answers, true in self._answered(network, rows):
            losses.append(row_losses(answers, true))
            fits.append(Fits.of(answers, true))
        joined = {name: torch.cat([each[name] for each in losses]) for name in losses[0]}
        return Validation(float(weighted_sum(joined)), Fits.joined(fits).figures)

    def fits(self, network: Any, rows: Rows) -> Fits:
        """How well the network's answers for rows fit."""
        return Fits.joined([Fits.of(*each) for each in self._answered(network, rows)])

    def _answered(self, network: Any, rows: Rows) -> Iterator[tuple[Answers, Truth]]:
        """Answers and truth of the rows, batch by batch."""
        for start in range(0, len(rows), INFERENCE_BATCH):
            x: Any = as_batch(rows.streams[start : start + INFERENCE_BATCH], self.device)
            with torch.inference_mode():
                yield network(*question(x)), truth(x)

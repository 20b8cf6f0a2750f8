"""The objective of a pretraining: a method's own loss, and figures of the embedding after each epoch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from eavctl.classifiers.objective import Validation
from eavctl.classifiers.rows import Rows
from eavctl.errors import TrainingWarning
from eavctl.pretraining.monitor import Figures, Monitor
from eavctl.pretraining.retrieval import Retrieval


class SelfSupervision:
    """Minimises the loss of a `eavctl.pretraining.base.Method`; a `eavctl.classifiers.objective.Objective`.

    There are no validation rows: the last epoch is kept, with its mean ``loss``. The first epoch with a
    collapsed embedding is a `eavctl.errors.TrainingWarning`.

    Parameters
    ----------
    monitors : measure the embedding, one for each encoder of the method, by the names of the streams; the
        name is empty where there is one.
    retrieval : measures how well a method has aligned several streams; None for other methods.
    """

    def __init__(self, monitors: Mapping[str, Monitor], retrieval: Retrieval | None = None) -> None:
        self.monitors, self.retrieval = dict(monitors), retrieval
        self._losses: list[tuple[Tensor, int]] = []  # of the batches, and their rows
        self._warned = set[str]()

    def loss(self, network: Any, x: Any, y: Tensor) -> Tensor:
        """See `Objective`; the class numbers are not used."""
        loss: Tensor = network.loss(x)
        self._losses.append((loss.detach(), len(y)))
        return loss

    def validate(self, network: Any, rows: Rows) -> Validation:
        """See `Objective`."""
        shown: dict[str, float] = {}
        for (stream, monitor), encoder in zip(self.monitors.items(), network.encoders, strict=True):
            figures = monitor(encoder)
            if figures.collapsed:
                self._warn(stream, figures)
            named = {"spread": figures.relative_spread, "rank": figures.rank, "kNN": figures.knn}
            shown |= {f"{stream} {key}".strip(): value for key, value in named.items() if value is not None}
        if self.retrieval is not None:
            pairs = self.retrieval(network)
            shown |= {f"{each.one}-{each.other} recall@1": each.recall for each in pairs}
            shown["chance"] = pairs[0].chance
        mean = sum(loss.item() * n for loss, n in self._losses) / sum(n for _, n in self._losses)
        self._losses = []
        return Validation(math.nan, fitted={"loss": mean}, monitored=shown)

    def _warn(self, stream: str, figures: Figures) -> None:
        if stream not in self._warned:
            of = f" of {stream}" if stream else ""
            text = f"the embedding{of} has collapsed: {figures.words}"
            warnings.warn(text, TrainingWarning, stacklevel=3)
            self._warned.add(stream)

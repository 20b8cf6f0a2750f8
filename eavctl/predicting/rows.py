"""Rows of a prediction: the probabilities of one recording or segment, and by which streams."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class AbsentStream(NamedTuple):
    """A stream that is absent from a share of a row's segments, and why, where that is known."""

    name: str
    reason: str
    share: float


class Row(NamedTuple):
    """The prediction for one recording, or for one segment of it.

    Parameters
    ----------
    recording : its name, as the user knows it.
    keys : what is known of it, with ``sample_id`` and ``clip_id``.
    start, end : in seconds.
    proba : class probabilities, float64, shape (n_classes,).
    pred : the predicted class.
    weights : for each stream that was used its weight, as a mean over the segments; None where the model has
        no weights.
    absent : streams that were absent from some or all segments.
    is_novel : whether it is unlike the training data.
    unsure : why the answer cannot be relied on, in words; empty where it is sure.
    adapted_by : ``"speaker"`` or ``"dataset"``, what its features were mostly standardised by; None where
        recordings are not adapted to the model.
    people : the most faces that its film shows together; None where no stream follows a face.
    """

    recording: str
    keys: dict[str, Any]
    start: float
    end: float
    proba: np.ndarray
    pred: str
    weights: dict[str, float | None]
    absent: tuple[AbsentStream, ...]
    is_novel: bool = False
    unsure: tuple[str, ...] = ()
    adapted_by: str | None = None
    people: int | None = None

    @property
    def clip_id(self) -> str:
        """Identifies the recording."""
        return str(self.keys["clip_id"])

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.end - self.start

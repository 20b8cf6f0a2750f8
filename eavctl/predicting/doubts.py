"""When an answer is unsure: recordings unlike the training data, and probabilities below a threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from eavctl.errors import UsageError

if TYPE_CHECKING:
    from eavctl.classifiers.novelty import Novelty

HELD_OUT = {"datasets": "data sets", "clips": "recordings", "subjects": "speakers"}


class Doubts:
    """Gives the reasons for which answers are unsure.

    Parameters
    ----------
    novelty : of the model; None judges no recording as unlike the training data.
    abstain : answers of a lower probability are unsure, 0 to 1.

    Raises
    ------
    UsageError : ``abstain`` is out of range.
    """

    def __init__(self, novelty: Novelty | None, abstain: float) -> None:
        if not 0 <= abstain <= 1:
            raise UsageError(f"--abstain is a probability, 0 to 1, not {abstain:g}")
        self._novelty, self._abstain = novelty, abstain

    def distances(self, x: Any) -> np.ndarray:
        """Distance from the training data over its threshold, for each segment, shape (n_segments,).

        Parameters
        ----------
        x : features as the model gets them; 1 is the threshold, and 0 stands for what was not measured.
        """
        if self._novelty is None:
            return np.zeros(len(x))
        return np.asarray(self._novelty.distance(x) / self._novelty.threshold)

    def reasons(self, distance: float, probability: float) -> tuple[str, ...]:
        """Why an answer is unsure, in words; empty where it is sure.

        Parameters
        ----------
        distance : mean over the segments of the row of what `distances` gives.
        probability : of the answer.
        """
        found = []
        if self._novelty and distance > 1:
            measured = self._novelty.measured
            over = HELD_OUT.get(measured["over"], measured["over"])
            found.append(
                f"unlike the training data: {distance:.2f} times the largest distance accepted, which "
                f"{measured['false_alarms']:.0%} of ordinary recordings (of {over} held out) exceed too"
            )
        if probability < self._abstain:
            found.append(f"its probability {probability:.2f} is below the threshold {self._abstain:g}")
        return tuple(found)

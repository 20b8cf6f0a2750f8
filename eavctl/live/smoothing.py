"""Smoothing of probabilities over time."""

from __future__ import annotations

import math

import numpy as np


class Smoothing:
    """Exponential moving average of class probabilities, by the time between windows and not by their number.

    A window's probabilities have the weight ``1 - exp(-elapsed / seconds)``, so that after a pause the new
    ones count more.

    Parameters
    ----------
    seconds : time constant, above 0; after that time an old answer has a weight of 37 %.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._mean: np.ndarray | None = None
        self._end = 0.0

    def __call__(self, proba: np.ndarray, end: float) -> np.ndarray:
        """Smooth the probabilities, shape (n_classes,), of the window that ends at ``end`` seconds."""
        if self._mean is None:
            self._mean = proba
        else:
            share = -math.expm1(-max(end - self._end, 0.0) / self._seconds)
            self._mean = self._mean + share * (proba - self._mean)
        self._end = end
        return self._mean

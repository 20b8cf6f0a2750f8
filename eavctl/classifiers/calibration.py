"""Logits to probabilities that can be believed: softmax, temperature, and how to judge them."""

from __future__ import annotations

import math

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities float64 (n_rows, n_classes) of logits of that shape."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def nll(logits: np.ndarray, y: np.ndarray) -> float:
    """Mean negative log likelihood of the true classes ``y`` (n_rows,) under logits (n_rows, n_classes)."""
    return -float(np.log(np.maximum(softmax(logits)[np.arange(len(y)), y], 1e-300)).mean())


def fit_temperature(logits: np.ndarray, y: np.ndarray) -> float:
    """The number by which to divide logits so that the likelihood of ``y`` is greatest; 1 if none is better.

    Parameters
    ----------
    logits : shape (n_rows, n_classes), of rows that the network was not trained on.
    y : shape (n_rows,), class numbers.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(lambda log: nll(logits / math.exp(log), y), bounds=(-2.0, 2.0), method="bounded")
    return math.exp(found.x) if found.fun < nll(logits, y) else 1.0


def uar(logits: np.ndarray, y: np.ndarray) -> float:
    """Mean recall of the classes that occur."""
    right = logits.argmax(axis=1) == y
    return float(np.mean([right[y == label].mean() for label in np.unique(y)]))

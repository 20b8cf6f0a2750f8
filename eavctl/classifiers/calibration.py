"""Logits to calibrated probabilities, probabilities to answers, and how to judge them on the way.

Classifiers here are trained with balanced class weights, so their logits take all classes for equally
frequent. One scale and a bias for each class, fitted on rows that were not trained on, turn them into
probabilities that hold for the classes as they come. Answers are to serve the mean recall of the classes
(UAR), so probabilities are divided by the classes' frequencies before the greatest is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eavctl.errors import DataError

BIAS_DEVIATION = 0.3  # of the prior of a bias: held-out people are few, and a wider one fits what is theirs
SCALE_DEVIATION = 10.0  # of the prior of the scale, in logits whose root mean square is 1
LEAST_SCALE = 1e-4  # above 0, so that logits that tell nothing still keep their order


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities float64 (n_rows, n_classes) of logits of that shape."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


@dataclass(frozen=True)
class Calibration:
    """What turns logits into probabilities: ``softmax(scale * logits + bias)``.

    Parameters
    ----------
    scale : above 0, the inverse of the temperature.
    bias : float64, shape (n_classes,).
    """

    scale: float
    bias: np.ndarray

    @property
    def temperature(self) -> float:
        """1 / scale, rounded as it is."""
        return float(_rounded(np.array([1 / self.scale]))[0])

    def to_meta(self) -> dict[str, Any]:
        """JSON-able: ``temperature`` and ``bias``."""
        return {"temperature": self.temperature, "bias": self.bias.tolist()}

    def balanced_bias(self, priors: np.ndarray) -> np.ndarray:
        """The biases if all classes were equally frequent, shape (n_classes,), mean 0; see `balanced`."""
        bias = np.where(priors > 0, self.bias - np.log(np.where(priors > 0, priors, 1)), 0)
        return np.asarray(bias - bias.mean())

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities, float64 (n_rows, n_classes), of logits of that shape.

        Raises
        ------
        DataError : logits that are not finite, so that there are no probabilities.
        """
        if not np.isfinite(logits).all():
            raise DataError(
                "probabilities that are not finite: the features are not finite, or the model is damaged"
            )
        return softmax(self.scale * logits + self.bias)


def fit_calibration(logits: np.ndarray, y: np.ndarray, counts: np.ndarray) -> Calibration:
    """Fit a scale and a bias for each class by maximum likelihood, with weak priors.

    One scale for all classes is temperature scaling [1]_; with biases it is the bias-corrected temperature
    scaling of [2]_, convex in scale and biases. The prior of the biases is a Gaussian around the logarithms
    of the class shares of the training rows: it rules where there are few rows, or none. That of the scale
    is so wide that it only keeps logits that tell all classes apart from an infinite one.

    Parameters
    ----------
    logits : shape (n_rows, n_classes), of rows that the classifier was not trained on; without rows the
        scale is 1.
    y : class numbers, int, shape (n_rows,).
    counts : rows of each class that the classifier was trained on, shape (n_classes,); a class without
        rows counts as half a row.

    Returns
    -------
    The calibration; biases have mean 0. All is rounded to six digits, since digits beyond would show how
    many processes made the logits.

    References
    ----------
    .. [1] Guo et al.: On calibration of modern neural networks, ICML 2017.
    .. [2] Alexandari, Kundaje, Shrikumar: Maximum likelihood with bias-corrected calibration is
       hard-to-beat at label shift adaptation, ICML 2020.
    """
    expected = np.log(np.maximum(counts, 0.5))
    expected -= expected.mean()
    if not len(y):
        return Calibration(1.0, _rounded(expected))
    from scipy.optimize import minimize

    size = float(np.sqrt((logits - logits.mean(axis=1, keepdims=True)).var())) or 1.0
    x, rows = logits / size, np.arange(len(y))
    centre = np.array([0.0, *expected])  # of the scale, then the biases, as all that follows
    deviation = np.array([SCALE_DEVIATION, *[BIAS_DEVIATION] * len(counts)])

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Negative log posterior, per row, and its gradient."""
        proba = softmax(parameters[0] * x + parameters[1:])
        off = (parameters - centre) / deviation
        value = nll(proba, y) + off @ off / 2 / len(y)
        proba[rows, y] -= 1
        slope = np.array([(proba * x).sum(), *proba.sum(axis=0)])
        return value, (slope + off / deviation) / len(y)

    bounds = [(LEAST_SCALE, None), *[(None, None)] * len(counts)]
    start = np.array([1.0, *expected])
    exact = {"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-9}
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options=exact).x
    bias = found[1:] - found[1:].mean()
    return Calibration(float(_rounded(found[:1] / size)[0]), _rounded(bias))


def nll(proba: np.ndarray, y: np.ndarray) -> float:
    """Mean negative log likelihood of the true classes ``y`` (n_rows,) under (n_rows, n_classes)."""
    return -float(np.log(np.maximum(proba[np.arange(len(y)), y], 1e-300)).mean())


def balanced(proba: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """The probabilities if all classes were equally frequent: proba / prior, brought to sum 1.

    Parameters
    ----------
    proba : shape (..., n_classes).
    priors : shape (n_classes,), shares of the classes among the rows that were trained on; a class of prior
        0 was never trained on and stays at 0.
    """
    ratios = np.divide(proba, priors, out=np.zeros(proba.shape), where=priors > 0)
    return np.asarray(ratios / np.maximum(ratios.sum(axis=-1, keepdims=True), np.finfo(np.float64).tiny))


def decide(proba: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """The answers to probabilities, class numbers (...,): the greatest of `balanced`, with its parameters.

    It is the Bayes rule for the mean error over classes; with equal priors, the likeliest class.
    """
    return np.asarray(balanced(proba, priors).argmax(axis=-1))


def uar(answers: np.ndarray, y: np.ndarray) -> float:
    """Mean recall of the classes that occur in ``y``; both are class numbers, shape (n_rows,)."""
    right = answers == y
    return float(np.mean([right[y == label].mean() for label in np.unique(y)]))


def priors_of(meta: Mapping[str, Any]) -> np.ndarray:
    """The priors that a model's meta keeps, shape (n_classes,); equal ones where an older version kept none.

    Raises
    ------
    ValueError : they do not fit the classes.
    """
    n_classes = len(meta["classes"])
    priors = np.array(meta.get("priors") or [1 / n_classes] * n_classes, dtype=np.float64)
    if priors.shape != (n_classes,) or not (priors >= 0).all() or not priors.any():
        raise ValueError(f"priors {priors.tolist()} for {n_classes} classes")
    return priors


def bias_of(bias: Sequence[float] | None, n_classes: int) -> np.ndarray:
    """The biases that a model's meta keeps, shape (n_classes,); 0 where an older version kept none.

    Raises
    ------
    ValueError : they do not fit the classes.
    """
    values = np.array([0.0] * n_classes if bias is None else bias, dtype=np.float64)
    if values.shape != (n_classes,):
        raise ValueError(f"{values.shape} biases for {n_classes} classes")
    return values


def members_of(meta: Mapping[str, Any]) -> list[Calibration]:
    """The calibrations of a network's members, of its meta's ``temperatures`` and ``biases``.

    Raises
    ------
    ValueError : they do not fit each other or the classes, or a temperature is not above 0.
    """
    temperatures = meta["temperatures"]
    if not all(temperature > 0 for temperature in temperatures):
        raise ValueError(f"temperatures {temperatures}, which must be above 0")
    biases = meta.get("biases") or [None] * len(temperatures)
    return [
        Calibration(1 / temperature, bias_of(bias, len(meta["classes"])))
        for temperature, bias in zip(temperatures, biases, strict=True)
    ]


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.array([float(f"{value:.6g}") for value in values], dtype=np.float64)

"""Calibration of logits, decisions, and the scores that training needs.

Classifiers are trained with balanced class weights, so their logits assume equally frequent classes. One
scale and a bias per class, fitted on held-out rows, turn them into probabilities for the actual class
frequencies. Decisions maximise the mean recall of the classes (UAR), so probabilities are divided by the
class frequencies before the maximum is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eavctl.errors import DataError

BIAS_DEVIATION = 0.3  # of the prior of a bias: with few held-out people, a wider prior overfits them
SCALE_DEVIATION = 10.0  # of the prior of the scale, for logits with a root mean square of 1
FARTHEST = 10.0  # times the median: above what the rows of a well-behaved classifier reach
LEAST_SCALE = 1e-4  # above 0, so that uninformative logits keep their order
LEAST_PROBABILITY = 1e-300  # of the true class, so that its logarithm is finite


def softmax(logits: np.ndarray) -> np.ndarray:
    """Convert logits to probabilities, float64, both (n_rows, n_classes)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


@dataclass(frozen=True)
class Calibration:
    """Map from logits to probabilities: ``softmax(scale * logits + bias)``.

    Parameters
    ----------
    scale : inverse temperature, above 0.
    bias : float64, shape (n_classes,).
    """

    scale: float
    bias: np.ndarray

    @property
    def temperature(self) -> float:
        """1 / scale, rounded to six digits."""
        return float(_rounded(np.array([1 / self.scale]))[0])

    def to_meta(self) -> dict[str, Any]:
        """JSON-able: ``temperature`` and ``bias``."""
        return {"temperature": self.temperature, "bias": self.bias.tolist()}

    def balanced_bias(self, priors: np.ndarray) -> np.ndarray:
        """The biases for equally frequent classes, shape (n_classes,), mean 0; see `balanced`."""
        bias = np.where(priors > 0, self.bias - np.log(np.where(priors > 0, priors, 1)), 0)
        return np.asarray(bias - bias.mean())

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Convert logits to probabilities, float64, both (n_rows, n_classes).

        Raises
        ------
        DataError : logits that are not finite.
        """
        if not np.isfinite(logits).all():
            raise DataError(
                "the probabilities are not finite: the features are not finite, or the model is damaged"
            )
        return softmax(self.scale * logits + self.bias)


def fit_calibration(
    logits: np.ndarray, y: np.ndarray, counts: np.ndarray, weights: np.ndarray | None = None
) -> Calibration:
    """Fit a scale and a bias for each class by maximum a posteriori estimation with weak priors.

    One scale for all classes is temperature scaling [1]_; with biases it is bias-corrected temperature
    scaling [2]_, which is convex in scale and biases. The prior of the biases is a Gaussian around the
    logarithms of the class frequencies in the training rows; it dominates for few rows, or none. The prior of
    the scale is so wide that it only prevents an infinite scale for logits that separate all classes.

    The logits of a row that lie more than `FARTHEST` times as far apart as those of the median row are scaled
    down to that: a column that is constant in the training rows but for rounding, and varies in one other
    row, can give that row logits a million times too large, which would set the scale of all to 0.

    With weights, the rows are of several data sets, each held out from the classifier that gave its logits.
    Only the scale is fitted to them, and the biases stay at the logarithms of the class frequencies: biases
    that fit some data sets do not fit the next one, and raise its calibration error.

    Parameters
    ----------
    logits : shape (n_rows, n_classes), of rows that the classifier was not trained on; without rows the
        scale is 1.
    y : class indices, int, shape (n_rows,).
    counts : number of training rows per class, or sum of their weights, shape (n_classes,); a class without
        rows counts as half a row.
    weights : of the rows, shape (n_rows,), by which several data sets count equally; None for one data set.

    Returns
    -------
    The calibration; biases have mean 0. All values are rounded to six digits, because further digits would
    depend on the number of processes that computed the logits.

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

    logits = _without_outliers(logits)
    if weights is not None:
        return Calibration(fit_scale(logits, y, expected, weights), _rounded(expected))
    size = _size(logits)
    x, rows = logits / size, np.arange(len(y))
    centre = np.array([0.0, *expected])  # of the scale, then of the biases, as in all arrays below
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


def fit_scale(logits: np.ndarray, y: np.ndarray, bias: np.ndarray, weights: np.ndarray) -> float:
    """The scale of largest posterior for weighted rows and fixed biases, rounded to six digits.

    Parameters
    ----------
    logits, y, weights : as in `fit_calibration`.
    bias : of the classes, shape (n_classes,), or of each row, shape (n_rows, n_classes).
    """
    from scipy.optimize import minimize_scalar

    size = _size(logits)
    x, rows, shares = logits / size, np.arange(len(y)), weights / weights.sum()

    def loss(log_scale: float) -> float:
        scale = np.exp(log_scale)
        log_likelihood = np.log(np.maximum(softmax(scale * x + bias)[rows, y], LEAST_PROBABILITY))
        return float((scale / SCALE_DEVIATION) ** 2 / 2 / len(y) - shares @ log_likelihood)

    limits = np.log([LEAST_SCALE, SCALE_DEVIATION * 10])
    found = minimize_scalar(loss, bounds=limits, method="bounded", options={"xatol": 1e-9}).x
    return float(_rounded(np.array([np.exp(found) / size]))[0])


def _without_outliers(logits: np.ndarray) -> np.ndarray:
    """Scale down rows of logits (n_rows, n_classes) that lie more than `FARTHEST` times the median apart."""
    centred = logits - logits.mean(axis=1, keepdims=True)
    apart = np.sqrt(np.square(centred).mean(axis=1, keepdims=True))
    limit = FARTHEST * np.median(apart)
    if not limit or (apart <= limit).all():
        return logits
    return np.asarray(centred * (limit / np.maximum(apart, limit)))


def _size(logits: np.ndarray) -> float:
    """Root mean square of logits (n_rows, n_classes) about the mean of their row; 1 where they are equal."""
    return float(np.sqrt((logits - logits.mean(axis=1, keepdims=True)).var())) or 1.0


def nll(proba: np.ndarray, y: np.ndarray) -> float:
    """Mean negative log likelihood of the true classes, (n_rows,), for probabilities (n_rows, n_classes)."""
    return -float(np.log(np.maximum(proba[np.arange(len(y)), y], LEAST_PROBABILITY)).mean())


def balanced(proba: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """The probabilities for equally frequent classes: proba / prior, normalised to sum 1.

    Parameters
    ----------
    proba : shape (..., n_classes).
    priors : shape (n_classes,), frequencies of the classes in the training rows; a class of prior 0 has no
        training rows and keeps probability 0.
    """
    ratios = np.divide(proba, priors, out=np.zeros(proba.shape), where=priors > 0)
    return np.asarray(ratios / np.maximum(ratios.sum(axis=-1, keepdims=True), np.finfo(np.float64).tiny))


def decide(proba: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """The predicted classes, indices (...,): the maximum of `balanced`, with the same parameters.

    This is the Bayes rule for the mean error over classes; with equal priors, the most probable class.
    """
    return np.asarray(balanced(proba, priors).argmax(axis=-1))


def uar(pred: np.ndarray, y: np.ndarray) -> float:
    """Mean recall of the classes that occur in ``y``; both are class indices, shape (n_rows,)."""
    is_correct = pred == y
    return float(np.mean([is_correct[y == label].mean() for label in np.unique(y)]))


def priors_of(meta: Mapping[str, Any]) -> np.ndarray:
    """The priors in the metadata of a model, shape (n_classes,); equal ones for older models without priors.

    Raises
    ------
    ValueError : the priors do not fit the classes.
    """
    n_classes = len(meta["classes"])
    priors = np.array(meta.get("priors") or [1 / n_classes] * n_classes, dtype=np.float64)
    if priors.shape != (n_classes,) or not (priors >= 0).all() or not priors.any():
        raise ValueError(f"priors {priors.tolist()} for {n_classes} classes")
    return priors


def bias_of(bias: Sequence[float] | None, n_classes: int) -> np.ndarray:
    """The biases in the metadata of a model, shape (n_classes,); 0 for older models without biases.

    Raises
    ------
    ValueError : the biases do not fit the classes.
    """
    values = np.array([0.0] * n_classes if bias is None else bias, dtype=np.float64)
    if values.shape != (n_classes,):
        raise ValueError(f"{values.shape} biases for {n_classes} classes")
    return values


def members_of(meta: Mapping[str, Any]) -> list[Calibration]:
    """The calibrations of the members of a network, from ``temperatures`` and ``biases`` in its metadata.

    Raises
    ------
    ValueError : their numbers differ or do not fit the classes, or a temperature is not above 0.
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

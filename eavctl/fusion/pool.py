"""A pool of answers: the weighted product of the probabilities of several models.

The pool starts as the product of single models, in which a network of all their inputs has no weight, and
moves away from it only as far as rows of people left out show that it should.
"""

from __future__ import annotations

import numpy as np

from eavctl.classifiers.calibration import LEAST_PROBABILITY, balanced, softmax

PENALTY = 0.1  # on the squared distance from the start, over the number of groups that rows are of
MOST_SCALE = 5.0


def log_ratios(proba: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities relative to the priors, centred in each row, float64 (n_rows, n_classes).

    They are 0 for a class of prior 0, which the model cannot name.
    """
    logs = np.log(np.maximum(balanced(proba, priors), LEAST_PROBABILITY))
    known = priors > 0
    return np.where(known, logs - logs[:, known].mean(axis=1, keepdims=True), 0)


def pooled(logs: np.ndarray, weights: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """Probabilities proportional to ``priors * exp(sum of weights * logs)``, float64 (n_rows, n_classes).

    With the weight 1 of every model this is the Bayes rule for models that are independent given the class;
    with equal weights that sum to 1, the geometric mean. Both name the same classes.

    Parameters
    ----------
    logs : `log_ratios` of each model, shape (n_models, n_rows, n_classes); 0 in rows that a model cannot
        judge, which leaves it out.
    weights : of the models, shape (n_models,).
    priors : shape (n_classes,); a class of prior 0 has the probability 0.
    """
    with np.errstate(divide="ignore"):
        return softmax(np.tensordot(weights, logs, 1) + np.log(priors))


def fit_weights(
    logs: np.ndarray,
    y: np.ndarray,
    start: np.ndarray,
    priors: np.ndarray,
    groups: np.ndarray,
    row_weights: np.ndarray | None = None,
) -> np.ndarray:
    """Weights that minimise the log loss of `pooled` with a penalty on the distance from a start.

    The weights are ``scale * shares``. The loss is the mean over rows + `PENALTY` / n_groups *
    ``|shares - start|^2``: the scale, which changes no order of classes, is free, and the shares move as far
    as the groups together show that they should.

    Parameters
    ----------
    logs, priors : see `pooled`; of rows that no model was trained on.
    y : class numbers, shape (n_rows,).
    start : shape (n_models,), such as 1 for each single model and 0 for a network of all.
    groups : shape (n_rows,), such as people, whose rows are alike.
    row_weights : shape (n_rows,); None where all count alike.

    Returns
    -------
    float64 (n_models,), none below 0, rounded to six digits; without rows the start over its sum.
    """
    if not len(y):
        return np.asarray(start / start.sum())
    from scipy.optimize import minimize

    share = np.full(len(y), 1 / len(y)) if row_weights is None else row_weights / row_weights.sum()
    penalty, rows = PENALTY / len(np.unique(groups)), np.arange(len(y))

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        scale, shares = parameters[0], parameters[1:]
        proba = pooled(logs, scale * shares, priors)
        off = shares - start
        value = -share @ np.log(np.maximum(proba[rows, y], LEAST_PROBABILITY)) + penalty * off @ off
        proba[rows, y] -= 1
        slope = np.einsum("r,rc,mrc->m", share, proba, logs)
        return float(value), np.array([slope @ shares, *(scale * slope + 2 * penalty * off)])

    bounds = [(1e-3, MOST_SCALE), *[(0, None)] * len(start)]
    exact = {"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9}
    first = np.array([1 / start.sum(), *start])
    found = minimize(loss, first, jac=True, bounds=bounds, method="L-BFGS-B", options=exact).x
    return np.array([float(f"{value:.6g}") for value in found[0] * found[1:]])

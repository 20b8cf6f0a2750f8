"""A pool of answers: single models fused late, and a network of all their inputs.

The late fusion is half the geometric and half the arithmetic mean of the models' probabilities: which of the
two is better depends on the data. A network that sees the features themselves counts as one more single model
to begin with; one that sees nothing but the answers of the single models does not count. All weights move
from there only as far as rows of people left out show that they should.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from eavctl.classifiers.calibration import LEAST_PROBABILITY, balanced, softmax

DOUBT = 0.05  # probability that a model knows nothing of a row: no model alone can rule out a class
PENALTY = 0.1  # on squared relative changes of the weights, over the number of groups that rows are of
SCALES = (0.1, 10.0)
TINY = np.finfo(np.float64).tiny


def doubted(proba: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """Probabilities for classes of equal frequency, with `DOUBT`; all of shape (..., n_classes)."""
    return np.asarray((1 - DOUBT) * balanced(proba, priors) + DOUBT / proba.shape[-1])


@dataclass(frozen=True)
class Pool:
    """Weights of single models and of a network.

    Parameters
    ----------
    singles : of each single model, shape (n_models,), mean 1 over the models that there are; 0 for a stream
        without one.
    network : of the network, over that of the late fusion; 0 leaves it out.
    scale : of the sum of both.
    """

    singles: np.ndarray
    network: float
    scale: float = 1.0

    @classmethod
    def start(cls, there: np.ndarray, weight: float = 1.0) -> Pool:
        """The pool before any evidence.

        Parameters
        ----------
        there : bool, shape (n_models,), which single models there are; they count alike.
        weight : of the network, over that of one single model.
        """
        return cls(there.astype(float), weight / max(1, int(there.sum())))

    def shares(self, present: np.ndarray) -> np.ndarray:
        """Weights of the models that judge a row, float64 (n_rows, n_models): they sum to 1, or are all 0.

        Where all models that judge a row have the weight 0, they count alike.
        """
        weights = self.singles * present + TINY * present
        return np.asarray(weights / np.maximum(weights.sum(axis=1, keepdims=True), TINY))

    def late(self, said: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Logarithms of the late fusion, float64 (n_rows, n_classes); 0 where no model judges a row.

        Parameters
        ----------
        said : `doubted` probabilities of each model, shape (n_models, n_rows, n_classes).
        present : bool, shape (n_rows, n_models), which models judge a row.
        """
        shares, judged = self.shares(present), np.asarray(present.any(axis=1))
        geometric = np.einsum("rm,mrc->rc", shares, np.log(said))
        arithmetic = np.einsum("rm,mrc->rc", shares, said)
        arithmetic = np.log(arithmetic, out=np.zeros_like(arithmetic), where=judged[:, None])
        return np.asarray((geometric + arithmetic) / 2)

    def __call__(
        self, said: np.ndarray, present: np.ndarray, network: np.ndarray, priors: np.ndarray
    ) -> np.ndarray:
        """Class probabilities, float64 (n_rows, n_classes).

        Parameters
        ----------
        said, present : see `late`.
        network : `doubted` probabilities of the network, shape (n_rows, n_classes). Where no model judges a
            row, it alone does.
        priors : shape (n_classes,); a class of prior 0 has the probability 0.
        """
        weight = np.where(present.any(axis=1), self.network, 1.0)[:, None]
        logs = self.late(said, present) + weight * np.log(network)
        with np.errstate(divide="ignore"):
            return softmax(self.scale * logs + np.log(priors))

    def to_meta(self) -> dict[str, Any]:
        """JSON-able, the keywords of `from_meta`."""
        return {"singles": self.singles.tolist(), "network": self.network, "scale": self.scale}

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any]) -> Pool:
        """Rebuild it from `to_meta`.

        Raises
        ------
        KeyError, TypeError, ValueError : weights that are missing, below 0 or not finite.
        """
        pool = cls(np.array(meta["singles"], np.float64), float(meta["network"]), float(meta["scale"]))
        values = np.array([*pool.singles, pool.network, pool.scale])
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise ValueError(f"the weights {values.tolist()}")
        return pool


def fit_pool(
    said: np.ndarray,
    present: np.ndarray,
    network: np.ndarray,
    y: np.ndarray,
    priors: np.ndarray,
    groups: np.ndarray,
    row_weights: np.ndarray | None = None,
    *,
    weight: float = 1.0,
) -> Pool:
    """The pool of least log loss, with a penalty on what moves it from its start.

    The loss is the mean over rows + `PENALTY` / n_groups * the sum of the squared changes of the weights,
    each over that of one single model at the start: few people move it little. The scale, which changes no
    order of classes, is free.

    Parameters
    ----------
    said, present, network, priors : see `Pool`; of rows that no model and no network was trained on.
    y : class numbers, shape (n_rows,); one row or more.
    groups : shape (n_rows,), such as people, whose rows are alike.
    row_weights : shape (n_rows,); None where all count alike.
    weight : of the network, see `Pool.start`.

    Returns
    -------
    The pool, its values rounded to six digits.
    """
    from scipy.optimize import minimize

    share = np.full(len(y), 1 / len(y)) if row_weights is None else row_weights / row_weights.sum()
    penalty, there = PENALTY / len(np.unique(groups)), np.asarray(present.any(axis=0))
    one = Pool.start(there).network

    def of(parameters: np.ndarray) -> Pool:
        singles = np.zeros(len(there))
        singles[there] = parameters[2:]
        return Pool(singles, float(parameters[1] * one), float(parameters[0]))

    def loss(parameters: np.ndarray) -> float:
        proba = of(parameters)(said, present, network, priors)[np.arange(len(y)), y]
        off = parameters[1:] - first[1:]
        return float(penalty * off @ off - share @ np.log(np.maximum(proba, LEAST_PROBABILITY)))

    first = np.array([1.0, weight, *np.ones(int(there.sum()))])
    bounds = [SCALES, *[(0.0, None)] * (len(first) - 1)]
    found = minimize(loss, first, bounds=bounds, method="L-BFGS-B").x
    return of(np.array([float(f"{value:.6g}") for value in found]))

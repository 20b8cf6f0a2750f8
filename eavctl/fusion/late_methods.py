"""The methods of late fusion, each a few lines.

A method gets only the inputs that its rows have, so no placeholder stands for a missing one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eavctl.classifiers.calibration import balanced
from eavctl.errors import DataError
from eavctl.fusion.late import LateFuser
from eavctl.fusion.subsets import MOST_INPUTS, subsets_of
from eavctl.registry import register

SMALLEST = 1e-6  # lower bound of a probability before its logarithm
STACKING_C = 0.1  # inverse of the ridge; with some 700 rows of 8 classes, 0.03 to 1 do equally well
EM_STEPS = 1000
EM_CLOSE = 1e-10


@register("fusers", "mean")
class Mean(LateFuser):
    """The mean of the probabilities."""

    method = "mean"

    def _combine(self, stack: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        return np.asarray(stack.mean(axis=1))


@register("fusers", "weighted")
class Weighted(LateFuser):
    """A weighted mean; the weights minimise the log loss and sum to 1 over the inputs that a row has.

    Fitted by expectation maximisation of a mixture with fixed components [1]_, which never increases the log
    loss and needs no step size.

    References
    ----------
    .. [1] Dempster, Laird, Rubin: Maximum likelihood from incomplete data via the EM algorithm, 1977.
    """

    method, trainable = "weighted", True

    def _train(self, stack: np.ndarray, truth: np.ndarray) -> None:
        likelihood = np.maximum(stack[np.arange(len(truth)), :, truth], SMALLEST)
        weights = np.full(stack.shape[1], 1 / stack.shape[1])
        for _ in range(EM_STEPS):
            shares = weights * likelihood
            updated = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
            moved, weights = np.abs(updated - weights).max(), updated
            if moved < EM_CLOSE:
                break
        self.arrays = {"weights": weights}

    def _combine(self, stack: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        weights = self.arrays["weights"].reshape(len(self.inputs))[inputs]
        if not weights.sum() > 0:  # every input present has the weight 0
            weights = np.ones(len(inputs))
        return np.asarray(np.einsum("rtc,t->rc", stack, weights / weights.sum()))

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each input."""
        return tuple(float(weight) for weight in self.arrays["weights"])


@register("fusers", "product")
class Product(LateFuser):
    """The geometric mean of the probabilities, normalized to sum 1."""

    method = "product"

    def _combine(self, stack: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        return _softmax(np.log(np.maximum(stack, np.finfo(np.float64).tiny)).mean(axis=1))


@register("fusers", "max")
class Maximum(LateFuser):
    """The highest probability that any model gives to a class, normalized to sum 1."""

    method = "max"
    weights = None

    def _combine(self, stack: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        return np.asarray(stack.max(axis=1))


@register("fusers", "vote")
class Vote(LateFuser):
    """One vote a model, plus the mean of the probabilities, which adds up to one vote.

    The majority wins; of classes with equal votes, the one of the higher mean probability. Votes are cast
    with the probabilities for classes of equal frequency, so that they are for the models' predicted classes.
    """

    method = "vote"

    def _combine(self, stack: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        shares = balanced(stack, self.priors)
        votes = (shares.argmax(axis=2)[:, :, None] == np.arange(stack.shape[2])).sum(axis=1)
        return np.asarray(votes + shares.mean(axis=1))

    def decide(self, proba: np.ndarray) -> np.ndarray:
        """The class of the most votes; the priors were removed before the vote."""
        return np.asarray(proba.argmax(axis=-1))


@register("fusers", "stacking")
class Stacking(LateFuser):
    """Multinomial logistic regression on the logarithms of all models' probabilities [1]_.

    A regression needs all of its inputs, so there is one for each subset of them, fitted on the same rows. Of
    more than 5 inputs, only for the full set, for each input left out, and for each single input.

    References
    ----------
    .. [1] Wolpert: Stacked generalization, Neural Networks 5(2), 1992.
    """

    method, trainable = "stacking", True

    def _train(self, stack: np.ndarray, truth: np.ndarray) -> None:
        self.arrays = {}
        for subset in subsets_of(range(stack.shape[1])):
            coef, intercept = _regression(_logits(stack[:, subset]), truth, stack.shape[2])
            suffix = self._suffix(subset)
            self.arrays |= {f"coef{suffix}": coef, f"intercept{suffix}": intercept}

    def _combine(self, stack: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        suffix = self._suffix(inputs)
        if not self._supports(tuple(inputs)):
            raise DataError(
                f"this fuser has no stacking of {' + '.join(self.inputs[i] for i in inputs)} alone.\n"
                f"Of more than {MOST_INPUTS} inputs it has all, all but one, and single ones (of an older "
                "version: all only); give tables of such inputs, or fuse by mean."
            )
        return _softmax(_logits(stack) @ self.arrays[f"coef{suffix}"].T + self.arrays[f"intercept{suffix}"])

    def _supports(self, inputs: tuple[int, ...]) -> bool:
        return len(inputs) == len(self.inputs) or f"coef{self._suffix(inputs)}" in self.arrays

    def _suffix(self, inputs: Sequence[int] | np.ndarray) -> str:
        """Suffix of the names of a subset's arrays; empty for the full set."""
        return "".join(f"_{i}" for i in inputs) if len(inputs) < len(self.inputs) else ""

    @property
    def weights(self) -> tuple[float, ...]:
        """The share of each input in the sum of the coefficients' absolute values."""
        sizes = np.abs(self.arrays["coef"]).reshape(-1, len(self.inputs), len(self.classes_)).sum(axis=(0, 2))
        return tuple(float(size) for size in sizes / max(sizes.sum(), SMALLEST))


def _logits(stack: np.ndarray) -> np.ndarray:
    """Log-probabilities, centred in each input, shape (n_rows, n_inputs * n_classes)."""
    logs = np.log(np.maximum(stack, SMALLEST))
    return np.asarray((logs - logs.mean(axis=2, keepdims=True)).reshape(len(stack), -1))


def _softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _regression(logits: np.ndarray, truth: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients, shape (n_classes, n_columns), and intercepts of a logistic regression."""
    from sklearn.linear_model import LogisticRegression

    present = np.unique(truth)
    if len(present) < 2:
        raise DataError("stacking needs labelled rows of two classes or more")
    fitted = LogisticRegression(C=STACKING_C, max_iter=1000).fit(logits, truth)
    coef, intercept = fitted.coef_, fitted.intercept_
    if len(present) == 2:  # scikit-learn returns the coefficients of the second class only
        coef, intercept = np.vstack([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
    coefs = np.zeros((n_classes, coef.shape[1]))
    intercepts = np.full(n_classes, np.log(SMALLEST))  # of a class without training rows
    coefs[present], intercepts[present] = coef, intercept
    return coefs, intercepts

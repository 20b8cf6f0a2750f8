"""Classifiers whose answers come from a sum over columns (`eavctl.evaluation.importance.Terms`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from eavctl.classifiers.linear import LinearModel
from eavctl.classifiers.svm import SvmModel, soft_votes
from eavctl.evaluation.importance import Terms


@dataclass(frozen=True)
class LinearTerms:
    """The logits of a logistic regression, a term for each class."""

    model: LinearModel

    def of(self, x: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """See `eavctl.evaluation.importance.Terms`."""
        weights = self.model.coef[:, columns].T.astype(np.float64)
        return np.asarray(x[:, columns].astype(np.float64) @ weights)

    def proba(self, total: np.ndarray) -> np.ndarray:
        """See `eavctl.evaluation.importance.Terms`."""
        return self.model.calibration(total + self.model.intercept)


@dataclass(frozen=True)
class SvmTerms:
    """The kernel's squared distances to the support vectors, but for a part that is not linear.

    With standardised rows a and support vectors b, directions D and shortening s, the distance is
    ``sum((a - b)**2) - sum(w * (D @ (a - b))**2)`` with ``w = 1 - (1 - s)**2``. All of it is a sum over
    columns, but for ``w * (D @ a)**2``: the projections ``D @ a`` are terms of their own.
    """

    model: SvmModel

    def of(self, x: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """See `eavctl.evaluation.importance.Terms`."""
        rows, support = self._compressed(x, columns), self._compressed(self.model.support, columns)
        directions = self.model.normalizer.directions[:, columns].astype(np.float64)
        projections = (rows @ directions.T) * self._shares
        across = rows @ support.T - projections @ self._support_projections.T
        squares = (rows * rows).sum(axis=1)[:, None] + (support * support).sum(axis=1)
        return np.concatenate([squares - 2 * across, projections], axis=1)

    def proba(self, total: np.ndarray) -> np.ndarray:
        """See `eavctl.evaluation.importance.Terms`."""
        linear, projections = np.split(total, [len(self.model.support)], axis=1)
        removed = (projections * projections).sum(axis=1)[:, None] + self._support_squares
        kernel = np.exp(-self.model.gamma * np.maximum(linear - removed, 0))
        votes = soft_votes(self.model.pairs(kernel), len(self.model.classes_))
        return self.model.calibration(votes)

    def _compressed(self, x: np.ndarray, columns: np.ndarray) -> np.ndarray:
        own = self.model.normalizer
        return np.asarray(
            np.arcsinh((x[:, columns].astype(np.float64) - own.mean[columns]) / own.scale[columns])
        )

    @cached_property
    def _shares(self) -> np.ndarray:
        """The roots of the shares of the squared distance that are removed along each direction."""
        return np.asarray(np.sqrt(np.maximum(1 - (1 - self.model.normalizer.shortening) ** 2, 0)))

    @cached_property
    def _support_projections(self) -> np.ndarray:
        support = self._compressed(self.model.support, np.arange(self.model.support.shape[1]))
        return np.asarray(support @ self.model.normalizer.directions.T.astype(np.float64) * self._shares)

    @cached_property
    def _support_squares(self) -> np.ndarray:
        return np.asarray((self._support_projections**2).sum(axis=1))


def terms_of(predictor: Any) -> Terms | None:
    """The terms of a classifier; None where its answers are no function of a sum over columns."""
    if isinstance(predictor, LinearModel):
        return LinearTerms(predictor)
    return SvmTerms(predictor) if isinstance(predictor, SvmModel) else None

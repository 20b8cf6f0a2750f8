"""Fit a logistic regression in a cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eavctl.classifiers import linear
from eavctl.classifiers.rows import Rows
from eavctl.training.column_fitter import ColumnFitter
from eavctl.training.cross_validation import Fit


@dataclass(frozen=True)
class LinearFitter(ColumnFitter):
    """Fits `eavctl.classifiers.linear.fit`; the result does not depend on ``jobs``."""

    kind: ClassVar[str] = "linear"
    name: ClassVar[str] = "linear"

    def fit(self, rows: Rows, fit: Fit) -> linear.LinearModel:
        """See `eavctl.training.train.TableFitter`."""
        return linear.fit(
            rows.array,
            rows.labels,
            weights=rows.weights,
            groups=rows.groups,
            units=rows.units,
            copies=rows.copies,
            seed=self.seed,
            jobs=self.jobs,
        )

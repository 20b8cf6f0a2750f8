"""Fit a support vector machine in a cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eavctl.classifiers import svm
from eavctl.classifiers.rows import Rows
from eavctl.training.column_fitter import ColumnFitter
from eavctl.training.cross_validation import Fit


@dataclass(frozen=True)
class SvmFitter(ColumnFitter):
    """Fits `eavctl.classifiers.svm.fit`; the result does not depend on ``jobs``."""

    kind: ClassVar[str] = "svm"
    name: ClassVar[str] = "svm"

    def fit(self, rows: Rows, fit: Fit) -> svm.SvmModel:
        """See `eavctl.training.train.TableFitter`."""
        return svm.fit(
            rows.array, rows.labels, groups=rows.groups, units=rows.units, seed=self.seed, jobs=self.jobs
        )

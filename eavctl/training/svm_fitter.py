"""Fit a support vector machine in a cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from eavctl.classifiers import svm
from eavctl.classifiers.rows import Rows
from eavctl.errors import DataError
from eavctl.evaluation.protocols import Plan
from eavctl.training.cross_validation import Fit
from eavctl.training.rows import TableFacts


@dataclass(frozen=True)
class SvmFitter:
    """Fits `eavctl.classifiers.svm.fit`; the result does not depend on ``jobs``."""

    seed: int = 42
    jobs: int = 1
    kind: ClassVar[str] = "svm"
    name: ClassVar[str] = "svm"

    def describe(self) -> dict[str, Any]:
        """See `eavctl.training.train.TableFitter`."""
        return {"seed": self.seed}

    def check_table(self, facts: TableFacts) -> None:
        """See `eavctl.training.train.TableFitter`."""
        if facts.columns is None:
            raise DataError(
                "the table holds tensors, not columns: use train-dnn; or extract functionals, eeg-bands or "
                "face-stats"
            )

    def check(self, rows: Rows, plan: Plan) -> None:
        """See `eavctl.training.train.TableFitter`: any rows with columns will do."""

    def fit(self, rows: Rows, fit: Fit) -> svm.SvmModel:
        """See `eavctl.training.train.TableFitter`."""
        return svm.fit(
            rows.array,
            rows.labels,
            weights=rows.weights,
            groups=rows.groups,
            units=rows.units,
            seed=self.seed,
            jobs=self.jobs,
        )

    def with_checkpoints(self, path: Path) -> SvmFitter:
        """See `eavctl.training.train.TableFitter`: a fit is too short for checkpoints."""
        return self

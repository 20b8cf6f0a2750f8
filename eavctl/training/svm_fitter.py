"""Fitting a support vector machine for `eavctl.training.cross_validation.train`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from eavctl.classifiers import svm
from eavctl.errors import DataError
from eavctl.evaluation.protocols import Plan
from eavctl.training.cross_validation import Task
from eavctl.training.rows import TrainingTable


@dataclass(frozen=True)
class SvmFitter:
    """Fits `eavctl.classifiers.svm.fit` on the rows it is given; ``jobs`` changes nothing in the result."""

    seed: int = 42
    jobs: int = 1
    kind: ClassVar[str] = "svm"
    name: ClassVar[str] = "svm"

    def describe(self) -> dict[str, Any]:
        """See `Fitter`."""
        return {"seed": self.seed}

    def check(self, table: TrainingTable, planned: Plan) -> None:
        """See `Fitter`."""
        if table.facts["columns"] is None:
            raise DataError(
                "the table holds tensors, not columns: train-dnn takes it; or extract functionals, eeg-bands "
                "or face-stats"
            )

    def fit(self, task: Task, kept: Path | None, note: Callable[[str], None]) -> svm.SvmModel:
        """See `Fitter`."""
        return svm.fit(
            task.x, task.labels, groups=task.groups, units=task.units, seed=self.seed, jobs=self.jobs
        )

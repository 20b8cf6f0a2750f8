"""Fitting a support vector machine for `eavctl.stages.train.train`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from eavctl.classifiers import svm
from eavctl.errors import DataError
from eavctl.tables import FeatureTable


@dataclass(frozen=True)
class SvmFitter:
    """Fits `eavctl.classifiers.svm.fit` on the rows it is given; ``jobs`` changes nothing in the result."""

    seed: int = 42
    jobs: int = 1
    kind: ClassVar[str] = "svm"

    def describe(self) -> dict[str, Any]:
        """See `Fitter`."""
        return {"seed": self.seed}

    def check(self, features: FeatureTable) -> None:
        """See `Fitter`."""
        if features.columns is None:
            raise DataError(
                "the table holds tensors, not columns: train-dnn takes it; or extract functionals, eeg-bands "
                "or face-stats"
            )

    def fit(
        self, x: np.ndarray, labels: np.ndarray, groups: np.ndarray, kept: Path, note: Callable[[str], None]
    ) -> svm.SvmModel:
        """See `Fitter`."""
        return svm.fit(x, labels, groups=groups, seed=self.seed, jobs=self.jobs)

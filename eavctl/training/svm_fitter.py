"""Fit a support vector machine in a cross-validation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

from eavctl.classifiers import svm, svm_cost
from eavctl.classifiers.inner_folds import N_FOLDS
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Streams
from eavctl.errors import CostWarning, DataError
from eavctl.evaluation.plan import Plan
from eavctl.jobs import useful
from eavctl.memory import total_memory
from eavctl.training.column_fitter import ColumnFitter
from eavctl.training.cross_validation import Fit

LONG_S = 180.0  # about 5,000 rows of 3,415 columns in five folds
GB = 1e9


@dataclass(frozen=True)
class SvmFitter(ColumnFitter):
    """Fits `eavctl.classifiers.svm.fit`; the result does not depend on ``jobs``."""

    kind: ClassVar[str] = "svm"
    name: ClassVar[str] = "svm"

    def check(self, rows: Rows, plan: Plan) -> None:
        """See `eavctl.training.train.TableFitter`: a `CostWarning` says where the fits take minutes.

        Raises
        ------
        DataError : the rows need more memory than the machine has.
        """
        if isinstance(rows.x, Streams) or len(rows.x.shape) != 2:
            return
        n_rows, n_columns = rows.x.shape
        jobs = min(useful(self.jobs), N_FOLDS)
        cost = svm_cost.cost([*(len(split.train) for split in plan.folds), n_rows], n_columns, jobs)
        what = f"a support vector machine on {n_rows} rows of {n_columns} columns"
        needed, memory = cost.memory / GB, total_memory() / GB
        if needed > memory:
            most = svm_cost.most_rows(n_columns, jobs, memory * GB)
            raise DataError(
                f"{what} needs about {needed:.0f} GB of memory, and there are {memory:.0f} GB: use "
                f"train-linear, or at most {most} rows" + (", or fewer --jobs" if jobs > 1 else "")
            )
        if cost.seconds > LONG_S:
            text = (
                f"{what} takes about {cost.seconds / 60:.0f} minutes and {needed:.1f} GB of memory; "
                "train-linear takes a small part of both"
            )
            warnings.warn(text, CostWarning, stacklevel=2)

    def fit(self, rows: Rows, fit: Fit) -> svm.SvmModel:
        """See `eavctl.training.train.TableFitter`."""
        return svm.fit(
            rows.array,
            rows.labels,
            weights=rows.weights,
            groups=rows.groups,
            units=rows.units,
            copies=rows.copies,
            seed=self.seed,
            jobs=self.jobs,
        )

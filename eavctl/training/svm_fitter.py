"""Fit a support vector machine in a cross-validation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar

from eavctl.classifiers import svm, svm_cost, within_class
from eavctl.classifiers.inner_folds import N_FOLDS
from eavctl.classifiers.projection import Projected, behind
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Streams
from eavctl.errors import CostWarning, DataError
from eavctl.evaluation.plan import Plan
from eavctl.jobs import useful
from eavctl.memory import total_memory
from eavctl.settings import Within
from eavctl.training.column_fitter import ColumnFitter
from eavctl.training.cross_validation import Fit

LONG_S = 180.0  # about 5,000 rows of 3,415 columns in five folds
GB = 1e9


@dataclass(frozen=True)
class SvmSettings:
    """Settings of a support vector machine that can be tuned.

    Parameters
    ----------
    C : cost of an error; None: each fit chooses it on inner folds, from `eavctl.classifiers.svm.C_GRID`.
    gamma : of the kernel, over the total variance of the normalised training rows; None as for ``C``, from
        `eavctl.classifiers.svm.GAMMA_GRID`.
    shrinkage : of `eavctl.classifiers.within_class.learn`.
    """

    C: Annotated[float, Within(1e-9, 1e9)] | None = None
    gamma: Annotated[float, Within(1e-9, 1e9)] | None = None
    shrinkage: Annotated[float, Within(1e-9, 1e9)] = within_class.SHRINKAGE

    @property
    def changed(self) -> dict[str, float]:
        """The settings that are not the defaults."""
        return {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if getattr(self, each.name) != each.default
        }


@dataclass(frozen=True)
class SvmFitter(ColumnFitter):
    """Fits `eavctl.classifiers.svm.fit`; the result does not depend on ``jobs``."""

    settings: SvmSettings = field(default_factory=SvmSettings)
    kind: ClassVar[str] = "svm"
    name: ClassVar[str] = "svm"

    def describe(self) -> dict[str, Any]:
        """See `eavctl.training.train.TableFitter`."""
        return {**super().describe(), **self.settings.changed}

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

    def fit(self, rows: Rows, fit: Fit) -> svm.SvmModel | Projected:
        """See `eavctl.training.train.TableFitter`."""
        projection = self.projection(rows)
        model = svm.fit(
            rows.array,
            rows.labels,
            weights=rows.weights,
            groups=rows.groups,
            units=rows.units,
            copies=rows.copies,
            projection=projection,
            seed=self.seed,
            c_grid=svm.C_GRID if self.settings.C is None else (self.settings.C,),
            gamma_grid=svm.GAMMA_GRID if self.settings.gamma is None else (self.settings.gamma,),
            shrinkage=self.settings.shrinkage,
            jobs=self.jobs,
        )
        return behind(projection, model, rows)

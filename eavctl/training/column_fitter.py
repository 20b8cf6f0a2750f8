"""What the fitters of classifiers of columns share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from eavctl import registry
from eavctl.classifiers.columns import checked
from eavctl.classifiers.projection import PROJECTIONS
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.step import Projection
from eavctl.errors import DataError, UsageError
from eavctl.evaluation.met import Pretrained
from eavctl.evaluation.plan import Plan
from eavctl.jobs import one_thread
from eavctl.training.rows import TableFacts

DEFAULT_STEP = "tangent"


@dataclass(frozen=True)
class ColumnFitter:
    """The base of fitters that take tables with columns and whose results do not depend on ``jobs``.

    Parameters
    ----------
    step : what is made of covariances, a name of `eavctl.classifiers.projection.PROJECTIONS`; None for
        columns that are taken as they are.
    n_matrices : covariance matrices in a row; None where a row holds none. See `taking`.
    """

    seed: int = 42
    jobs: int = 1
    step: str | None = field(default=None, kw_only=True)
    n_matrices: int | None = field(default=None, kw_only=True)

    @property
    def encoders(self) -> tuple[Pretrained, ...]:
        """See `eavctl.training.train.TableFitter`: no fit starts from an encoder."""
        return ()

    def describe(self) -> dict[str, Any]:
        """See `eavctl.training.train.TableFitter`."""
        step = {"step": self.step, "n_matrices": self.n_matrices} if self.step else {}
        return {"seed": self.seed, **step}

    def taking(self, features: str, settings: Mapping[str, Any]) -> Self:
        """The fitter for a feature set: with the tangent space, if rows are covariances and no step is named.

        Raises
        ------
        UsageError : no such step; or one is named, and the rows are no covariances.
        """
        if self.step not in (None, *PROJECTIONS):
            raise UsageError(f"--step takes {' or '.join(PROJECTIONS)}, not {self.step!r}")
        count = registry.get("features", features).facts.get("matrices")
        n_matrices = count(**settings) if count else None
        if n_matrices is None:
            if self.step:
                raise UsageError(f"--step {self.step} is for covariances: extract with --features eeg-cov")
            return self
        return replace(self, step=self.step or DEFAULT_STEP, n_matrices=n_matrices)

    def projection(self, rows: Rows) -> Projection | None:
        """The step to fit with the classifier; None for columns that are taken as they are.

        Raises
        ------
        DataError : as the classifiers, of rows that cannot be fitted on.
        """
        if not (self.step and self.n_matrices):
            return None
        checked(rows.table, rows.labels)
        with one_thread():
            return PROJECTIONS[self.step](rows, self.n_matrices, self.seed)

    def check_table(self, facts: TableFacts) -> None:
        """See `eavctl.training.train.TableFitter`."""
        if facts.columns is None:
            raise DataError(
                "the table holds tensors, not columns: use train-dnn; or extract functionals, eeg-cov, "
                "eeg-bands or face-stats"
            )

    def check(self, rows: Rows, plan: Plan) -> None:
        """See `eavctl.training.train.TableFitter`: any rows with columns will do."""

    def with_checkpoints(self, path: Path) -> Self:
        """See `eavctl.training.train.TableFitter`: a fit is too short for checkpoints."""
        return self

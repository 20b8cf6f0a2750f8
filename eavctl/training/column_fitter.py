"""What the fitters of classifiers of columns share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from eavctl.classifiers.rows import Rows
from eavctl.errors import DataError
from eavctl.evaluation.met import Pretrained
from eavctl.evaluation.plan import Plan
from eavctl.training.rows import TableFacts


@dataclass(frozen=True)
class ColumnFitter:
    """The base of fitters that take tables with columns and whose results do not depend on ``jobs``."""

    seed: int = 42
    jobs: int = 1

    @property
    def encoders(self) -> tuple[Pretrained, ...]:
        """See `eavctl.training.train.TableFitter`: no fit starts from an encoder."""
        return ()

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

    def with_checkpoints(self, path: Path) -> Self:
        """See `eavctl.training.train.TableFitter`: a fit is too short for checkpoints."""
        return self

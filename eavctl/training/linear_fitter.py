"""Fit a logistic regression in a cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from eavctl.classifiers import linear
from eavctl.classifiers.projection import Projected, behind
from eavctl.classifiers.rows import Rows
from eavctl.evaluation.groups import identify
from eavctl.training.column_fitter import ColumnFitter
from eavctl.training.cross_validation import Fit


@dataclass(frozen=True)
class LinearFitter(ColumnFitter):
    """Fits `eavctl.classifiers.linear.fit`; the result does not depend on ``jobs``.

    Parameters
    ----------
    centred : the rows of each data set are centred by their own mean.
    penalty : over the total variance of the standardised rows; None: each fit chooses it on inner folds, from
        `eavctl.classifiers.linear.PENALTIES`.
    """

    centred: bool = False
    penalty: float | None = None
    kind: ClassVar[str] = "linear"
    name: ClassVar[str] = "linear"

    def describe(self) -> dict[str, Any]:
        """See `eavctl.training.train.TableFitter`."""
        centred = {"centred": True} if self.centred else {}
        penalty = {} if self.penalty is None else {"penalty": self.penalty}
        return {**super().describe(), **centred, **penalty}

    def fit(self, rows: Rows, fit: Fit) -> linear.LinearModel | Projected:
        """See `eavctl.training.train.TableFitter`."""
        projection = self.projection(rows)
        model = linear.fit(
            rows.table,
            rows.labels,
            weights=rows.weights,
            groups=rows.groups,
            units=rows.units,
            copies=rows.copies,
            datasets=identify(rows.key_frame, "dataset").astype(str) if self.centred else None,
            projection=projection,
            seed=self.seed,
            penalties=linear.PENALTIES if self.penalty is None else (self.penalty,),
            jobs=self.jobs,
        )
        return behind(projection, model, rows)

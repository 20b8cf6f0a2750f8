"""A step before a classifier of columns that is fitted with it: what is made of covariances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from eavctl.classifiers.columns import check_shape
from eavctl.classifiers.csp import CommonSpatialPatterns
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.step import Projection, Step
from eavctl.classifiers.tangent_space import TangentSpace
from eavctl.errors import DataError
from eavctl.jobs import one_thread

PROJECTIONS: Mapping[str, type[Projection]] = {
    each.gives.name: each for each in (TangentSpace, CommonSpatialPatterns)
}
M = TypeVar("M")
ARRAYS = "step_"  # before the names of a step's arrays in a model file


class Projected:
    """A classifier behind a step, with the methods of the classifier.

    Parameters
    ----------
    step : what is done to rows before.
    model : a classifier of columns, such as a `eavctl.classifiers.linear.LinearModel`.
    """

    def __init__(self, step: Step, model: Any) -> None:
        self.step, self.model = step, model
        self.classes_, self.priors = model.classes_, model.priors

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        """See the classifier's; rows (n_rows, n_columns) are those of the table.

        Raises
        ------
        DataError : ``x`` has another number of columns, or values that are not finite.
        """
        check_shape(x, self.step.n_columns)
        if not np.isfinite(x).all():  # of which there are no eigenvalues
            raise DataError("some features are not finite numbers")
        with one_thread():
            return np.asarray(self.model.decision_function(self.step(x)))

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Calibrated class probabilities, float64 (n_rows, n_classes).

        Raises
        ------
        DataError : ``x`` has another number of columns, or values that are not finite.
        """
        return np.asarray(self.model.calibration(self.decision_function(x)))

    def decide(self, proba: np.ndarray) -> np.ndarray:
        """Class numbers predicted from probabilities: see `eavctl.classifiers.calibration.decide`."""
        return np.asarray(self.model.decide(proba))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays of the model file."""
        own = {ARRAYS + name: array for name, array in self.step.to_arrays().items()}
        return {**self.model.to_arrays(), **own}

    def to_meta(self) -> dict[str, Any]:
        """JSON-able values of the model file."""
        return {**self.model.to_meta(), "step": self.step.name}

    @classmethod
    def from_parts(cls, kind: Any, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> Projected:
        """Rebuild a classifier behind a step, from `to_arrays` and `to_meta`.

        Parameters
        ----------
        kind : class of the classifier.

        Raises
        ------
        KeyError, ValueError, TypeError : parts are missing or do not fit each other.
        """
        own = {name.removeprefix(ARRAYS): each for name, each in arrays.items() if name.startswith(ARRAYS)}
        others = {name: each for name, each in arrays.items() if not name.startswith(ARRAYS)}
        return cls(PROJECTIONS[meta["step"]].gives.from_arrays(own), kind.from_parts(others, meta))


def behind(projection: Projection | None, model: M, rows: Rows) -> M | Projected:
    """The classifier behind the step fitted on all rows; itself, if there is none."""
    if projection is None:
        return model
    with one_thread():
        return Projected(projection.step(np.arange(len(rows))), model)

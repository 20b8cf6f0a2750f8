"""What a step before a classifier of columns is: it is fitted on training rows, and kept in the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Self

import numpy as np

from eavctl.classifiers.rows import Rows


@dataclass(frozen=True)
class Step(ABC):
    """A fitted step: rows of covariances to rows of other columns.

    The fields of a subclass are arrays, which the model file holds.
    """

    name: ClassVar[str]

    @property
    @abstractmethod
    def n_columns(self) -> int:
        """Number of columns that it takes."""

    @abstractmethod
    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Rows (n_rows, n_columns) to float64 rows of other columns."""

    @property
    @abstractmethod
    def fits(self) -> bool:
        """Whether the shapes of its arrays fit each other."""

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays of the model file."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuild a step from `to_arrays`.

        Raises
        ------
        ValueError, TypeError : arrays are missing, or do not fit each other.
        """
        step = cls(**arrays)
        if not step.fits:
            raise ValueError("the arrays of its step do not fit each other")
        return step


class Projection(ABC):
    """Training rows, of which all or some are taken to fit a step.

    Parameters
    ----------
    rows : training rows, whose features are covariances.
    n_bands : matrices in a row.
    seed : of inner folds, where the step needs some.
    """

    gives: ClassVar[type[Step]]  # the class of the steps
    one_scale: ClassVar[bool]  # the columns share a scale, for their relation carries meaning

    def __init__(self, rows: Rows, n_bands: int, seed: int = 42) -> None:
        self._rows, self._n_bands, self._seed = rows, n_bands, seed

    @abstractmethod
    def step(self, train: np.ndarray) -> Step:
        """The step fitted on some of the rows, by their numbers."""

    @abstractmethod
    def table(self, train: np.ndarray) -> np.ndarray:
        """All rows, projected by the step fitted on some of them, (n_rows, n_columns)."""

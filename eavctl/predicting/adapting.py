"""Adapt recordings to a model of columns: bring their features to the scale of the training rows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from eavctl.errors import UsageError
from eavctl.features.normalize import standardize_by_group
from eavctl.predicting.normalizing import DATASET, groups_of, rows_of, with_rows
from eavctl.predicting.segments import DescribedRecording
from eavctl.storage.artifacts import Model

NOTE = (
    "features were standardised by the recordings at hand (--adapt): an answer depends on the other "
    "recordings, which should express the emotions in the usual mixture (no labels are used)"
)


@runtime_checkable
class ModelOfColumns(Protocol):
    """A classifier of columns that knows the scale of its training rows.

    Parameters
    ----------
    mean, scale : mean and standard deviation of each column, shape (n_columns,).
    """

    @property
    def mean(self) -> np.ndarray:
        """Mean of each column, shape (n_columns,)."""
        ...

    @property
    def scale(self) -> np.ndarray:
        """Standard deviation of each column, shape (n_columns,)."""
        ...


def check(model: Model, path: str | os.PathLike[str]) -> ModelOfColumns:
    """The classifier of a model, if recordings can be adapted to it.

    Raises
    ------
    UsageError : a model of tensors or of several streams, or one that standardises by itself.
    """
    if model.meta.protocol.normalize:
        raise UsageError(
            f"{path} was trained with --normalize {model.meta.protocol.normalize}, which standardises by the "
            "recordings at hand: leave --adapt out"
        )
    if not isinstance(model.predictor, ModelOfColumns):
        raise UsageError(
            f"{path}: --adapt is for models of columns, such as those of train-svm; leave it out"
        )
    return model.predictor


def adapted(recordings: Sequence[DescribedRecording], model: ModelOfColumns) -> list[DescribedRecording]:
    """Bring each column to the mean and the standard deviation of the training rows.

    ``x' = (x - mean of those at hand) / their deviation * deviation in training + mean in training``, within
    each data set. So nothing changes where all features at hand are scaled and shifted, as another microphone
    does to some of them [1]_. A column that is constant at hand gets the mean in training.

    Parameters
    ----------
    recordings : for a model of one stream.

    Raises
    ------
    DataError : fewer than 20 usable recordings of a data set.

    References
    ----------
    .. [1] Schuller et al.: Cross-corpus acoustic emotion recognition: variances and strategies, IEEE
       Transactions on Affective Computing 1(2), 2010.
    """
    x, groups = rows_of(recordings, groups_of(recordings, DATASET, "--adapt", "leave --adapt out"))
    if not len(x):
        return [*recordings]
    rows = standardize_by_group(x, groups).astype(np.float64) * model.scale + model.mean
    return with_rows(recordings, rows.astype(np.float32))

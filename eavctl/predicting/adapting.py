"""Adapt recordings to a model of columns by all that are at hand."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from eavctl.classifiers.adaptation import SPEAKER, ModelOfColumns, Origin, adapt, is_of_columns
from eavctl.classifiers.projection import Projected
from eavctl.errors import UsageError
from eavctl.features.normalize import SHRINKAGE
from eavctl.predicting.normalizing import DATASET, groups_of, rows_of, with_rows
from eavctl.predicting.rows import Row
from eavctl.predicting.segments import DescribedRecording
from eavctl.storage.artifacts import Model


class AdaptedRecording(NamedTuple):
    """A recording that was adapted.

    Parameters
    ----------
    recording : with adapted features.
    proba : class probabilities of its segments, shape (n_segments, n_classes).
    by : ``"speaker"`` or ``"dataset"``, what its features were mostly standardised by; empty for a recording
        without segments.
    """

    recording: DescribedRecording
    proba: np.ndarray
    by: str


def check(model: Model, path: str | os.PathLike[str]) -> None:
    """Check that recordings can be adapted to a model.

    Raises
    ------
    UsageError : a model of tensors or of several streams, an exported one, or one that normalises by
        itself.
    """
    if model.meta.protocol.normalize:
        raise UsageError(
            f"{path} was trained with --normalize {model.meta.protocol.normalize}, which normalises by the "
            "recordings at hand: leave --adapt out"
        )
    if model.meta.export:
        raise UsageError(
            f"{path}: an exported model gives probabilities only, and --adapt needs decision values; use the "
            "model that it was exported from"
        )
    if isinstance(model.predictor, Projected):
        raise UsageError(
            f"{path}: --adapt standardises columns, and this is a model of covariances: leave it out, or "
            "train with --normalize subject"
        )
    if not is_of_columns(model.predictor):
        raise UsageError(
            f"{path}: --adapt is for models of columns, such as those of train-linear and train-svm, and not "
            "of covariances; leave it out"
        )


def adapted(
    recordings: Sequence[DescribedRecording],
    model: ModelOfColumns,
    scales: Mapping[str, float] | None = None,
) -> list[AdaptedRecording]:
    """Adapt recordings within each data set, by `eavctl.classifiers.adaptation.adapt`.

    Parameters
    ----------
    recordings : for a model of one stream.
    scales : as `eavctl.classifiers.adaptation.adapt` takes them.

    Raises
    ------
    DataError : fewer than 20 usable recordings of a data set.
    """
    groups = groups_of(recordings, DATASET, "--adapt", "leave --adapt out")
    x, of_row = rows_of(recordings, np.arange(len(recordings)))
    if not len(x):
        return [AdaptedRecording(each, np.empty((0, len(model.priors))), "") for each in recordings]
    speakers = np.array([str(each.keys.get("subject", "")) for each in recordings])
    origin = Origin(groups[of_row], speakers[of_row], of_row)
    found, by = adapt(x, origin, model, scales), origin.by
    return [
        AdaptedRecording(each, found.proba[of_row == i], "".join(by[of_row == i][:1]))
        for i, each in enumerate(with_rows(recordings, found.x))
    ]


def note(rows: Sequence[Row]) -> str:
    """A sentence on what --adapt assumed for these rows."""
    n = sum(row.adapted_by == SPEAKER for row in rows)
    by = "by speaker" if n == len(rows) else f"by speaker for {n} of {len(rows)} answers, else by data set"
    if not n:
        by = f"by data set, as no speaker is named who has {SHRINKAGE} or more"
    return (
        f"--adapt used all recordings at hand, without labels: it standardised features ({by}) and moved the "
        "mean probability of each class towards its share in the training. This assumes a mixture of "
        "emotions like the training's; leave --adapt out where some of the emotions hardly occur"
    )

"""Fit an early fusion that starts as the late fusion of single models: see `eavctl.fusion.pool`.

A network that learns from the answers of single models must learn from answers to rows that these models
were not trained on; and whether it knows more than they do can only be told on people that none of them was
trained on. So each member of the network has validation people, b, and training people, a. The classifiers
of columns answer the rows of b when fitted on a, and those of a when fitted on other people of a. The
network is trained on the answers of a; the weights of the pool are fitted on those of b. At last the
classifiers are fitted on all rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from eavctl.classifiers import weighting
from eavctl.classifiers.dnn import DnnModel
from eavctl.classifiers.fitting import Keeping, member_folds
from eavctl.classifiers.inner_folds import Fold, InnerRows
from eavctl.classifiers.network import forward
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Streams
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import TrainingWarning
from eavctl.evaluation.plan import Plan
from eavctl.fusion.networks import model
from eavctl.fusion.networks.model import Design, FusionModel, StreamStart
from eavctl.fusion.pool import Pool, doubted, fit_pool
from eavctl.fusion.pooled import PooledFusion, SingleModel, answered, as_stream, network_design
from eavctl.training.cross_validation import Fit


class ColumnFit(Protocol):
    """Fits a classifier of columns; its ``kind`` is a name of `eavctl.fusion.pooled.COLUMN_MODELS`."""

    @property
    def kind(self) -> str:
        """Name of the classifier."""
        ...

    @property
    def seed(self) -> int:
        """Of its inner folds."""
        ...

    def check(self, rows: Rows, plan: Plan) -> None:
        """Refuse rows that cannot be fitted on, and warn of fits that take long."""
        ...

    def fit(self, rows: Rows, fit: Fit) -> Any:
        """A model with ``classes_``, ``priors`` and ``predict_proba``."""
        ...


def fit_pooled(
    rows: Rows,
    design: Design,
    columns: Mapping[int, ColumnFit],
    starts: Sequence[StreamStart | None],
    settings: TrainSettings,
    keeping: Keeping,
    fit: Fit,
) -> PooledFusion:
    """Fit the single models of columns, the network, and the weights of both.

    Parameters
    ----------
    rows : training rows, ``x`` as `Streams`.
    design : method and streams; the encoder of a stream of columns is the name of its classifier.
    columns : by the number of the stream, what fits its classifier.
    starts : see `eavctl.fusion.networks.model.fit`; trained models are single models too.
    settings, keeping : of the network.
    fit : which fit of the cross-validation this is.

    Raises
    ------
    DataError, UsageError : as the fits of the classifiers and of the network.
    """
    rows = replace(rows, groups=rows.speakers)
    settings = replace(settings, epochs=settings.most_epochs)
    trained = {
        i: start
        for i, start in enumerate(starts)
        if isinstance(start, DnnModel) and set(start.classes_) <= set(rows.classes)
    }
    validate_on = model.validated(starts, settings.members) if settings.validation else ()
    folds = member_folds(rows, settings, validate_on)
    if columns and not all(_is_enough(rows.y[train]) for train, _ in folds):
        folds = [(np.arange(len(rows)), np.arange(0))] * settings.members
    parts = [_answers(rows, design, columns, trained, *each, fit) for each in enumerate(folds)]
    features = [streams for streams, _ in parts]
    network = model.fit(
        features[0],
        rows.labels,
        network_design(design, len(rows.classes)),
        row_weights=rows.weights,
        groups=rows.groups,
        units=rows.units,
        copies=rows.copies,
        classes=rows.classes,
        starts=starts,
        folds=folds,
        features=features,
        settings=settings,
        keeping=keeping,
    )
    singles: list[SingleModel | None] = [None] * len(design.streams)
    for stream, start in trained.items():
        singles[stream] = SingleModel("dnn", start)
    for stream, fitter in columns.items():
        fit.note(f"{fitter.kind} of {design.streams[stream].name}")
        everyone = _of_stream(rows, stream, np.arange(len(rows)))
        singles[stream] = SingleModel(fitter.kind, fitter.fit(everyone, fit))
    there = np.array([single is not None for single in singles])
    weight = 1 - len(columns) / len(
        design.streams
    )  # a share of the streams: of columns it sees answers alone
    counts = rows.counts
    meta = {
        "design": design.to_meta(),
        "classes": list(rows.classes),
        "priors": (counts / counts.sum()).tolist(),
        "pool": _pool(rows, network, parts, folds, there, weight).to_meta(),
        "training": network.to_meta()["training"],
    }
    return PooledFusion(singles, network, meta)


def _answers(
    rows: Rows,
    design: Design,
    columns: Mapping[int, ColumnFit],
    trained: Mapping[int, DnnModel],
    member: int,
    fold: Fold,
    fit: Fit,
) -> tuple[Streams, np.ndarray]:
    """What a member of the network is trained and validated on, and what the single models say of it.

    Returns
    -------
    As `eavctl.fusion.pooled.answered`; each row is answered by models that were not trained on it.
    """
    singles: list[SingleModel | None] = [None] * len(design.streams)
    for stream, start in trained.items():
        singles[stream] = SingleModel("dnn", start.alone(member))
    streams, said = answered(design, singles, rows.streams, rows.classes)
    arrays = list(streams.arrays)
    for stream, fitter in columns.items():
        fit.note(f"{fitter.kind} of {design.streams[stream].name}, out of fold")
        said[stream] = _out_of_fold(rows, stream, fitter, fold, fit)
        arrays[stream] = as_stream(said[stream])
    return Streams(tuple(arrays), streams.present), said


def _out_of_fold(rows: Rows, stream: int, fitter: ColumnFit, fold: Fold, fit: Fit) -> np.ndarray:
    """What a classifier of columns says of all rows of a fold, float64 (n_rows, n_classes).

    Validation rows are answered by the classifier of all training rows, and these by those of inner folds,
    which a copy follows its clip through.
    """
    train, test = fold
    names = (None if each is None else each[train] for each in (rows.groups, rows.units))
    inner = InnerRows(rows.y[train], rows.classes, *names)
    said = np.full((len(rows), len(rows.classes)), 1 / len(rows.classes))
    cuts = [(train[kept], train[left]) for kept, left in inner.folds(fitter.seed)]
    for kept, left in [*cuts, *([fold] if len(test) else [])]:
        answered_rows = _having(rows, stream, left)
        if len(answered_rows) and _is_enough(rows.y[_having(rows, stream, kept)]):
            single = SingleModel(fitter.kind, fitter.fit(_of_stream(rows, stream, kept), fit))
            x = rows.streams.arrays[stream][answered_rows]
            said[answered_rows] = single.said(x, rows.classes)
    return said


def _is_enough(y: np.ndarray) -> bool:
    """Whether a classifier of columns can be fitted on rows of these classes: two of each."""
    return len(y) > 0 and bool(np.unique(y, return_counts=True)[1].min() > 1)


def _of_stream(rows: Rows, stream: int, numbers: np.ndarray) -> Rows:
    """Those of some rows that have a stream, with its features alone."""
    return replace(rows, x=rows.streams.arrays[stream]).taking(_having(rows, stream, numbers))


def _having(rows: Rows, stream: int, numbers: np.ndarray) -> np.ndarray:
    """Those of the numbers of rows that have a stream."""
    return np.asarray(numbers[rows.streams.present[numbers, stream]])


def _pool(
    rows: Rows,
    network: FusionModel,
    parts: Sequence[tuple[Streams, np.ndarray]],
    folds: Sequence[Fold],
    there: np.ndarray,
    weight: float,
) -> Pool:
    """The weights of single models and network, fitted on the validation rows of all members."""
    said, answers, numbers = [], [], []
    for (streams, singles), (_, test), net, calibrate in zip(parts, folds, *network.members, strict=True):
        if len(test):
            said.append(singles[:, test])
            answers.append(doubted(calibrate(forward(net, streams[test])), network.priors))
            numbers.append(test)
    if not numbers:
        warnings.warn(
            "no rows were left out to tell whether the network adds to the single models: the answers are "
            "those of their late fusion",
            TrainingWarning,
            stacklevel=3,
        )
        return replace(Pool.start(there), network=0.0)
    at = np.concatenate(numbers)
    groups = rows.groups if rows.groups is not None else rows.units
    return fit_pool(
        np.concatenate(said, axis=1),
        rows.streams.present[at] & there,
        np.concatenate(answers),
        rows.y[at],
        network.priors,
        np.arange(len(at)) if groups is None else groups[at],
        weighting.taken(rows.weights, at),
        weight=weight,
    )

"""Feature tables to predictions of classes that were held out of all training.

The first table is the query, such as EEG; the others, such as audio and video, make the space in which
classes are recognized: see `eavctl.fusion.networks.alignment`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from eavctl.classifiers.streams import Streams
from eavctl.datasets.affect import coordinates
from eavctl.errors import DataError, UsageError
from eavctl.evaluation import metrics
from eavctl.evaluation.intervals import clusters_of
from eavctl.evaluation.protocols import Plan, Split
from eavctl.evaluation.zero_shot import score
from eavctl.fusion.networks.alignment import Aligned, AlignmentSettings, Note, align, class_means
from eavctl.fusion.networks.model import Design
from eavctl.storage.ownership import Output, guard
from eavctl.storage.provenance import hash_json, versions
from eavctl.storage.tables import PredictionTable, read_predictions, write_predictions
from eavctl.training.clips import in_order
from eavctl.training.cross_validation import (
    PACKAGES,
    UNTESTED,
    Evaluation,
    Planned,
    Tick,
    check_finite,
    checked_plan,
    protocol_meta,
)
from eavctl.training.fit_warnings import FitWarnings
from eavctl.training.fusion_setup import FusionSetup
from eavctl.training.rows import TrainingTable, labelled

ALL = "all"  # in place of a class: hold out each in turn


@dataclass(frozen=True)
class ZeroShot:
    """Result of zero-shot recognition.

    Parameters
    ----------
    predictions : out-of-fold rows; where each class was held out in turn, each row as predicted with its own
        class held out.
    scores : see `eavctl.evaluation.zero_shot.score`; with ``held_out``, ``query`` and ``space``.
    warnings : sentences.
    up_to_date : ``out`` already had the result of the same run.
    """

    predictions: PredictionTable
    scores: dict[str, Any]
    warnings: tuple[str, ...]
    up_to_date: bool = False


def zero_shot(
    tables: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    held_out: str,
    *,
    encoders: Sequence[str] = (),
    size: str | None = None,
    network_settings: Mapping[str, Any] | None = None,
    settings: AlignmentSettings | None = None,
    evaluation: Evaluation | None = None,
    force: bool = False,
    on_fold: Tick = lambda done, total, note: None,
) -> ZeroShot:
    """Hold a class out of all training, fold by fold, and measure how often it is recognized.

    Parameters
    ----------
    tables : two or more feature tables, joined on ``sample_id``; the first is the query.
    out : the prediction table to write.
    held_out : a class, or ``all``: each in turn.
    encoders : one a table, in the order of the tables; none: chosen by the tables' feature sets.
    size : base or tiny, of encoders that have sizes.
    network_settings : keywords of the network of the space, which is ``attention``.
    settings : of the trainings; by default `AlignmentSettings`.
    evaluation : the protocol of the folds; by default `Evaluation`.
    force : overwrite a file not written by eavctl; compute even if up to date.
    on_fold : called with the number of trainings done, of all, and a note on the next.

    Raises
    ------
    UsageError : no such class, or settings that do not fit the tables.
    DataError : fewer than three classes, a fold without training rows of a held-out class, or tables that do
        not fit together.
    LeakError : as `eavctl.training.cross_validation.train`.
    """
    evaluation = evaluation or Evaluation()
    setup = FusionSetup(tables, encoders=encoders, size=size, network_settings=network_settings or {})
    run, classes = _prepared(setup, out, held_out, settings or AlignmentSettings(), evaluation, force)
    identity = _identity(run, held_out, evaluation)
    if not force and (done := _up_to_date(out, identity)):
        os.utime(out)
        return done
    splits = checked_plan(run.table, evaluation)
    collected = FitWarnings()
    tested = _predict(run, splits, classes, collected, on_fold)
    warnings = (*run.table.left_out, *splits.warnings, *_unknown(run.classes), *collected.sentences())
    scores = _scores(run, tested, held_out, splits.group)
    meta = {
        "name": _title(scores),
        "modalities": list(run.table.modalities),
        "model_hashes": [identity],
        "protocol": protocol_meta(splits, evaluation, warnings),
        "out_of_fold": True,
        "versions": versions(*PACKAGES),
        "zero_shot": scores,
    }
    predictions = _prediction_table(run, tested, meta)
    write_predictions(predictions, out)
    return ZeroShot(predictions, scores, warnings)


def plan(
    tables: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    held_out: str,
    *,
    encoders: Sequence[str] = (),
    size: str | None = None,
    network_settings: Mapping[str, Any] | None = None,
    settings: AlignmentSettings | None = None,
    evaluation: Evaluation | None = None,
    force: bool = False,
) -> Planned:
    """What `zero_shot` would do with the same parameters; nothing is fitted or written.

    Raises
    ------
    UsageError, DataError, LeakError : where `zero_shot` raises them before it fits.
    """
    evaluation = evaluation or Evaluation()
    setup = FusionSetup(tables, encoders=encoders, size=size, network_settings=network_settings or {})
    run, _ = _prepared(setup, out, held_out, settings or AlignmentSettings(), evaluation, force)
    earlier = None if force else _up_to_date(out, _identity(run, held_out, evaluation))
    splits = checked_plan(run.table, evaluation)
    warnings = (*run.table.left_out, *splits.warnings, *_unknown(run.classes))
    counts = dict(sorted(Counter(run.labels.tolist()).items()))
    return Planned(run.table, splits, warnings, counts, up_to_date=earlier is not None)


def fit_without(
    table: TrainingTable,
    rows: np.ndarray,
    held_out: str,
    plan: Plan,
    design: Design,
    settings: AlignmentSettings,
    note: Note = lambda text: None,
) -> Aligned:
    """Align a query to a space on training rows, without those of one class.

    Parameters
    ----------
    table : labelled rows, ``x`` as `Streams`.
    rows : indices of the fold's training rows.
    held_out : the class whose rows are left out.
    plan : the protocol's plan, whose groups and units inner splits keep together.
    """
    labels = table.keys["label"].to_numpy(dtype=str)
    kept = rows[labels[rows] != held_out]
    names = sorted(set(labels[kept]))
    affect = dict(zip(names, coordinates(names), strict=True))
    groups, units = plan.groups[kept], plan.units[kept]
    return align(table.x[kept], labels[kept], design, affect, settings, groups=groups, units=units, note=note)


def centroids_of(
    aligned: Aligned, table: TrainingTable, rows: np.ndarray, classes: Sequence[str]
) -> np.ndarray:
    """Centroids of classes in a frozen space, from rows of the other modalities: float32 (n_classes, dim).

    Each centroid depends on the rows of its own class only.
    """
    labels = table.keys["label"].to_numpy(dtype=str)
    centroids = []
    for name in classes:
        x = table.x[rows[labels[rows] == name]]
        points = aligned.embed_space(Streams(x.arrays[1:], x.present[:, 1:]))
        centroids.append(class_means(points, np.zeros(len(points), int), 1)[0])
    return np.stack(centroids)


@dataclass(frozen=True)
class _Run:
    """What is the same for every held-out class."""

    table: TrainingTable
    design: Design
    classes: tuple[str, ...]
    settings: AlignmentSettings

    @property
    def labels(self) -> np.ndarray:
        labels: np.ndarray = self.table.keys["label"].to_numpy(dtype=str)
        return labels


@dataclass(frozen=True)
class _Tested:
    """Test rows of all folds.

    Parameters
    ----------
    rows : indices in the table, shape (n_tested,).
    folds : numbers of their folds, shape (n_tested,).
    proba : for each held-out class the probabilities of the rows, shape (n_tested, n_classes).
    """

    rows: np.ndarray
    folds: np.ndarray
    proba: dict[str, np.ndarray]


def _predict(
    run: _Run, plan: Plan, held_out: Sequence[str], collected: FitWarnings, on_fold: Tick
) -> _Tested:
    """Predict every fold's test rows once for each held-out class."""
    proba = {name: np.full((len(run.table), len(run.classes)), np.nan) for name in held_out}
    folds = np.full(len(run.table), UNTESTED)
    pairs = [(split, name) for split in plan.folds for name in held_out]
    for number, (split, name) in enumerate(pairs):
        fit = f"fold {split.fold} without {name}"

        def note(text: str, number: int = number, fit: str = fit) -> None:
            on_fold(number, len(pairs), f"{fit} {text}")

        note("")
        with collected.of(fit):
            proba[name][split.test] = _predict_fold(run, plan, split, name, note)
        folds[split.test] = split.fold
    on_fold(len(pairs), len(pairs), "")
    rows = np.flatnonzero(folds != UNTESTED)
    return _Tested(rows, folds[rows], {name: values[rows] for name, values in proba.items()})


def _predict_fold(run: _Run, plan: Plan, split: Split, held_out: str, note: Note) -> np.ndarray:
    """Probabilities (n_test, n_classes) of a fold's test rows with a class held out of its training."""
    trained = set(run.labels[split.train])
    if held_out not in trained:
        raise DataError(
            f"fold {split.fold} has no training row of the class {held_out!r}, so it has no centroid in the "
            "space; use other --folds or another --protocol"
        )
    aligned = fit_without(run.table, split.train, held_out, plan, run.design, run.settings, note)
    classes = [name for name in run.classes if name in trained]
    centroids = centroids_of(aligned, run.table, split.train, classes)
    proba = aligned.predict_proba(run.table.x.arrays[0][split.test], centroids)
    check_finite(proba, f"fold {split.fold} without {held_out}")
    return in_order(proba, np.array(classes), list(run.classes))


def _prepared(
    setup: FusionSetup,
    out: str | os.PathLike[str],
    held_out: str,
    settings: AlignmentSettings,
    evaluation: Evaluation,
    force: bool,
) -> tuple[_Run, tuple[str, ...]]:
    """The run and the classes to hold out, after everything that can be checked before fitting."""
    _check(setup, evaluation)
    guard([Output(out, "predictions")], setup.tables, force=force)
    joined = setup.join()
    table = labelled(joined.table)
    run = _Run(table, setup.design(joined), _classes(table), settings)
    return run, _held_out(held_out, run.classes)


def _identity(run: _Run, held_out: str, evaluation: Evaluation) -> str:
    """A hash of everything that the result depends on."""
    return hash_json(
        {
            "table": run.table.content_hash,
            "design": run.design.to_meta(),
            "held_out": held_out,
            "settings": asdict(run.settings),
            "evaluation": asdict(evaluation),
            "versions": versions(*PACKAGES),
        }
    )


def _check(setup: FusionSetup, evaluation: Evaluation) -> None:
    if evaluation.normalize:
        raise UsageError("--normalize speaker is for the signals of one table: leave it out")
    if len(setup.tables) < 3 and setup.network_settings.get("contrastive"):
        raise UsageError("--contrastive needs two tables or more beside the first: leave it out")


def _classes(table: TrainingTable) -> tuple[str, ...]:
    found = set(table.keys["label"])
    classes = tuple(name for name in table.classes if name in found)
    if len(classes) < 3:
        raise DataError(
            f"zero-shot holds out one class of three or more; the tables have {' and '.join(classes)}"
        )
    return classes


def _held_out(asked: str, classes: Sequence[str]) -> tuple[str, ...]:
    if asked == ALL:
        return tuple(classes)
    if asked not in classes:
        raise UsageError(f"no class {asked!r} to hold out: choose from {', '.join(classes)}, or {ALL}")
    return (asked,)


def _unknown(classes: Sequence[str]) -> list[str]:
    """A warning of the classes whose valence and arousal are not known."""
    unknown = np.isnan(coordinates(classes)).any(axis=1)
    names = [name for name, is_unknown in zip(classes, unknown, strict=True) if is_unknown]
    return [f"{', '.join(names)}: trained without valence and arousal, which are not known"] if names else []


def _scores(run: _Run, tested: _Tested, held_out: str, group: str) -> dict[str, Any]:
    predicted = {run.classes.index(name): proba.argmax(axis=1) for name, proba in tested.proba.items()}
    truth = metrics.indices(run.labels[tested.rows], run.classes)
    query, *others = (stream.name for stream in run.design.streams)
    keys = run.table.keys.iloc[tested.rows].reset_index(drop=True)
    return {
        "held_out": held_out,
        "query": query,
        "space": others,
        **score(clusters_of(keys, group), truth, predicted, run.classes),
    }


def _prediction_table(run: _Run, tested: _Tested, meta: dict[str, Any]) -> PredictionTable:
    """Each row as predicted with its own class held out, or with the only class that was held out."""
    labels = run.labels[tested.rows]
    if len(tested.proba) == 1:
        (proba,) = tested.proba.values()
    else:
        proba = np.stack([tested.proba[label][row] for row, label in enumerate(labels)])
    keys = run.table.keys.iloc[tested.rows].reset_index(drop=True)
    return PredictionTable(keys.assign(fold=pd.array(tested.folds, "Int64")), proba, run.classes, meta)


def _title(scores: dict[str, Any]) -> str:
    what = f"zero-shot, {scores['query']} aligned to {' and '.join(scores['space'])}"
    if scores["held_out"] == ALL:
        return f"{what}, each row with its own class held out"
    return f"{what}, {scores['held_out']} held out"


def _up_to_date(out: str | os.PathLike[str], identity: str) -> ZeroShot | None:
    """The result in ``out``, if the same run made it."""
    if not Path(out).is_file():
        return None
    try:
        table = read_predictions(out)
    except DataError:
        return None
    if table.meta.get("model_hashes") != [identity]:
        return None
    return ZeroShot(table, table.meta["zero_shot"], tuple(table.meta["protocol"]["warnings"]), True)

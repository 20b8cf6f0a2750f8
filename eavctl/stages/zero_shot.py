"""Feature tables to predictions of classes that were held out of all training.

The first table is the query, such as EEG; the others, such as sound and video, make the space in which
classes are named: see `eavctl.fusion.networks.alignment`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
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
from eavctl.evaluation.zero_shot import lines, score
from eavctl.fusion.networks.alignment import Aligned, AlignmentSettings, Note, align, class_means
from eavctl.fusion.networks.model import Design
from eavctl.progress import Tick, silent
from eavctl.stages.train_fusion import FusionPlan
from eavctl.storage import tables
from eavctl.storage.ownership import Output, guard
from eavctl.storage.provenance import hash_json, versions
from eavctl.storage.tables import PredictionTable
from eavctl.training.clips import in_order
from eavctl.training.cross_validation import (
    PACKAGES,
    UNTESTED,
    Evaluation,
    Planned,
    check_finite,
    checked_plan,
    protocol_meta,
)
from eavctl.training.fit_warnings import FitWarnings
from eavctl.training.rows import TrainingTable, labelled

__all__ = ["ALL", "AlignmentSettings", "ZeroShot", "lines", "zero_shot"]

ALL = "all"
METHOD = "attention"


@dataclass(frozen=True)
class ZeroShot:
    """What zero-shot recognition came to.

    Parameters
    ----------
    predictions : out-of-fold rows; of several classes held out in turn, each row as it was judged when its
        own class was held out.
    scores : see `eavctl.evaluation.zero_shot.score`; with ``held_out``, ``query`` and ``space``.
    warnings : sentences.
    up_to_date : an earlier run of the same had left it.
    """

    predictions: PredictionTable
    scores: dict[str, Any]
    warnings: tuple[str, ...]
    up_to_date: bool = False


def zero_shot(
    planned: FusionPlan,
    out: str | os.PathLike[str],
    held_out: str,
    settings: AlignmentSettings,
    evaluation: Evaluation,
    *,
    force: bool = False,
    on_fold: Tick = silent,
) -> ZeroShot:
    """Hold a class out of all training, fold by fold, and see how often it is named all the same.

    Parameters
    ----------
    planned : tables, the query's first, and their encoders; of method ``attention``, from scratch.
    out : prediction table to write.
    held_out : a class, or ``all``: each in turn.
    settings, evaluation : of the trainings, and who is tested on whom.
    on_fold : called with the number of trainings done, of all, and what comes next.

    Raises
    ------
    UsageError : no such class; or what zero-shot cannot be asked for.
    DataError : fewer than three classes, a fold without training rows of a class held out, or tables that do
        not fit together.
    LeakError : as `eavctl.training.cross_validation.train`.
    """
    run, held = _prepared(planned, out, held_out, settings, evaluation, force)
    identity = _identity(run, held_out, evaluation)
    if not force and (done := _up_to_date(out, identity)):
        os.utime(out)
        return done
    splits = checked_plan(run.table, evaluation)
    collected = FitWarnings()
    judged = _judge(run, splits, held, collected, on_fold)
    notes = (*run.table.left_out, *splits.warnings, *_unknown(run.classes), *collected.sentences())
    found = _scored(run, judged, held_out, splits.group)
    meta = {
        "name": _title(found),
        "modalities": list(run.table.modalities),
        "model_hashes": [identity],
        "protocol": protocol_meta(splits, evaluation, notes),
        "out_of_fold": True,
        "versions": versions(*PACKAGES),
        "zero_shot": found,
    }
    predictions = _as_judged(run, judged, meta)
    tables.write_predictions(predictions, out)
    return ZeroShot(predictions, found, notes)


def plan(
    planned: FusionPlan,
    out: str | os.PathLike[str],
    held_out: str,
    settings: AlignmentSettings,
    evaluation: Evaluation,
    *,
    force: bool = False,
) -> Planned:
    """What `zero_shot` would do of the same parameters; nothing is fitted or written.

    Raises
    ------
    UsageError, DataError, LeakError : where `zero_shot` raises them before it fits.
    """
    run, _ = _prepared(planned, out, held_out, settings, evaluation, force)
    earlier = None if force else _up_to_date(out, _identity(run, held_out, evaluation))
    splits = checked_plan(run.table, evaluation)
    notes = (*run.table.left_out, *splits.warnings, *_unknown(run.classes))
    counts = dict(sorted(Counter(run.labels.tolist()).items()))
    return Planned(run.table, splits, notes, counts, up_to_date=earlier is not None)


def fit_without(
    table: TrainingTable,
    rows: np.ndarray,
    held_out: str,
    plan: Plan,
    design: Design,
    settings: AlignmentSettings,
    note: Note = lambda text: None,
) -> Aligned:
    """Align a query to a space on those of some rows that are of other classes than one.

    Parameters
    ----------
    table : labelled rows, ``x`` as `Streams`.
    rows : numbers of the fold's training rows.
    held_out : the class none of whose rows is trained on.
    plan : says what inner splits must keep together.
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
    """Where classes lie in a frozen space, by some rows of the other modalities: float32 (n_classes, dim).

    Classes are placed one by one, so that one is where it is whatever the others are.
    """
    labels = table.keys["label"].to_numpy(dtype=str)
    found = []
    for name in classes:
        x = table.x[rows[labels[rows] == name]]
        points = aligned.place(Streams(x.arrays[1:], x.present[:, 1:]))
        found.append(class_means(points, np.zeros(len(points), int), 1)[0])
    return np.stack(found)


@dataclass(frozen=True)
class _Run:
    """What stays the same whichever class is held out."""

    table: TrainingTable
    design: Design
    classes: tuple[str, ...]
    settings: AlignmentSettings

    @property
    def labels(self) -> np.ndarray:
        labels: np.ndarray = self.table.keys["label"].to_numpy(dtype=str)
        return labels


@dataclass(frozen=True)
class _Judged:
    """The rows that folds tested: their numbers, their folds, and for each class held out their chances."""

    rows: np.ndarray
    folds: np.ndarray
    proba: dict[str, np.ndarray]


def _judge(run: _Run, plan: Plan, held: Sequence[str], collected: FitWarnings, on_fold: Tick) -> _Judged:
    """Judge every fold's test rows once for each class held out."""
    proba = {name: np.full((len(run.table), len(run.classes)), np.nan) for name in held}
    folds = np.full(len(run.table), UNTESTED)
    pairs = [(split, name) for split in plan.folds for name in held]
    for number, (split, name) in enumerate(pairs):
        fit = f"fold {split.fold} without {name}"

        def note(text: str, number: int = number, at: str = fit) -> None:
            on_fold(number, len(pairs), f"{at} {text}")

        note("")
        with collected.of(fit):
            proba[name][split.test] = _fold(run, plan, split, name, note)
        folds[split.test] = split.fold
    on_fold(len(pairs), len(pairs), "")
    rows = np.flatnonzero(folds != UNTESTED)
    return _Judged(rows, folds[rows], {name: values[rows] for name, values in proba.items()})


def _fold(run: _Run, plan: Plan, split: Split, held_out: str, note: Note) -> np.ndarray:
    """Probabilities (n_test, n_classes) of a fold's test rows with a class held out of its training."""
    there = set(run.labels[split.train])
    if held_out not in there:
        raise DataError(
            f"fold {split.fold} has no training row of the class {held_out!r}: nothing tells where it lies "
            "in the space; use other --folds or another --protocol"
        )
    aligned = fit_without(run.table, split.train, held_out, plan, run.design, run.settings, note)
    classes = [name for name in run.classes if name in there]
    centroids = centroids_of(aligned, run.table, split.train, classes)
    proba = aligned.name(run.table.x.arrays[0][split.test], centroids)
    check_finite(proba, f"fold {split.fold} without {held_out}")
    return in_order(proba, np.array(classes), list(run.classes))


def _prepared(
    planned: FusionPlan,
    out: str | os.PathLike[str],
    held_out: str,
    settings: AlignmentSettings,
    evaluation: Evaluation,
    force: bool,
) -> tuple[_Run, tuple[str, ...]]:
    """The run, and which classes it holds out, once nothing is known to stand against it."""
    _check(planned, evaluation)
    guard([Output(out, "predictions")], planned.inputs.tables, force=force)
    joined = planned.join()
    table = labelled(joined.table)
    design = planned.fitter(joined, settings.training).design
    run = _Run(table, design, _classes(table), settings)
    return run, _held_out(held_out, run.classes)


def _identity(run: _Run, held_out: str, evaluation: Evaluation) -> str:
    """A hash of all that the result depends on."""
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


def _check(planned: FusionPlan, evaluation: Evaluation) -> None:
    if planned.method != METHOD:
        raise UsageError(f"--zero-shot makes its space by --method {METHOD}, not {planned.method}")
    if planned.inputs.init:
        raise UsageError("--zero-shot trains from scratch: models of --init have met the class held out")
    if planned.inputs.partial:
        raise UsageError("--zero-shot takes samples that all tables have: leave --partial out")
    if evaluation.normalize:
        raise UsageError("--normalize speaker is for the signals of one table: leave it out")
    if len(planned.inputs.tables) < 3 and planned.network_settings.get("contrastive"):
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
    """What to say of classes whose valence and arousal are not known."""
    unknown = np.isnan(coordinates(classes)).any(axis=1)
    names = [name for name, odd in zip(classes, unknown, strict=True) if odd]
    told = "their valence and arousal are not known, so they are learned without"
    return [f"{', '.join(names)}: {told}"] if names else []


def _scored(run: _Run, judged: _Judged, held_out: str, group: str) -> dict[str, Any]:
    predicted = {run.classes.index(name): proba.argmax(axis=1) for name, proba in judged.proba.items()}
    truth = metrics.indices(run.labels[judged.rows], run.classes)
    query, *others = (stream.name for stream in run.design.streams)
    keys = run.table.keys.iloc[judged.rows].reset_index(drop=True)
    return {
        "held_out": held_out,
        "query": query,
        "space": others,
        **score(clusters_of(keys, group), truth, predicted, run.classes),
    }


def _as_judged(run: _Run, judged: _Judged, meta: dict[str, Any]) -> PredictionTable:
    """Each row as it was judged with its own class held out, or with the only one that was."""
    labels = run.labels[judged.rows]
    if len(judged.proba) == 1:
        (proba,) = judged.proba.values()
    else:
        proba = np.stack([judged.proba[label][row] for row, label in enumerate(labels)])
    keys = run.table.keys.iloc[judged.rows].reset_index(drop=True)
    return PredictionTable(keys.assign(fold=pd.array(judged.folds, "Int64")), proba, run.classes, meta)


def _title(scores: dict[str, Any]) -> str:
    what = f"zero-shot, {scores['query']} named by {' and '.join(scores['space'])}"
    if scores["held_out"] == ALL:
        return f"{what}, each row with its own class held out"
    return f"{what}, {scores['held_out']} held out"


def _up_to_date(out: str | os.PathLike[str], identity: str) -> ZeroShot | None:
    """What an earlier run of the same left."""
    if not Path(out).is_file():
        return None
    try:
        table = tables.read_predictions(out)
    except DataError:
        return None
    if table.meta.get("model_hashes") != [identity]:
        return None
    return ZeroShot(table, table.meta["zero_shot"], tuple(table.meta["protocol"]["warnings"]), True)

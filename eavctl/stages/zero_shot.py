"""Feature tables to predictions of classes that were held out of all training.

The first table is the query, such as EEG; the others, such as audio and video, make the space in which
classes are recognized: see `eavctl.fusion.networks.alignment`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from eavctl.classifiers.rows import Rows
from eavctl.datasets.affect import coordinates
from eavctl.errors import DataError, UsageError
from eavctl.evaluation import met, metrics
from eavctl.evaluation.intervals import clusters_of, score_intervals
from eavctl.evaluation.plan import Plan
from eavctl.evaluation.zero_shot import failures, score
from eavctl.fusion.networks.alignment import AlignmentSettings
from eavctl.fusion.networks.model import Design
from eavctl.progress import Tick, silent
from eavctl.storage import files
from eavctl.storage import tables as storage
from eavctl.storage.ownership import Output, guard
from eavctl.storage.provenance import hash_json, versions
from eavctl.storage.tables import PredictionTable
from eavctl.training.cross_validation import Evaluation, plan_folds
from eavctl.training.fit_warnings import FitWarnings
from eavctl.training.fusion_setup import FusionSetup
from eavctl.training.rows import TrainingSet
from eavctl.training.told import assignments, command
from eavctl.training.told import training as told_of
from eavctl.training.train import PACKAGES, Planned, evaluation_meta, protocol_meta
from eavctl.training.zero_shot_recognition import Recognition, recognize

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
    on_fold: Tick = silent,
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
    LeakError : as `eavctl.training.train.train`.
    """
    evaluation = evaluation or Evaluation()
    setup = FusionSetup(tables, encoders=encoders, size=size, network_settings=network_settings or {})
    run, classes = _prepared(setup, out, held_out, settings or AlignmentSettings(), force)
    identity = _identity(run, held_out, evaluation)
    if not force and (done := _up_to_date(out, identity)):
        os.utime(out)
        return done
    splits = _splits(run, evaluation)
    notes, collected = _notes(run, splits, evaluation), FitWarnings()
    found = recognize(
        run.data.rows, splits, classes, run.design, run.settings, collected=collected, on_fold=on_fold
    )
    on_fold(len(classes) * len(splits.folds), len(classes) * len(splits.folds), "")
    scores = _scores(run, found, held_out, splits)
    warnings = (*notes, *collected.sentences(), *failures(scores))
    meta = {
        "name": _title(scores),
        "modalities": list(run.data.facts.modalities),
        "model_hashes": [identity],
        "protocol": protocol_meta(splits, None, warnings),
        "out_of_fold": True,
        "versions": versions(*PACKAGES),
        "zero_shot": scores,
        "training": told_of(
            "zero-shot",
            {**run.design.to_meta(), "training": asdict(run.settings.training)},
            run.data.rows,
            run.data.facts,
            command(
                "zero-shot",
                tables,
                evaluation,
                network=run.settings.training,
                held_out=held_out,
                encoder=list(encoders),
                size=size,
                set=assignments(network_settings or {}),
            ),
        ),
    }
    predictions = _prediction_table(run, found.predictions, meta)
    storage.write_predictions(predictions, out)
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
    run, _ = _prepared(setup, out, held_out, settings or AlignmentSettings(), force)
    earlier = None if force else _up_to_date(out, _identity(run, held_out, evaluation))
    splits = _splits(run, evaluation)
    rows, facts = run.data.rows, run.data.facts
    warnings = _notes(run, splits, evaluation)
    own = rows.inner.own
    counts = dict(sorted(Counter(rows.labels[own].tolist()).items()))
    return Planned(len(own), facts.streams, splits, warnings, counts, up_to_date=earlier is not None)


def _splits(run: _Run, evaluation: Evaluation) -> Plan:
    return plan_folds(run.data.rows, replace(evaluation, distinct_names=run.data.facts.distinct_names))


def _notes(run: _Run, splits: Plan, evaluation: Evaluation) -> tuple[str, ...]:
    """What restricts the scores.

    Raises
    ------
    LeakError : test rows that an encoder of their embeddings has met.
    """
    facts = run.data.facts
    met_tests = met.check(facts.encoders, run.data.rows.key_frame, splits, evaluation.shared)
    return (*facts.notes, *splits.warnings, *met_tests, *_unknown(run.classes))


@dataclass(frozen=True)
class _Run:
    """What is the same for every held-out class."""

    data: TrainingSet
    design: Design
    settings: AlignmentSettings

    @property
    def classes(self) -> tuple[str, ...]:
        return self.data.rows.classes


def _prepared(
    setup: FusionSetup,
    out: str | os.PathLike[str],
    held_out: str,
    settings: AlignmentSettings,
    force: bool,
) -> tuple[_Run, tuple[str, ...]]:
    """The run and the classes to hold out, after everything that can be checked before fitting."""
    _check(setup)
    guard([Output(out, "predictions")], setup.tables, force=force)
    joined = setup.join()
    if len(joined.data.rows.classes) < 3:
        names = " and ".join(joined.data.rows.classes)
        raise DataError(f"zero-shot holds out one class of three or more; the tables have {names}")
    run = _Run(joined.data, setup.design(joined), settings)
    return run, _held_out(held_out, run.classes)


def _identity(run: _Run, held_out: str, evaluation: Evaluation) -> str:
    """A hash of everything that the result depends on."""
    return hash_json(
        {
            "table": run.data.facts.content_hash,
            "design": run.design.to_meta(),
            "held_out": held_out,
            "settings": asdict(run.settings),
            "evaluation": evaluation_meta(evaluation, None),
            "versions": versions(*PACKAGES),
        }
    )


def _check(setup: FusionSetup) -> None:
    if len(setup.tables) < 3 and setup.network_settings.get("contrastive"):
        raise UsageError("--contrastive needs two tables or more beside the first: leave it out")


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


def _scores(run: _Run, found: Recognition, held_out: str, splits: Plan) -> dict[str, Any]:
    keys = next(iter(found.predictions.values())).keys
    clusters = clusters_of(keys, splits.group)
    truth = metrics.indices(keys["label"].to_numpy(dtype=str), run.classes)
    numbers = [run.classes.index(name) for name in found.predictions]
    corrected = [table.proba.argmax(axis=1) for table in found.predictions.values()]
    query, *others = (stream.name for stream in run.design.streams)
    scores = {
        "held_out": held_out,
        "query": query,
        "space": others,
        "n_folds": len(splits.folds),
        **score(clusters, truth, dict(zip(numbers, corrected, strict=True)), run.classes),
        "uncorrected": None,
        "constants": None,
        "told_apart": None,
    }
    if any(found.constants.values()):
        uncorrected = dict(zip(numbers, found.uncorrected.values(), strict=True))
        before = score(clusters, truth, uncorrected, run.classes)
        scores |= {"uncorrected": {name: before[name] for name in ("classes", "mean")}}
        scores |= {"constants": found.constants}
    if found.pair_rows:
        scores |= {"told_apart": _told_apart(run.data.rows, found, splits.group)}
    return scores


def _told_apart(rows: Rows, found: Recognition, group: str) -> dict[str, Any]:
    """UAR of the rows of two classes that were held out together, over all pairs, with its interval."""
    of_pairs, named = np.concatenate(found.pair_rows), np.concatenate(found.pair_answers)
    clusters = clusters_of(rows.key_frame.iloc[of_pairs].reset_index(drop=True), group)
    truth = metrics.indices(rows.labels[of_pairs], rows.classes)
    return score_intervals(clusters, truth, named, len(rows.classes))["uar"].to_json()


def _prediction_table(
    run: _Run, predictions: Mapping[str, PredictionTable], meta: dict[str, Any]
) -> PredictionTable:
    """Each row as predicted with its own class held out, or with the only class that was held out."""
    keys = next(iter(predictions.values())).keys
    if len(predictions) == 1:
        (proba,) = (table.proba for table in predictions.values())
    else:
        proba = np.stack([predictions[label].proba[row] for row, label in enumerate(keys["label"])])
    return PredictionTable(keys, proba, run.classes, meta)


def _title(scores: dict[str, Any]) -> str:
    what = f"zero-shot, {scores['query']} aligned to {' and '.join(scores['space'])}"
    if scores["held_out"] == ALL:
        return f"{what}, each row with its own class held out"
    return f"{what}, {scores['held_out']} held out"


def _up_to_date(out: str | os.PathLike[str], identity: str) -> ZeroShot | None:
    """The result in ``out``, if the same run made it."""
    if not files.is_file(out):
        return None
    try:
        table = storage.read_predictions(out)
    except DataError:
        return None
    if table.meta.get("model_hashes") != [identity]:
        return None
    return ZeroShot(table, table.meta["zero_shot"], tuple(table.meta["protocol"]["warnings"]), True)

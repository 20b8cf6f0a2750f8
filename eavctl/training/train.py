"""Training to files: cross-validation, a fit on all rows, and a model file that says how it was made.

An interrupted training resumes from its checkpoints; one whose outputs are up to date is not run again.
"""

from __future__ import annotations

import functools
import operator
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from eavctl.classifiers import novelty
from eavctl.classifiers.novelty import Novelty
from eavctl.errors import DataError, UsageError
from eavctl.evaluation import met
from eavctl.evaluation.findings.codes import short_forms
from eavctl.evaluation.findings.people import people_findings
from eavctl.evaluation.groups import identify
from eavctl.evaluation.met import Pretrained
from eavctl.evaluation.names import counts_of
from eavctl.evaluation.plan import Plan
from eavctl.evaluation.schemes import LODO
from eavctl.evaluation.summary import summarize
from eavctl.evaluation.trained_on import TrainedOn
from eavctl.features import normalize
from eavctl.memory import return_freed_memory
from eavctl.progress import Tick, silent
from eavctl.storage import artifacts, files, ownership, tables
from eavctl.storage.ownership import Output
from eavctl.storage.paths import Paths, listed
from eavctl.storage.provenance import hash_json, versions
from eavctl.storage.tables import PredictionTable
from eavctl.training.clips import reliability_of
from eavctl.training.cross_validation import (
    Chosen,
    CrossValidation,
    Evaluation,
    Fitter,
    FoldCallback,
    FoldResult,
    cross_validate,
    fit_all,
    plan_folds,
)
from eavctl.training.fit_warnings import FitWarnings
from eavctl.training.left_out import LeftOutDatasets
from eavctl.training.rows import TableFacts, TrainingSet, read_training_set
from eavctl.training.told import training as told_of

PACKAGES = ("numpy", "scikit-learn", "torch")


class TableFitter(Fitter, Protocol):
    """A fitter whose model can be written to a file."""

    @property
    def kind(self) -> str:
        """The kind of model, as `eavctl.storage.artifacts.PREDICTORS` has it."""
        ...

    @property
    def name(self) -> str:
        """Name of the method, for titles."""
        ...

    @property
    def encoders(self) -> Sequence[Pretrained]:
        """The pretrained encoders that fits start from."""
        ...

    def describe(self) -> dict[str, Any]:
        """JSON-able settings: with the table and the evaluation they determine the result."""
        ...

    def check_table(self, facts: TableFacts) -> None:
        """Raise a DataError or UsageError if features of this kind cannot be fitted on."""
        ...

    def with_checkpoints(self, path: Path) -> Self:
        """The same fitter; a long fit keeps its state in a file of this name and the fit's, and resumes."""
        ...


class FoldObserver(Protocol):
    """A fold callback whose findings go into the model's meta and that of its predictions."""

    def __call__(self, fold: FoldResult) -> None:
        """Record what is wanted of a fold."""
        ...

    def meta(self, predictions: PredictionTable) -> dict[str, Any]:
        """The findings, JSON-able, beside the out-of-fold predictions with their metadata."""
        ...


@dataclass(frozen=True)
class Targets:
    """The files to write.

    Parameters
    ----------
    model : the model, fitted on all rows; None spares that fit.
    predictions : the out-of-fold probabilities.
    keep_folds : the model file also holds the predictor of each fold, for a fusion to start from.
    """

    model: str | os.PathLike[str] | None
    predictions: str | os.PathLike[str] | None = None
    keep_folds: bool = False

    @property
    def outputs(self) -> list[Output]:
        """All of them, with their kinds."""
        named = (Output(self.model or "", "model"), Output(self.predictions or "", "predictions"))
        return [output for output in named if output.path]

    @property
    def files(self) -> list[str | os.PathLike[str]]:
        """The paths of all of them."""
        return [output.path for output in self.outputs]

    @property
    def place(self) -> str | os.PathLike[str]:
        """The file beside which checkpoints are kept: the first that is not a stream, if any."""
        return next((path for path in self.files if not files.is_stream(path)), self.files[0])


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Parameters
    ----------
    meta : of the model.
    warnings : on the data, the protocol and the fits.
    predictions : out of fold; None where an earlier run's model is up to date and no predictions were asked
        for.
    """

    meta: Mapping[str, Any]
    warnings: tuple[str, ...]
    predictions: PredictionTable | None
    up_to_date: bool = False


@dataclass(frozen=True)
class Planned:
    """What a training would do.

    Parameters
    ----------
    n_rows : labelled rows.
    streams : names of the streams, where several tables are joined.
    plan : the splits.
    warnings : on the data and the protocol.
    class_counts : rows of each class.
    up_to_date : an earlier run has left all outputs.
    """

    n_rows: int
    streams: tuple[str, ...]
    plan: Plan
    warnings: tuple[str, ...]
    class_counts: Mapping[str, int]
    up_to_date: bool = False


def guard(
    targets: Targets, fitter: TableFitter, inputs: Sequence[str | os.PathLike[str]], *, force: bool
) -> None:
    """Check that the outputs can be written, before hours of training.

    Parameters
    ----------
    inputs : files that are read.

    Raises
    ------
    UsageError : an output that must not be overwritten, or whose name does not fit the kind of model.
    """
    ownership.guard(targets.outputs, inputs, force=force)
    if targets.model:
        artifacts.check_name(targets.model, fitter.kind)
    if targets.keep_folds and fitter.kind not in artifacts.TORCH_KINDS:
        raise UsageError(f"a model of kind {fitter.kind!r} cannot keep its folds; only networks can")


def guarded_rows(
    tables: Paths, targets: Targets, fitter: TableFitter, *, force: bool, **choices: Any
) -> TrainingSet:
    """Check that the outputs can be written, then read the rows of feature tables.

    Parameters
    ----------
    tables, choices : see `eavctl.training.rows.read_training_set`.

    Raises
    ------
    DataError, UsageError : as `guard` and `eavctl.training.rows.read_training_set`.
    """
    paths = listed(tables)
    guard(targets, fitter, [*paths, *(each.name for each in fitter.encoders)], force=force)
    return read_training_set(paths, **choices)


def train(
    data: TrainingSet,
    targets: Targets,
    fitter: TableFitter,
    evaluation: Evaluation,
    *,
    command: Mapping[str, Any] | None = None,
    observers: Sequence[FoldObserver] = (),
    force: bool = False,
    on_fold: Tick = silent,
) -> Trained:
    """Cross-validate a classifier, fit it on all rows, and write the model.

    Parameters
    ----------
    command : what repeats the training, for the predictions' metadata (`eavctl.training.told.command`).
    observers : what they find goes into the metadata.
    on_fold : called with the number of fits done, of all, and what comes next.

    Raises
    ------
    LeakError : a subject, clip or trial is on both sides of a split whose protocol does not allow it by name.
    DataError : the rows do not fit the protocol or the fitter.
    BusyError : another process is writing the outputs.
    """
    training_hash = identity(data.facts, fitter, evaluation)
    if not force and (earlier := _up_to_date(targets, training_hash)):
        for target in targets.files:
            files.touch(target)
        return earlier
    prepared = _prepared(data, fitter, evaluation)
    told = told_of(fitter.kind, fitter.describe(), data.rows, data.facts, command)
    collected = FitWarnings()
    with files.keeping_parts(targets.place) as parts:
        if parts:
            fitter = fitter.with_checkpoints(parts / training_hash)
        found = _fit(data, fitter, prepared.plan, targets, observers, collected, on_fold)
        data = found.data
        warnings = (*prepared.warnings, *collected.sentences())
        meta = {
            "kind": fitter.kind,
            **data.facts.features,
            "classes": list(data.rows.answered),
            "class_counts": prepared.class_counts,
            "seed": evaluation.seed,
            "fitter": fitter.describe(),
            **data.facts.choices,
            "protocol": protocol_meta(prepared.plan, data.facts.normalize, warnings),
            "trained_on": {
                "table": data.facts.content_hash,
                **TrainedOn.of_keys(data.rows.key_frame).to_meta(),
            },
            **_pretrained_meta(_encoders(data.facts, fitter)),
            "training_hash": training_hash,
            "versions": versions(*PACKAGES),
        }
        about = {**_prediction_meta(meta, fitter, data.facts), "training": told}
        predictions = replace(found.validated.predictions, meta=about)
        findings = {key: value for each in observers for key, value in each.meta(predictions).items()}
        predictions = replace(predictions, meta={**predictions.meta, **findings})
        return_freed_memory()
        meta |= {"out_of_fold": _scores(found.validated, predictions), **findings}
        if adapted := found.left_out.adapted(predictions.meta):
            meta["out_of_fold_adapted"] = adapted
        if targets.model:
            distance = _novelty(data, prepared.plan) if fitter.kind not in artifacts.TORCH_KINDS else None
            artifacts.save(targets.model, found.final, meta, found.folds, distance)
        if targets.predictions:
            tables.write_predictions(predictions, targets.predictions)
    return Trained(meta, warnings, predictions)


def validated(data: TrainingSet, fitter: TableFitter, plan: Plan, on_fold: Tick = silent) -> CrossValidation:
    """The cross-validation of `train` on the splits of `plan`; no model is fitted to all rows.

    Raises
    ------
    DataError : as `train`.
    """
    return _fit(data, fitter, plan, Targets(None), (), FitWarnings(), on_fold).validated


def plan(
    data: TrainingSet, targets: Targets, fitter: TableFitter, evaluation: Evaluation, *, force: bool = False
) -> Planned:
    """What `train` would do of the same parameters; nothing is fitted or written.

    Raises
    ------
    LeakError, DataError, UsageError : where `train` raises them before it fits.
    """
    earlier = None if force else _up_to_date(targets, identity(data.facts, fitter, evaluation))
    return replace(_prepared(data, fitter, evaluation), up_to_date=earlier is not None)


def evaluation_meta(evaluation: Evaluation, normalize: str | None) -> dict[str, Any]:
    """What of an evaluation goes into a training's identity; the table determines the rest."""
    split = {key: value for key, value in asdict(evaluation).items() if key != "distinct_names"}
    shared = split.pop("shared")
    return {**split, "normalize": normalize, **({"shared": sorted(shared)} if shared else {})}


def protocol_meta(plan: Plan, normalize: str | None, warnings: Sequence[str]) -> dict[str, Any]:
    """The protocol as models and predictions keep it."""
    return {
        "name": plan.name,
        "group": plan.group,
        "folds": len(plan.folds),
        "shares": plan.shares,
        "normalize": normalize,
        "warnings": list(warnings),
    }


def _prepared(data: TrainingSet, fitter: TableFitter, evaluation: Evaluation) -> Planned:
    """The splits and what is known of the rows, once everything has been checked."""
    rows, facts = data.rows, data.facts
    fitter.check_table(facts)
    plan = plan_folds(rows, replace(evaluation, distinct_names=facts.distinct_names))
    fitter.check(rows, plan)
    encoders = _encoders(facts, fitter)
    met_tests = met.check(encoders, rows.key_frame, plan, evaluation.shared)
    own = rows.inner.own
    people = Counter(zip(rows.labels[own], identify(rows.key_frame, "subject")[own], strict=True))
    findings = people_findings(people, distinct_names=facts.distinct_names)
    told = " ".join((*facts.notes, *plan.warnings))  # with codes of their own
    warnings = (
        *facts.notes,
        *short_forms(each for each in findings if each.code not in told),
        *plan.warnings,
        *met_tests,
        *([normalize.WARNINGS[facts.normalize]] if facts.normalize else []),
    )
    return Planned(len(own), facts.streams, plan, warnings, counts_of(people))


def _encoders(facts: TableFacts, fitter: TableFitter) -> tuple[Pretrained, ...]:
    """The pretrained encoders that the rows, or the weights, have been through."""
    return (*facts.encoders, *fitter.encoders)


def _pretrained_meta(encoders: Sequence[Pretrained]) -> dict[str, Any]:
    """What pretrained encoders have met, as models keep it beside what they were trained on."""
    if not encoders:
        return {}
    every = functools.reduce(operator.or_, (each.trained_on for each in encoders))
    return {"pretrained_on": every.to_meta()}


@dataclass(frozen=True)
class _Fitted:
    validated: CrossValidation
    final: Any
    folds: list[artifacts.FoldModel]
    left_out: LeftOutDatasets
    data: TrainingSet  # as the final model takes it


def _fit(
    data: TrainingSet,
    fitter: TableFitter,
    plan: Plan,
    targets: Targets,
    observers: Sequence[FoldObserver],
    collected: FitWarnings,
    on_fold: Tick,
) -> _Fitted:
    """Fit every fold, then, if a model is wanted, all rows."""
    n_folds = len(plan.folds)
    n_fits = n_folds + bool(targets.model)
    kept: list[artifacts.FoldModel] = []

    def keep(fold: FoldResult) -> None:
        trained_on = TrainedOn.of_keys(fold.train.key_frame).to_meta()
        kept.append(artifacts.FoldModel(fold.split.fold, trained_on, fold.predictor))

    callbacks: list[FoldCallback] = []
    left_out = LeftOutDatasets(data.rows.answered, adapts=not data.facts.normalize)
    if plan.name == LODO:
        callbacks.append(left_out)
    callbacks += observers
    if targets.keep_folds:
        callbacks.append(keep)
    validated = cross_validate(
        data.rows,
        fitter,
        plan,
        callbacks=callbacks,
        warnings=collected,
        on_fold=lambda done, _, note: on_fold(done, n_fits, note),
    )
    final = None
    if targets.model:
        final = fit_all(
            data.rows,
            fitter,
            plan,
            warnings=collected,
            note=lambda text: on_fold(n_folds, n_fits, f"all rows {text}"),
        )
    on_fold(n_fits, n_fits, "")
    if isinstance(final, Chosen):
        data = TrainingSet(final.rows(data.rows), final.facts(data.facts))
        final = final.predictor
    return _Fitted(left_out.rescaled(validated), final, kept, left_out, data)


def _novelty(data: TrainingSet, plan: Plan) -> Novelty | None:
    """The distance from the training rows, its threshold measured on the held-out rows of the folds.

    Altered copies have no part in it: what resembles them alone is unlike the recordings.
    """
    rows = data.rows.taking(data.rows.inner.own)
    datasets = rows.key_frame["dataset"].fillna("").to_numpy(str)
    place = np.full(len(data.rows), -1)
    place[data.rows.inner.own] = np.arange(len(rows))
    folds = [(place[split.train], place[split.test]) for split in plan.folds]
    own = [(train[train >= 0], test) for train, test in folds]
    return novelty.fit(rows.table, datasets, own, f"{plan.group.removesuffix('_id')}s")


def _scores(found: CrossValidation, predictions: PredictionTable) -> dict[str, Any]:
    """Out-of-fold scores, and how often answers of a confidence were right."""
    clips = replace(found.clips, meta=predictions.meta)
    return {**summarize(predictions), "reliability": reliability_of(predictions, clips)}


def identity(facts: TableFacts, fitter: TableFitter, evaluation: Evaluation) -> str:
    """A hash of all that the result of a training depends on."""
    return hash_json(
        {
            "table": facts.content_hash,
            "speech": [each.get("speech") for each in facts.features.get("streams", [facts.features])],
            "kind": fitter.kind,
            "fitter": fitter.describe(),
            "evaluation": evaluation_meta(evaluation, facts.normalize),
            "versions": versions(*PACKAGES),
        }
    )


def _prediction_meta(meta: Mapping[str, Any], fitter: TableFitter, facts: TableFacts) -> dict[str, Any]:
    name = f"{fitter.name} on {facts.name}"
    return {
        "name": name + (f" ({facts.normalize}-normalised)" if facts.normalize else ""),
        "modalities": list(facts.modalities),
        "model_hashes": [meta["training_hash"]],
        "class_counts": meta["class_counts"],
        "protocol": meta["protocol"],
        "out_of_fold": True,
        "versions": meta["versions"],
    }


def _up_to_date(targets: Targets, training_hash: str) -> Trained | None:
    """The result of an earlier run of the same training, if all outputs are there."""
    if not all(files.is_file(target) for target in targets.files):
        return None
    try:
        table = tables.read_predictions(targets.predictions) if targets.predictions else None
        model = artifacts.read_meta(targets.model) if targets.model else None
    except DataError:
        return None
    hashes = [*([model.training_hash] if model else []), *(table.meta["model_hashes"] if table else [])]
    lacks_folds = targets.keep_folds and model is not None and not model.kept_folds
    if any(each != training_hash for each in hashes) or lacks_folds:
        return None
    if model:
        meta = model.json
    else:
        assert table is not None  # one of the two is a target
        meta = {**table.meta, "classes": list(table.classes), "out_of_fold": summarize(table)}
    return Trained(meta, tuple(meta["protocol"]["warnings"]), table, up_to_date=True)

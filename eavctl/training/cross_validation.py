"""A feature table to a model: fitted in folds for honest scores, then once on everything.

Whatever is learned from rows (scaling, choice of settings, calibration) is learned inside the fitter,
which sees training rows alone; the fold's test rows are judged once.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from eavctl.classifiers.streams import held
from eavctl.errors import DataError, UsageError
from eavctl.evaluation import leakage
from eavctl.evaluation.groups import identify
from eavctl.evaluation.names import counts_of, suspicions
from eavctl.evaluation.protocols import Plan, Split, splits
from eavctl.evaluation.reliability import reliability
from eavctl.evaluation.summary import summarize
from eavctl.evaluation.trained_on import TrainedOn
from eavctl.features.normalize import SPEAKER_WARNING
from eavctl.progress import Tick, silent
from eavctl.storage import artifacts, files, ownership, tables
from eavctl.storage.ownership import Output
from eavctl.storage.provenance import hash_json, versions
from eavctl.storage.tables import PredictionTable
from eavctl.training.clips import clips_of, in_order, together
from eavctl.training.fit_warnings import FitWarnings
from eavctl.training.rows import TrainingTable, labelled, normalized, of_features


@dataclass(frozen=True)
class Evaluation:
    """Who is tested on whom, and what is done to the features before.

    Parameters
    ----------
    protocol, folds, group : as `eavctl.evaluation.protocols.splits` takes them.
    normalize : ``"speaker"`` standardises the features of each speaker by that speaker's own clips.
    seed : of the splits and of the fitting.
    """

    protocol: str = "auto"
    folds: int = 5
    group: str | None = None
    normalize: str | None = None
    seed: int = 42

    def __post_init__(self) -> None:
        if self.normalize not in (None, "speaker"):
            raise UsageError(f"--normalize takes 'speaker', not {self.normalize!r}")


@dataclass(frozen=True)
class Task:
    """What one fit is given.

    Parameters
    ----------
    name : ``fold 1``, say, or ``all rows``.
    x : training rows, as in `TrainingTable`.
    labels : shape (n_rows,).
    groups, units : shape (n_rows,); inner splits keep groups whole, or else at least units, such as clips.
    keys : of the training rows.
    tested : keys of the rows that the fit will be judged on; none for the fit on all rows.
    shares : the protocol allows, by its name, a subject on both sides.
    """

    name: str
    x: Any
    labels: np.ndarray
    groups: np.ndarray
    units: np.ndarray
    keys: pd.DataFrame
    tested: pd.DataFrame
    shares: bool

    @property
    def slug(self) -> str:
        """The name as a part of a file's."""
        return self.name.replace(" ", "-")


class Fitter(Protocol):
    """What turns training rows into a predictor; ``name`` is for titles."""

    @property
    def kind(self) -> str:
        """The kind of model, as `eavctl.storage.artifacts.PREDICTORS` knows it."""
        ...

    @property
    def name(self) -> str:
        """What people call the method."""
        ...

    def describe(self) -> dict[str, Any]:
        """JSON-able settings: with the table and the evaluation they fix the result."""
        ...

    def check(self, table: TrainingTable, planned: Plan) -> None:
        """Raise a DataError or UsageError if it cannot be fitted on such a table, split so."""
        ...

    def fit(self, task: Task, kept: Path | None, note: Callable[[str], None]) -> Any:
        """Fit on the rows of a task.

        A long fit keeps its state in the file ``kept``, if there can be one, goes on from it after a kill,
        and tells how far it is by ``note``.
        """
        ...


class Witness:
    """Looks on while folds are judged, and tells what it saw; this one has nothing to tell."""

    def judged(self, split: Split, predictor: Any, task: Task, x: Any) -> None:
        """Look at a fold's predictor, what it was fitted on, and the test rows that it has judged."""

    def account(self, predictions: PredictionTable) -> dict[str, Any]:
        """What the model's meta and that of its out-of-fold predictions say, JSON-able."""
        return {}


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
        """The file beside which parts are kept: the first that is no stream, if any is."""
        return next((path for path in self.files if not files.is_stream(path)), self.files[0])


@dataclass(frozen=True)
class Trained:
    """What a training came to: the model's own account of itself, and the out-of-fold predictions.

    ``predictions`` is None where an earlier run's model is up to date and its predictions were not asked for.
    """

    meta: Mapping[str, Any]
    warnings: tuple[str, ...]
    predictions: PredictionTable | None
    up_to_date: bool = False


def train(
    table: str | os.PathLike[str],
    targets: Targets,
    fitter: Fitter,
    evaluation: Evaluation,
    *,
    force: bool = False,
    on_fold: Tick = silent,
) -> Trained:
    """Fit and judge a classifier by folds, fit it once more on all rows, and write the model.

    Parameters
    ----------
    table : a feature table; rows without a label are left out, and counted in the warnings.
    on_fold : called with the number of fits done, of all, and what comes next.

    Raises
    ------
    LeakError : something stands on both sides of a split whose protocol does not say so by name.
    DataError : the table does not fit the protocol or the fitter.
    """
    guard(targets, fitter, [table], force=force)
    rows = of_features(tables.read_features(table))
    return train_rows(rows, targets, fitter, evaluation, force=force, on_fold=on_fold)


def guard(targets: Targets, fitter: Fitter, inputs: Sequence[str | os.PathLike[str]], *, force: bool) -> None:
    """Refuse now what could not be written when hours of training are to be kept.

    Parameters
    ----------
    inputs : files that are read.
    """
    ownership.guard(targets.outputs, inputs, force=force)
    if targets.model:
        artifacts.check_name(targets.model, fitter.kind)
    if targets.keep_folds and fitter.kind not in artifacts.TORCH_KINDS:
        raise UsageError(f"a model of kind {fitter.kind!r} cannot keep its folds; only networks can")


def train_rows(
    table: TrainingTable,
    targets: Targets,
    fitter: Fitter,
    evaluation: Evaluation,
    *,
    witness: Witness | None = None,
    force: bool = False,
    on_fold: Tick = silent,
) -> Trained:
    """`train` for rows that are in memory."""
    witness = witness or Witness()
    training_hash = _identity(table, fitter, evaluation)
    if not force and (done := _up_to_date(targets, training_hash)):
        for target in targets.files:
            os.utime(target)
        return done
    ready = _prepared(table, fitter, evaluation)
    table, planned, warnings = ready.table, ready.plan, ready.warnings
    collected = FitWarnings()
    with files.keeping_parts(targets.place) as parts:
        place = parts / training_hash if parts else None
        fitted = _fit(table, fitter, planned, place, targets, witness, collected, on_fold)
        warnings = (*warnings, *collected.sentences())
        meta = {
            "kind": fitter.kind,
            **table.facts,
            "classes": list(fitted.rows.classes),
            "class_counts": ready.class_counts,
            "seed": evaluation.seed,
            "fitter": fitter.describe(),
            "protocol": protocol_meta(planned, evaluation, warnings),
            "trained_on": {"table": table.content_hash, **TrainedOn.of_keys(table.keys).to_meta()},
            "training_hash": training_hash,
            "versions": versions(*PACKAGES),
        }
        judged = replace(fitted.rows, meta=_prediction_meta(meta, fitter, table))
        told = witness.account(judged)
        oof = replace(judged, meta={**judged.meta, **told})
        sure = {"rows": reliability(oof)}
        if len(fitted.clips) < len(oof):  # rows are segments, of which predict takes the mean
            sure["clips"] = reliability(replace(fitted.clips, meta=judged.meta))
        meta |= {"out_of_fold": {**summarize(oof), "reliability": sure}, **told}
        if targets.model:
            artifacts.save(targets.model, fitted.final, meta, fitted.folds)
        if targets.predictions:
            tables.write_predictions(oof, targets.predictions)
    return Trained(meta, warnings, oof)


@dataclass(frozen=True)
class Planned:
    """What a training would do.

    Parameters
    ----------
    table : the labelled rows, as the folds would be fitted on them.
    plan : the splits.
    warnings : what every output would say of them.
    class_counts : rows of each class.
    up_to_date : an earlier run has left all of it.
    """

    table: TrainingTable
    plan: Plan
    warnings: tuple[str, ...]
    class_counts: Mapping[str, int]
    up_to_date: bool = False


def plan(
    table: str | os.PathLike[str],
    targets: Targets,
    fitter: Fitter,
    evaluation: Evaluation,
    *,
    force: bool = False,
) -> Planned:
    """What `train` would do of the same parameters; nothing is fitted or written.

    Raises
    ------
    LeakError, DataError, UsageError : where `train` raises them before it fits.
    """
    guard(targets, fitter, [table], force=force)
    return plan_rows(of_features(tables.read_features(table)), targets, fitter, evaluation, force=force)


def plan_rows(
    table: TrainingTable, targets: Targets, fitter: Fitter, evaluation: Evaluation, *, force: bool = False
) -> Planned:
    """`plan` for rows that are in memory."""
    earlier = None if force else _up_to_date(targets, _identity(table, fitter, evaluation))
    return replace(_prepared(table, fitter, evaluation), up_to_date=earlier is not None)


def _prepared(table: TrainingTable, fitter: Fitter, evaluation: Evaluation) -> Planned:
    """The rows ready to be fitted, once nothing is known to stand against it."""
    table = labelled(table)
    planned = checked_plan(table, evaluation)
    fitter.check(table, planned)
    people = Counter(zip(table.keys["label"], identify(table.keys, "subject"), strict=True))
    warnings = (
        *table.left_out,
        *suspicions(people),
        *planned.warnings,
        *([SPEAKER_WARNING] if evaluation.normalize else []),
    )
    table = normalized(table) if evaluation.normalize else table
    return Planned(table, planned, warnings, counts_of(people))


def checked_plan(table: TrainingTable, evaluation: Evaluation) -> Plan:
    """The splits of labelled rows, once it is known that nothing leaks through them.

    Raises
    ------
    LeakError : something stands on both sides of a split whose protocol does not say so by name.
    """
    planned = _planned(table.keys, evaluation, table.distinct_names)
    for split in planned.folds:
        leakage.check(table.keys, split.train, split.test, allow=planned.allow, group=planned.group)
        for array, there in held(table.x):
            train, test = (rows[np.isin(rows, there)] for rows in (split.train, split.test))
            leakage.content_check(array, table.keys, train, test)
    return planned


def protocol_meta(planned: Plan, evaluation: Evaluation, warnings: Sequence[str]) -> dict[str, Any]:
    """What models and predictions say of who was tested on whom."""
    return {
        "name": planned.name,
        "group": planned.group,
        "folds": len(planned.folds),
        "shares": planned.shares,
        "normalize": evaluation.normalize,
        "warnings": list(warnings),
    }


def _planned(keys: pd.DataFrame, evaluation: Evaluation, distinct_names: bool) -> Plan:
    return splits(
        keys,
        evaluation.protocol,
        folds=evaluation.folds,
        group=evaluation.group,
        seed=evaluation.seed,
        distinct_names=distinct_names,
    )


def _fit(
    table: TrainingTable,
    fitter: Fitter,
    planned: Plan,
    place: Path | None,
    targets: Targets,
    witness: Witness,
    collected: FitWarnings,
    on_fold: Tick,
) -> _Fitted:
    """Fit and judge every fold, then, if a model is wanted, fit all rows."""
    keys, labels = table.keys, table.keys["label"].to_numpy(dtype=str)
    classes = [name for name in table.classes if name in set(labels)]
    proba = np.full((len(table), len(classes)), np.nan)
    pred, fold = np.full(len(table), None, dtype=object), np.full(len(table), UNTESTED)
    clips: list[PredictionTable] = []
    kept: list[artifacts.Model] = []
    n_fits = len(planned.folds) + bool(targets.model)

    def fitted(number: int, name: str, rows: np.ndarray, test: np.ndarray) -> tuple[Any, Task]:
        def note(text: str) -> None:
            on_fold(number, n_fits, f"{name} {text}")

        note("")
        x = table.x if len(rows) == len(table) else table.x[rows]  # all rows, of pictures, are not held twice
        task = Task(
            name,
            x,
            labels[rows],
            planned.groups[rows],
            planned.units[rows],
            keys.iloc[rows],
            keys.iloc[test],
            planned.shares,
        )
        try:
            with collected.of(name):
                own = place.with_name(f"{place.name}-{task.slug}") if place else None
                return fitter.fit(task, own, note), task
        except DataError as error:
            raise type(error)(f"{name}: {error}") from error

    for number, split in enumerate(planned.folds):
        predictor, task = fitted(number, f"fold {split.fold}", split.train, split.test)
        x = table.x[split.test]
        found = predictor.predict_proba(x)
        check_finite(found, f"fold {split.fold}")
        proba[split.test] = in_order(found, predictor.classes_, classes)
        pred[split.test] = predictor.classes_[predictor.decide(found)]
        fold[split.test] = split.fold
        clips.append(clips_of(keys.iloc[split.test], found, predictor))
        witness.judged(split, predictor, task, x)
        if targets.keep_folds:
            kept.append(
                artifacts.Model(
                    {"fold": split.fold, **TrainedOn.of_keys(keys.iloc[split.train]).to_meta()}, predictor
                )
            )
    everything = np.arange(len(table))
    final, _ = fitted(n_fits - 1, "all rows", everything, everything[:0]) if targets.model else (None, None)
    on_fold(n_fits, n_fits, "")
    judged = np.flatnonzero(fold != UNTESTED)
    tested = keys.iloc[judged].reset_index(drop=True).assign(fold=pd.array(fold[judged], "Int64"))
    oof = PredictionTable(tested, proba[judged], tuple(classes), pred=pred[judged])
    return _Fitted(oof, together(clips, classes), final, kept)


@dataclass(frozen=True)
class _Fitted:
    """What the folds came to: rows out of fold, clips as the mean of theirs, and the fitted predictors."""

    rows: PredictionTable
    clips: PredictionTable
    final: Any
    folds: list[artifacts.Model]


def check_finite(proba: np.ndarray, where: str) -> None:
    """Refuse probabilities (n_rows, n_classes) that are no numbers: no row may leave a score unseen.

    Raises
    ------
    DataError : says ``where``, such as the fold, and how many rows it is.
    """
    bad = int((~np.isfinite(proba).all(axis=1)).sum())
    if bad:
        raise DataError(
            f"{where}: the probabilities of {bad} of {len(proba)} rows are not finite.\n"
            "Train with a lower --lr; where that does not help, look for features of enormous values."
        )


PACKAGES = ("numpy", "scikit-learn", "torch")
UNTESTED = -1  # the fold of a row that no fold tests


def _identity(table: TrainingTable, fitter: Fitter, evaluation: Evaluation) -> str:
    """A hash of all that a training's result depends on."""
    return hash_json(
        {
            "table": table.content_hash,
            "kind": fitter.kind,
            "fitter": fitter.describe(),
            "evaluation": asdict(evaluation),
            "versions": versions(*PACKAGES),
        }
    )


def _prediction_meta(meta: Mapping[str, Any], fitter: Fitter, table: TrainingTable) -> dict[str, Any]:
    name = f"{fitter.name} on {table.name}"
    return {
        "name": name + (" (speaker-normalised)" if meta["protocol"]["normalize"] else ""),
        "modalities": list(table.modalities),
        "model_hashes": [meta["training_hash"]],
        "class_counts": meta["class_counts"],
        "protocol": meta["protocol"],
        "out_of_fold": True,
        "versions": meta["versions"],
    }


def _up_to_date(targets: Targets, training_hash: str) -> Trained | None:
    """What an earlier run of the same training left, if all of it is there."""
    if not all(Path(target).is_file() for target in targets.files):
        return None
    try:
        table = tables.read_predictions(targets.predictions) if targets.predictions else None
        meta = artifacts.read_meta(targets.model) if targets.model else {}
    except DataError:
        return None
    hashes = [*([meta.get("training_hash")] if meta else []), *(table.meta["model_hashes"] if table else [])]
    if any(each != training_hash for each in hashes) or (targets.keep_folds and not meta.get("kept_folds")):
        return None
    if table and not meta:
        meta = {**table.meta, "classes": list(table.classes), "out_of_fold": summarize(table)}
    return Trained(meta, tuple(meta["protocol"]["warnings"]), table, up_to_date=True)

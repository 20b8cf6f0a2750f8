"""Which fitted model may judge which rows: no row is judged by a model that was trained on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from eavctl.classifiers.rows import Rows
from eavctl.errors import DataError, UsageError
from eavctl.evaluation import met
from eavctl.evaluation.met import met_rows
from eavctl.evaluation.plan import Plan
from eavctl.evaluation.trained_on import TrainedOn
from eavctl.explaining.fitters import fitter_of
from eavctl.progress import Tick, silent
from eavctl.storage import artifacts
from eavctl.storage.artifacts import Model
from eavctl.storage.metadata import ModelMeta
from eavctl.training.cross_validation import Evaluation, FoldResult, cross_validate, plan_folds
from eavctl.training.fit_warnings import FitWarnings
from eavctl.training.rows import TrainingSet
from eavctl.training.train import TableFitter

MODEL, KEPT, REFITTED = "the model", "kept folds", "refitted folds"
WITH_GROUP = ("group-kfold", "loso", "given")  # protocols that take a group
FEWEST_CLASSES = 2


class Judged(NamedTuple):
    """Rows, and a classifier that was not trained on them.

    Parameters
    ----------
    predictor : what judges.
    rows : as the predictor takes them.
    numbers : of the rows among all, int, shape (n_rows,).
    fold : number of the fold; 0 for the model itself.
    """

    predictor: Any
    rows: Rows
    numbers: np.ndarray
    fold: int


@dataclass(frozen=True)
class Judging:
    """How rows are judged.

    Parameters
    ----------
    by : `MODEL`, which has not met the rows; `KEPT`, the models of folds in the file; or `REFITTED`, models
        that are fitted again, fold by fold.
    batches : of the first two.
    data : the rows and their table.
    plan : of the folds that are fitted again; else None.
    fitter : of these.
    group : the key that is kept whole, for the intervals.
    warnings : sentences.
    """

    by: str
    data: TrainingSet
    batches: Sequence[Judged] = ()
    plan: Plan | None = None
    fitter: TableFitter | None = None
    group: str | None = None
    warnings: tuple[str, ...] = ()
    fit_warnings: FitWarnings = field(default_factory=FitWarnings)

    @property
    def n_rows(self) -> int:
        """How many rows are judged."""
        if self.plan is not None:
            return sum(len(split.test) for split in self.plan.folds)
        return sum(len(batch.numbers) for batch in self.batches)

    @property
    def words(self) -> str:
        """How rows are judged, in a sentence."""
        if self.plan is not None:
            return f"rows are judged by models fitted again without them: {self.plan.describe()}"
        if self.by == KEPT:
            return f"rows are judged by the {len(self.batches)} models of folds that the file keeps"
        return "rows are judged by the model itself, which was trained on none of them"

    def run(self, judge: Callable[[Judged], None], on_fold: Tick = silent) -> None:
        """Call ``judge`` with the rows of each classifier, one after the other.

        Parameters
        ----------
        on_fold : called with the number of folds done, of all, and what comes next.

        Raises
        ------
        DataError : a fold cannot be fitted.
        """
        for number, batch in enumerate(self.batches):
            on_fold(number, len(self.batches), "")
            judge(batch)
        if self.plan is None or self.fitter is None:
            return

        def judge_fold(fold: FoldResult) -> None:
            judge(Judged(fold.predictor, fold.test, fold.split.test, fold.split.fold))

        cross_validate(
            self.data.rows,
            self.fitter,
            self.plan,
            callbacks=[judge_fold],
            warnings=self.fit_warnings,
            on_fold=on_fold,
        )


def judging_of(model: Model, path: Any, data: TrainingSet, *, jobs: int = 1) -> Judging:
    """Decide how the rows of a table are judged: by the model, if it has met none of them, else by folds.

    Parameters
    ----------
    path : of the model's file, in which models of folds may be.
    data : labelled rows, with the features as the model takes them.
    jobs : threads of a fit.

    Raises
    ------
    DataError : the model has met all rows, and its folds can neither be read nor fitted again.
    LeakError, UsageError : as `eavctl.training.cross_validation.plan_folds`.
    """
    meta, rows = model.meta, data.rows
    known = TrainedOn.from_meta(meta.trained_on)
    own, group = rows.inner.own, meta.protocol.group
    fresh = own[~met_rows(_counted(known, meta), rows.key_frame.iloc[own])]
    if known.unnamed and _is_own(meta, data):
        fresh = own[:0]
    if len(fresh) == len(own):
        return _by_model(model, data, fresh, _pretrained(meta, rows))
    if meta.kept_folds and (batches := _kept(path, meta, data)):
        left = 0 if _is_own(meta, data) else len(own) - sum(len(batch.numbers) for batch in batches)
        said = [f"{left} rows that every kept fold was trained on were left out"] if left else []
        return Judging(KEPT, data, batches, group=group, warnings=(*meta.protocol.warnings, *said))
    try:
        if meta.export is not None:
            raise DataError("an exported model cannot be fitted again: explain the one that it was made from")
        return _refitted(meta, data, jobs)
    except DataError as error:
        if len(np.unique(rows.y[fresh])) < FEWEST_CLASSES:
            raise type(error)(f"{path}: was trained on rows of this table, and {error}") from error
        said = [f"{len(own) - len(fresh)} rows that the model was trained on were left out: {error}"]
        return _by_model(model, data, fresh, said)


def _by_model(model: Model, data: TrainingSet, fresh: np.ndarray, said: Sequence[str]) -> Judging:
    """The model itself judges the rows of its classes that it has not met."""
    is_known = np.isin(data.rows.labels[fresh], model.classes_)
    if not is_known.any():
        raise DataError(
            f"the model knows {', '.join(model.classes_)}, and no row is of these: rename with --labels"
        )
    if others := sorted(set(data.rows.labels[fresh][~is_known])):
        said = [
            *said,
            f"{int((~is_known).sum())} rows of {', '.join(others)} were left out: no classes of the model",
        ]
    fresh = fresh[is_known]
    if len(np.unique(data.rows.y[fresh])) < FEWEST_CLASSES:
        raise DataError(f"all rows are of the class {data.rows.labels[fresh[0]]!r}: two at least are needed")
    if nameless := int(data.rows.key_frame["subject"].iloc[fresh].isna().sum()):
        said = [*said, f"{nameless} rows name no subject: the model may have been trained on these people"]
    batch = Judged(model, data.rows.taking(fresh), fresh, 0)
    return Judging(MODEL, data, [batch], group=model.meta.protocol.group, warnings=tuple(said))


def _counted(known: TrainedOn, meta: ModelMeta) -> TrainedOn:
    """What counts as met: of a protocol that has subjects on both sides by its name, not the subjects."""
    return replace(known, subjects=frozenset()) if meta.protocol.shares else known


def _pretrained(meta: ModelMeta, rows: Rows) -> tuple[str, ...]:
    """A sentence where the encoder of the model, or of its features, was pretrained on some of the rows."""
    if not (about := meta.json.get("pretrained_on")):
        return ()
    n = int(met_rows(TrainedOn.from_meta(about), rows.key_frame).sum())
    return (f"an encoder was pretrained, without labels, on {n} of the rows",) if n else ()


def _kept(path: Any, meta: ModelMeta, data: TrainingSet) -> list[Judged]:
    """The rows that each kept fold tested; of another table than the training's, those it has not met."""
    rows, batches = data.rows, []
    left = rows.inner.own
    tests = {split.fold: split.test for split in _folds(meta, data).folds} if _is_own(meta, data) else {}
    for fold in artifacts.load_folds(path):
        known = _counted(TrainedOn.from_meta(fold.trained_on), meta)
        if tests:  # a recording that the protocol itself has on both sides is no leak: clips tell rows apart
            known = replace(known, recordings=frozenset())
        fresh = tests.get(fold.fold, left)
        fresh = fresh[~met_rows(known, rows.key_frame.iloc[fresh])]
        if len(fresh):
            batches.append(Judged(fold, rows.taking(fresh), fresh, fold.fold))
            left = np.setdiff1d(left, fresh)
    return batches


def _is_own(meta: ModelMeta, data: TrainingSet) -> bool:
    """Whether a table is that of the training."""
    return bool(meta.trained_on.get("table") == data.facts.content_hash)


def _folds(meta: ModelMeta, data: TrainingSet) -> Plan:
    """The folds of the training, where the table is that of the training; else those that suit the table."""
    protocol = meta.protocol
    usual = Evaluation(seed=int(meta.json.get("seed", 42)), distinct_names=data.facts.distinct_names)
    if not _is_own(meta, data):
        try:
            return plan_folds(data.rows, usual)
        except UsageError as error:  # fewer clips than folds
            raise DataError(f"{len(data.rows)} rows are too few to fit the folds of a table again") from error
    group = protocol.group if protocol.name in WITH_GROUP else None
    folds = max(protocol.folds or usual.folds, 2)
    return plan_folds(data.rows, replace(usual, protocol=protocol.name, folds=folds, group=group))


def _refitted(meta: ModelMeta, data: TrainingSet, jobs: int) -> Judging:
    """The models of the folds, fitted again."""
    fitter = fitter_of(meta, jobs)
    fitter.check_table(data.facts)
    plan = _folds(meta, data)
    fitter.check(data.rows, plan)
    said = (*plan.warnings, *met.check(data.facts.encoders, data.rows.key_frame, plan, (met.ALL,)))
    if not _is_own(meta, data):
        said = (*said, "the table is not the training's: models of the same settings are fitted to its folds")
    return Judging(REFITTED, data, plan=plan, fitter=fitter, group=plan.group, warnings=said)

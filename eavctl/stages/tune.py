"""Feature tables to a classifier with tuned settings, scored by nested cross-validation."""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from eavctl import registry
from eavctl.encoders.choice import default_encoder
from eavctl.errors import BusyError, UsageError
from eavctl.progress import Tick, silent
from eavctl.storage.paths import Paths, listed
from eavctl.storage.tables import read_feature_meta
from eavctl.training import train as training
from eavctl.training.cross_validation import Evaluation
from eavctl.training.linear_fitter import LinearFitter
from eavctl.training.rows import EQUAL, TrainingSet
from eavctl.training.svm_fitter import SvmFitter
from eavctl.training.train import FoldObserver, Planned, Targets, Trained
from eavctl.training.tuning.findings import TuningFindings
from eavctl.training.tuning.fitter import TuningFitter
from eavctl.training.tuning.method import Method, linear_method, svm_method
from eavctl.training.tuning.space import searched

if TYPE_CHECKING:
    from eavctl.classifiers.training_loop import TrainSettings

STUDIES = ".study"  # ending of the journal file beside the model
SVM, LINEAR = "svm", "linear"
WAIT_S = 1.0


@dataclass(frozen=True)
class TuningChoice:
    """What to tune, and how.

    Parameters
    ----------
    method : ``svm``, ``linear``, an encoder or a fusion network; by default svm for columns, else the encoder
        for the table's feature set.
    trials : in each study.
    space : ``NAME=RANGE`` (see `eavctl.training.tuning.space.searched`), in place of the method's own.
    storage : journal file, or URL of a database, that holds the studies; by default a file beside the model.
    encoders, size, partial : of fusion networks, as in `eavctl.stages.train_fusion.train_fusion`; ``size``
        also of encoders.
    device : ``cpu``, ``cuda`` or ``auto``, for networks.
    """

    method: str | None = None
    trials: int = 50
    space: Sequence[str] = ()
    storage: str | None = None
    encoders: Sequence[str] = ()
    size: str | None = None
    partial: bool = False
    device: Literal["cpu", "cuda", "auto"] = "auto"


def tune(
    tables: Paths,
    out: str | os.PathLike[str],
    *,
    choice: TuningChoice | None = None,
    predictions: str | os.PathLike[str] | None = None,
    evaluation: Evaluation | None = None,
    normalize: str | None = None,
    labels: Mapping[str, str | None] | None = None,
    corpora: str = EQUAL,
    jobs: int = 1,
    force: bool = False,
    on_fold: Tick = silent,
) -> Trained:
    """Tune the settings of a classifier, scored on held-out folds beside its default settings.

    Each fold has a study of its own, whose inner folds divide its training rows by person; the model is
    fitted to all rows with the best settings of one more study, of all rows. Processes with the same
    parameters share the trials; an interrupted one continues.

    Parameters
    ----------
    tables : feature table, or several, which are stacked, or joined for a fusion network.
    out : model file to write (.joblib for svm and linear, else .pt).
    choice : what to tune.
    predictions : prediction table (.parquet) to write, out of fold.
    evaluation : how rows are split, and the seed of all that is drawn.
    normalize, labels, corpora : see `eavctl.training.rows.read_training_set`.
    jobs : processes of svm and linear; the result does not depend on it.
    force : overwrite files that eavctl did not write, and fit even if up to date; studies are kept.
    on_fold : called with the number of studies and fits done, of all, and what comes next.

    Returns
    -------
    The trained model's metadata, whose ``tuning`` has what `eavctl.training.tuning.findings.TuningFindings`
    says; warnings; and the out-of-fold predictions.

    Raises
    ------
    LeakError : a subject, clip or trial is on both sides of a split whose protocol does not allow it by name.
    DataError : a table that cannot be read, or does not fit the method or the protocol; no trial that could
        be fitted.
    UsageError : no such method or setting, a range that the setting does not take, an output that must not
        be overwritten, or Optuna is not installed.
    """
    evaluation, choice = evaluation or Evaluation(), choice or TuningChoice()
    targets = Targets(out, predictions)
    prepared = _prepared(
        tables,
        targets,
        choice,
        evaluation,
        normalize=normalize,
        labels=labels or {},
        corpora=corpora,
        jobs=jobs,
        force=force,
    )
    planned = training.plan(prepared.data, targets, prepared.fitter, evaluation, force=force)
    n_fits = len(planned.plan.folds) + 1
    if not planned.up_to_date:
        prepared.fitter.search_all(
            prepared.data.rows, planned.plan, lambda done, _, note: on_fold(done, 2 * n_fits, note)
        )
    while True:
        try:
            return training.train(
                prepared.data,
                targets,
                prepared.fitter,
                evaluation,
                observers=prepared.observers,
                force=force,
                on_fold=lambda done, _, note: on_fold(n_fits + done, 2 * n_fits, note),
            )
        except BusyError:  # a process that shared the trials: its files will be up to date
            on_fold(n_fits, 2 * n_fits, "another process is writing the model")
            time.sleep(WAIT_S)


def plan(
    tables: Paths,
    out: str | os.PathLike[str],
    *,
    choice: TuningChoice | None = None,
    predictions: str | os.PathLike[str] | None = None,
    evaluation: Evaluation | None = None,
    normalize: str | None = None,
    labels: Mapping[str, str | None] | None = None,
    corpora: str = EQUAL,
    force: bool = False,
) -> Planned:
    """What `tune` would do of the same parameters; nothing is fitted or written.

    Raises
    ------
    LeakError, DataError, UsageError : where `tune` raises them before it fits.
    """
    evaluation, choice = evaluation or Evaluation(), choice or TuningChoice()
    targets = Targets(out, predictions)
    prepared = _prepared(
        tables,
        targets,
        choice,
        evaluation,
        normalize=normalize,
        labels=labels or {},
        corpora=corpora,
        jobs=1,
        force=force,
    )
    return training.plan(prepared.data, targets, prepared.fitter, evaluation, force=force)


@dataclass(frozen=True)
class _Prepared:
    """The rows, what tunes, and what records the findings."""

    data: TrainingSet
    fitter: TuningFitter
    observers: list[FoldObserver]


def _prepared(
    tables: Paths,
    targets: Targets,
    choice: TuningChoice,
    evaluation: Evaluation,
    *,
    normalize: str | None,
    labels: Mapping[str, str | None],
    corpora: str,
    jobs: int,
    force: bool,
) -> _Prepared:
    """Check the choices and read the rows."""
    if find_spec("optuna") is None:
        raise UsageError("tuning needs Optuna: pip install 'eavctl[tune]'")
    paths = listed(tables)
    name = choice.method or _default_method(paths[0])
    observers: list[FoldObserver] = []
    if name in registry.names("fusion networks"):
        if normalize:
            raise UsageError("--normalize is for one table, and a fusion network takes several: leave it out")
        from eavctl.stages import train_fusion as fusion
        from eavctl.training.fusion_fitter import FusionScores
        from eavctl.training.fusion_setup import FusionSetup
        from eavctl.training.tuning.networks import fusion_method

        setup = FusionSetup(
            paths, name, choice.encoders, choice.size, (), choice.partial, labels=labels, corpora=corpora
        )
        settings = _train_settings(choice, evaluation)
        joined, fusing = fusion.prepare(setup, targets, settings, None, force)
        data, method = joined.data, fusion_method(fusing)
        observers.append(FusionScores(fusing, joined))
    else:
        if choice.encoders or choice.partial:
            raise UsageError("--encoder and --partial are for fusion networks: name one with --method")
        method = _method(name, paths[0], choice, evaluation, jobs)
        data = training.guarded_rows(
            paths, targets, method.default, normalize=normalize, labels=labels, corpora=corpora, force=force
        )
    space = searched(method.space, choice.space, method.settings)
    storage = choice.storage or f"{os.fspath(targets.place)}{STUDIES}"
    fitter = TuningFitter(method, space, 0, evaluation.seed, storage)
    identity = training.identity(data.facts, fitter, evaluation)  # more trials continue the studies
    fitter = replace(fitter, n_trials=choice.trials, identity=identity)
    return _Prepared(data, fitter, [*observers, TuningFindings(fitter)])


def _default_method(table: str | os.PathLike[str]) -> str:
    meta = read_feature_meta(table)
    return SVM if meta.columns is not None else default_encoder(meta.features, False, tokens=False)


def _method(
    name: str, table: str | os.PathLike[str], choice: TuningChoice, evaluation: Evaluation, jobs: int
) -> Method:
    """The method of one table, or of several that are stacked."""
    if choice.size and name in (SVM, LINEAR):
        raise UsageError(f"--size is for networks, and {name} is none: leave it out")
    if name == SVM:
        return svm_method(SvmFitter(evaluation.seed, jobs))
    if name == LINEAR:
        return linear_method(LinearFitter(evaluation.seed, jobs))
    encoders, fusions = registry.names("encoders"), registry.names("fusion networks")
    if name not in encoders:
        near = difflib.get_close_matches(name, (SVM, LINEAR, *encoders, *fusions), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(
            f"--method {name}: no such method; take {SVM}, {LINEAR}, an encoder ({', '.join(encoders)}) or a "
            f"fusion network ({', '.join(fusions)}).{hint}"
        )
    from eavctl.stages.train_dnn import EncoderChoice
    from eavctl.training.tuning.networks import dnn_method

    settings = _train_settings(choice, evaluation)
    return dnn_method(EncoderChoice(name, choice.size).fitter(table, settings, None))


def _train_settings(choice: TuningChoice, evaluation: Evaluation) -> TrainSettings:
    from eavctl.classifiers.training_loop import TrainSettings  # imports torch

    return TrainSettings(seed=evaluation.seed, device=choice.device)

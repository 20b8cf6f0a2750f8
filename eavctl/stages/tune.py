"""Feature tables to a classifier with tuned settings, scored by nested cross-validation."""

from __future__ import annotations

import difflib
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from eavctl import registry
from eavctl.encoders.choice import default_encoder
from eavctl.errors import BusyError, CostWarning, UsageError
from eavctl.evaluation.plan import Plan
from eavctl.progress import Tick, silent
from eavctl.stages.tune_features import FeatureTuning, names_of_features
from eavctl.storage import files
from eavctl.storage.paths import Paths, listed
from eavctl.storage.remote import cache_folder, is_url
from eavctl.storage.tables import PredictionTable, read_feature_meta
from eavctl.training import train as training
from eavctl.training.cross_validation import Evaluation
from eavctl.training.linear_fitter import LinearFitter
from eavctl.training.rows import EQUAL, TrainingSet, read_training_set
from eavctl.training.sources import file_name
from eavctl.training.svm_fitter import SvmFitter
from eavctl.training.told import command, differing
from eavctl.training.train import FoldObserver, Planned, Targets, Trained
from eavctl.training.tuning.findings import TuningFindings
from eavctl.training.tuning.fitter import TuningFitter
from eavctl.training.tuning.method import Method, linear_method, svm_method
from eavctl.training.tuning.ranges import Fixed, Space
from eavctl.training.tuning.space import searched
from eavctl.training.tuning.variants import Variants

if TYPE_CHECKING:
    from eavctl.classifiers.training_loop import TrainSettings

STUDIES = ".study"  # ending of the journal file beside the model
FEATURES = ".features"  # ending of the folder of tables with other settings of features
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
    space : ``NAME=RANGE`` (see `eavctl.training.tuning.space.searched`), in place of the method's own;
        ``features.NAME=VALUE,VALUE`` for a setting of the table's features. A value that is fixed is also
        that of the default settings.
    storage : journal file, or URL of a database, that holds the studies; by default a file beside the model.
    encoders, size, partial : of fusion networks, as in `eavctl.stages.train_fusion.train_fusion`; ``size``
        also of encoders.
    recordings : what the table was extracted from, where the space names settings of features.
    device : ``cpu``, ``cuda`` or ``auto``, for networks.
    """

    method: str | None = None
    trials: int = 50
    space: Sequence[str] = ()
    storage: str | None = None
    encoders: Sequence[str] = ()
    size: str | None = None
    partial: bool = False
    recordings: str | os.PathLike[str] | None = None
    device: Literal["cpu", "cuda", "auto"] = "auto"

    @property
    def options(self) -> dict[str, Any]:
        """Those of `tune`, by which it is asked for, but for the storage, which can hold a password."""
        asked = differing(self)
        asked.pop("storage", None)
        encoders, recordings = asked.pop("encoders", ()), asked.pop("recordings", None)
        return {
            **asked,
            "space": list(self.space),
            "encoder": list(encoders),
            "recordings": recordings and file_name(recordings),
        }


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
    on_fold : called with the number of trials and fits done, of all, and what comes next.

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
    reading = {"normalize": normalize, "labels": labels, "corpora": corpora}
    request = _Request(
        listed(tables),
        Targets(out, predictions),
        choice or TuningChoice(),
        evaluation or Evaluation(),
        reading,
        jobs,
        force,
    )
    prepared = request.prepared(on_fold)
    planned = prepared.plan()
    if planned.up_to_date:
        return prepared.train([], on_fold)
    n_folds = len(planned.plan.folds)
    n_trials = (n_folds + 1) * prepared.fitter.n_trials
    n_steps = n_trials + 2 * n_folds + 1  # fits of the defaults, and of the folds and of all rows

    def after(n_done: int) -> Tick:
        return lambda done, _, note: on_fold(n_done + done, n_steps, note)

    prepared.fitter.search_all(prepared.data.rows, planned.plan, after(0))
    defaults = prepared.defaults(planned.plan, after(n_trials))
    while True:
        try:
            observers = [*prepared.observers(), TuningFindings(prepared.fitter, defaults)]
            return prepared.train(observers, after(n_trials + n_folds))
        except BusyError:  # a process that shared the trials: its files will be up to date
            on_fold(n_trials + n_folds, n_steps, "another process is writing the model")
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
    """What `tune` would do of the same parameters; nothing is extracted, fitted or written.

    Raises
    ------
    LeakError, DataError, UsageError : where `tune` raises them before it extracts or fits.
    """
    reading = {"normalize": normalize, "labels": labels, "corpora": corpora}
    request = _Request(
        listed(tables),
        Targets(out, predictions),
        choice or TuningChoice(),
        evaluation or Evaluation(),
        reading,
        1,
        force,
    )
    return request.prepared(None).plan()


@dataclass(frozen=True)
class _Prepared:
    """The rows, what tunes, the command, and what makes observers besides that of the tuning."""

    data: TrainingSet
    targets: Targets
    fitter: TuningFitter
    evaluation: Evaluation
    force: bool
    command: Mapping[str, Any]
    observers: Callable[[], list[FoldObserver]] = list

    def plan(self) -> Planned:
        """The splits, once everything has been checked; the cost is announced unless all is up to date."""
        planned = training.plan(self.data, self.targets, self.fitter, self.evaluation, force=self.force)
        if not planned.up_to_date:
            self.fitter.announce(self.data.rows, planned.plan)
        return planned

    def defaults(self, plan: Plan, on_fold: Tick) -> PredictionTable:
        """Out-of-fold predictions with default settings."""
        data = replace(self.data, rows=self.fitter.default_rows(self.data.rows))

        def note(done: int, of: int, text: str) -> None:
            on_fold(done, of, f"defaults, {text}")

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CostWarning)  # the cost of all fits has been announced
            return training.validated(data, self.fitter.method.default, plan, note).predictions

    def train(self, observers: Sequence[FoldObserver], on_fold: Tick) -> Trained:
        """Fit with the settings that the studies have found, or find."""
        return training.train(
            self.data,
            self.targets,
            self.fitter,
            self.evaluation,
            command=self.command,
            observers=observers,
            force=self.force,
            on_fold=on_fold,
        )


@dataclass(frozen=True)
class _Request:
    """What a tuning was asked for; ``reading`` has the keywords of `read_training_set`."""

    tables: Sequence[str | os.PathLike[str]]
    targets: Targets
    choice: TuningChoice
    evaluation: Evaluation
    reading: Mapping[str, Any]
    jobs: int
    force: bool

    def prepared(self, on_clip: Tick | None) -> _Prepared:
        """Check the choices and read the rows; extract features of other settings unless ``on_clip`` is None.

        Without these features, what they would show is left out, and nothing is up to date.
        """
        if find_spec("optuna") is None:
            raise UsageError("tuning needs Optuna: pip install 'eavctl[tune]'")
        name = self.choice.method or _default_method(self.tables[0])
        is_fusion = name in registry.names("fusion networks")
        return self._of_fusion(name) if is_fusion else self._of_table(name, on_clip)

    def _of_fusion(self, name: str) -> _Prepared:
        from eavctl.stages import train_fusion as fusion
        from eavctl.training.fusion_fitter import FusionScores
        from eavctl.training.fusion_setup import FusionSetup
        from eavctl.training.tuning.networks import fusion_method

        choice = self.choice
        if self.reading["normalize"] or choice.recordings:
            raise UsageError("--normalize and --recordings are for one table: a fusion network takes neither")
        setup = FusionSetup(
            self.tables,
            name,
            choice.encoders,
            choice.size,
            partial=choice.partial,
            labels=self.reading["labels"] or {},
            corpora=self.reading["corpora"],
        )
        joined, fitter = fusion.prepare(setup, self.targets, self._train_settings(), None, self.force)
        method = fusion_method(fitter)
        space = searched(method.space, choice.space, method.settings)
        prepared = self._prepared(joined.data, method, space, None)
        return replace(prepared, observers=lambda: [FusionScores(fitter, joined)])

    def _of_table(self, name: str, on_clip: Tick | None) -> _Prepared:
        """Of one table, or of several that are stacked."""
        choice = self.choice
        if choice.encoders or choice.partial:
            raise UsageError("--encoder and --partial are for fusion networks: name one with --method")
        method = self._method(name)
        training.guard(self.targets, method.default, self.tables, force=self.force)
        features = self._feature_tuning()
        known = {**method.settings, **(features.settings if features else {})}
        space = searched(method.space, choice.space, known)
        data = read_training_set(self.tables, **self.reading)
        if method.default.kind == "dnn":
            method = self._method(name, data)
        if not features:
            return self._prepared(data, method, space, None)
        features.check(data)
        if not all(file.is_file() for file in features.files(space)):
            prepared = replace(self._prepared(data, method, space, None), force=True)
            if on_clip is None:
                return prepared
            prepared.plan()  # what it refuses is refused before the extraction
        if on_clip is not None:
            features.extract(space, on_clip)
        data, variants = features.joined(data, space, lambda file: read_training_set(file, **self.reading))
        return self._prepared(data, method, space, variants)

    def _prepared(
        self,
        data: TrainingSet,
        method: Method,
        space: Space,
        variants: Variants | None,
    ) -> _Prepared:
        fixed = {name: each.value for name, each in space.items() if isinstance(each, Fixed)}
        method = replace(method, default=method.with_values(fixed))  # what is fixed is not tuned, but chosen
        fitter = TuningFitter(method, space, 0, self.evaluation.seed, self._storage(), variants=variants)
        identity = training.identity(data.facts, fitter, self.evaluation)  # more trials continue the studies
        fitter = replace(fitter, n_trials=self.choice.trials, identity=identity)
        asked = command("tune", self.tables, self.evaluation, **self.reading, **self.choice.options)
        return _Prepared(data, self.targets, fitter, self.evaluation, self.force, asked)

    def _storage(self) -> str:
        """The storage of the studies, which can be used.

        Raises
        ------
        UsageError : it is also an output, the default is beside a stream, or as `storages.check`.
        DataError : as `storages.check`.
        """
        from eavctl.training.tuning import storages  # imports Optuna

        storage = self.choice.storage
        if storage is None:
            if files.is_stream(self.targets.place) or is_url(self.targets.place):
                raise UsageError(
                    "the model goes to a stream or a URL: name a file for the studies with --storage"
                )
            storage = f"{os.fspath(self.targets.place)}{STUDIES}"
        storages.check(storage)
        file = storages.file_of(storage)
        if file and os.path.realpath(file) in map(os.path.realpath, self.targets.files):
            raise UsageError(f"{storage}: both an output and the --storage of the studies; name another file")
        return storage

    def _feature_tuning(self) -> FeatureTuning | None:
        """What extracts features of other settings, where the space has some."""
        choice = self.choice
        named = names_of_features(text.strip() for text in choice.space)
        if not named and not choice.recordings:
            return None
        if not (named and choice.recordings):
            raise UsageError(
                "tuning features takes both --recordings FOLDER and a range of theirs, such as "
                "--space features.n_mels=40,64"
            )
        if len(self.tables) > 1:
            raise UsageError("features are tuned of one table, not of several that are stacked")
        place = self.targets.place
        is_remote = is_url(place)
        folder = cache_folder(place) / "features" if is_remote else Path(f"{os.fspath(place)}{FEATURES}")
        return FeatureTuning(self.tables[0], choice.recordings, folder, self.jobs)

    def _method(self, name: str, data: TrainingSet | None = None) -> Method:
        """The method of a name; that of an encoder augments the rows of ``data`` as `train-dnn` does."""
        seed, size = self.evaluation.seed, self.choice.size
        if size and name in (SVM, LINEAR):
            raise UsageError(f"--size is for networks, and {name} is none: leave it out")
        if name in (SVM, LINEAR):
            meta = read_feature_meta(self.tables[0])
            if name == SVM:
                return svm_method(SvmFitter(seed, self.jobs).taking(meta.features, meta.settings))
            return linear_method(LinearFitter(seed, self.jobs).taking(meta.features, meta.settings))
        encoders, fusions = registry.names("encoders"), registry.names("fusion networks")
        if name not in encoders:
            near = difflib.get_close_matches(name, (SVM, LINEAR, *encoders, *fusions), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(
                f"--method {name}: no such method; take {SVM}, {LINEAR}, an encoder ({', '.join(encoders)}) "
                f"or a fusion network ({', '.join(fusions)}).{hint}"
            )
        from eavctl.stages.train_dnn import EncoderChoice
        from eavctl.training.tuning.networks import dnn_method

        choice = EncoderChoice(name, size)
        fitter = choice.fitter(self.tables[0], self._train_settings(), None)
        return dnn_method(choice.augmenting(fitter, data) if data else fitter)

    def _train_settings(self) -> TrainSettings:
        from eavctl.classifiers.training_loop import TrainSettings  # imports torch

        return TrainSettings(seed=self.evaluation.seed, device=self.choice.device)


def _default_method(table: str | os.PathLike[str]) -> str:
    meta = read_feature_meta(table)
    return SVM if meta.columns is not None else default_encoder(meta.features, False, tokens=False)

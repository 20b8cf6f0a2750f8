"""Feature tables of several modalities to one network, with an account of what each modality is worth."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch

from eavctl import artifacts, registry, tables
from eavctl.classifiers.fitting import Keeping
from eavctl.classifiers.training import Epoch, TrainSettings
from eavctl.encoders.choice import default_encoder, runs_by_layers, settings_of_size
from eavctl.errors import DataError, LeakError, UsageError
from eavctl.evaluation.protocols import Plan, Split
from eavctl.evaluation.summary import compare
from eavctl.fusion.networks.model import Design, FusionModel, Stream, fit
from eavctl.fusion.subsets import subsets_of, table_of
from eavctl.stages.joined import Joined, join_features
from eavctl.stages.train import Evaluation, Targets, Task, Tick, Trained, Witness, guard, in_order, train_rows
from eavctl.stages.training_table import TrainingTable
from eavctl.tables import PredictionTable

LATE = "late fusion, the mean of the models alone"


@dataclass(frozen=True)
class Inputs:
    """What a fusion network is made of.

    Parameters
    ----------
    tables : feature tables, one a stream; one may be named twice, for two encoders.
    encoders : names for the tables in their order; those left out are taken by the tables' feature sets.
    size : of encoders from scratch that have sizes: base or tiny.
    init : trained models whose encoders some streams start from, each matched to a table by its features.
    partial : rows that some tables lack count too, without what is absent.
    """

    tables: Sequence[str | os.PathLike[str]]
    encoders: Sequence[str] = ()
    size: str | None = None
    init: Sequence[str | os.PathLike[str]] = ()
    partial: bool = False


@dataclass(frozen=True)
class Start:
    """A trained model to start from: the file, the model of all its rows, and those of its folds."""

    path: str
    whole: artifacts.Model
    folds: tuple[artifacts.Model, ...]

    def clear_of(self, tested: pd.DataFrame, keys: pd.DataFrame, shares: bool) -> artifacts.Model | None:
        """Of its models that have met none of the rows to be tested, the one that knows the training best.

        Parameters
        ----------
        tested, keys : of the rows to be tested, and of the training rows.
        shares : the protocol allows a subject on both sides.
        """
        clips, subjects = set(tested["clip_id"]), set(tested["subject"].dropna())
        known = set(keys["clip_id"])
        clear = []
        for model in (self.whole, *self.folds):
            trained = model.meta.get("trained_on", model.meta)
            met = clips.intersection(trained["clips"])
            if not shares:
                met |= subjects.intersection(trained["subjects"])
            if not met:
                clear.append((len(known.intersection(trained["clips"])), model))
        return max(clear, key=lambda each: each[0])[1] if clear else None


@dataclass(frozen=True)
class FusionFitter:
    """Fits `eavctl.fusion.networks.model.fit`; see `eavctl.stages.train.Fitter`.

    Parameters
    ----------
    design : the network.
    starts : for each stream the trained model to start from, or None.
    settings : of the training.
    log_dir : folder for TensorBoard scalars, a folder in it for each fit.
    """

    design: Design
    starts: tuple[Start | None, ...]
    settings: TrainSettings = field(default_factory=TrainSettings)
    log_dir: Path | None = None
    kind: ClassVar[str] = "fusion"

    @property
    def name(self) -> str:
        """The method."""
        return self.design.method

    def describe(self) -> dict[str, Any]:
        """See `Fitter`."""
        hashes = [start and start.whole.meta["training_hash"] for start in self.starts]
        return {**self.design.to_meta(), "training": asdict(self.settings), "init": hashes}

    def check(self, table: TrainingTable, planned: Plan) -> None:
        """See `Fitter`; refuses a start that has met rows to be tested."""
        with torch.device("meta"):  # shapes are judged before hours are spent; nothing is allocated
            self.design.build(len(table.classes))
        for split in planned.folds:
            tested, keys = table.keys.iloc[split.test], table.keys.iloc[split.train]
            for start in self.starts:
                if start and start.clear_of(tested, keys, planned.shares) is None:
                    raise LeakError(
                        f"leak: {start.path} was trained on what fold {split.fold} tests.\nTrain it "
                        "with --keep-folds and the same --protocol, --folds, --group and --seed, or leave "
                        "--init out."
                    )

    def models(self, task: Task) -> list[artifacts.Model | None]:
        """The models that a fit may start from: for the fit on all rows the whole ones."""
        if not len(task.tested):
            return [start.whole if start else None for start in self.starts]
        return [
            start.clear_of(task.tested, task.keys, task.shares) if start else None for start in self.starts
        ]

    def fit(self, task: Task, kept: Path, note: Callable[[str], None]) -> FusionModel:
        """See `Fitter`."""
        kept.parent.mkdir(exist_ok=True)

        def on_epoch(epoch: Epoch) -> None:
            note(f"epoch {epoch.epoch}, loss {epoch.loss:.3f}, validation UAR {epoch.validation_uar:.3f}")

        return fit(
            task.x,
            task.labels,
            self.design,
            groups=task.groups,
            starts=[model.predictor if model else None for model in self.models(task)],
            settings=self.settings,
            keeping=Keeping(
                kept, self.log_dir / kept.name.split("-", 1)[1] if self.log_dir else None, on_epoch
            ),
        )


class FusionWitness(Witness):
    """Judges each fold's network with every subset of the streams, and the models it started from alone."""

    def __init__(self, fitter: FusionFitter, joined: Joined) -> None:
        self.fitter, self.names, self.left_out = fitter, joined.names, joined.left_out
        self.subsets = subsets_of(range(len(self.names)))
        self._said: dict[tuple[int, ...], list[_Part]] = {subset: [] for subset in self.subsets}
        self._alone: dict[int, list[_Part]] = {}
        self._weights: list[np.ndarray] = []

    def judged(self, split: Split, predictor: FusionModel, task: Task, x: Any) -> None:
        """See `Witness`."""
        for subset in self.subsets:
            there = np.flatnonzero(x.present[:, list(subset)].any(axis=1))
            if len(there):
                proba = predictor.predict_proba(x[there].only(subset))
                self._said[subset].append(
                    _Part(task.tested.iloc[there], split.fold, proba, predictor.classes_)
                )
        for stream, model in enumerate(self.fitter.models(task)):
            there = np.flatnonzero(x.present[:, stream])
            if model and len(there):
                proba = model.predict_proba(x.arrays[stream][there])
                part = _Part(task.tested.iloc[there], split.fold, proba, model.classes_)
                self._alone.setdefault(stream, []).append(part)
        self._weights.append(predictor.weights(x))

    def account(self, predictions: PredictionTable) -> dict[str, Any]:
        """See `Witness`: under ``fusion``, weights, the table of subsets, and what it is compared with."""
        classes = predictions.classes
        alone = {self.names[stream]: _table(parts, classes) for stream, parts in self._alone.items()}
        entries = table_of(
            lambda names: _table(self._said[tuple(self.names.index(name) for name in names)], classes),
            alone,
            self.names,
        )
        weights = np.concatenate(self._weights).mean(axis=0)
        return {
            "fusion": {
                "method": self.fitter.design.method,
                "inputs": list(self.names),
                "encoders": [stream.encoder for stream in self.fitter.design.streams],
                "weights": dict(zip(self.names, weights.tolist(), strict=True)),
                "left_out": self.left_out,
                "subsets": entries,
                "versus": self._versus(predictions, alone),
            }
        }

    def _versus(self, fused: PredictionTable, alone: Mapping[str, PredictionTable]) -> list[dict[str, Any]]:
        """The fusion beside the best model alone, and beside the mean of all, where all streams had one."""
        if not alone:
            return []
        compared = [{"name": name, **compare(fused, table)} for name, table in alone.items()]
        best = max(compared, key=lambda each: each["second"])
        if len(alone) < len(self.names):
            return [best]
        return [best, {"name": LATE, "late": True, **compare(fused, _mean(list(alone.values())))}]


@dataclass(frozen=True)
class _Part:
    """A fold's test rows as some predictor judged them."""

    keys: pd.DataFrame
    fold: int
    proba: np.ndarray
    classes: np.ndarray


def _table(parts: Sequence[_Part], classes: Sequence[str]) -> PredictionTable:
    keys = pd.concat([part.keys.assign(fold=part.fold) for part in parts], ignore_index=True)
    proba = np.concatenate([in_order(part.proba, part.classes, list(classes)) for part in parts])
    order = np.argsort(keys["sample_id"].to_numpy(dtype=str))
    return PredictionTable(keys.iloc[order].reset_index(drop=True), proba[order], tuple(classes))


def _mean(alone: Sequence[PredictionTable]) -> PredictionTable:
    """The mean of the models' probabilities on the rows that all of them judged."""
    rows = [{sample: i for i, sample in enumerate(table.keys["sample_id"])} for table in alone]
    common = [sample for sample in rows[0] if all(sample in place for place in rows)]
    proba = np.mean(
        [t.proba[[place[s] for s in common]] for t, place in zip(alone, rows, strict=True)], axis=0
    )
    keys = alone[0].keys.iloc[[rows[0][s] for s in common]].reset_index(drop=True)
    return PredictionTable(keys, proba, alone[0].classes)


@dataclass(frozen=True)
class FusionPlan:
    """Inputs and method made real: what would be trained on what.

    Parameters
    ----------
    inputs : the tables and what their streams start from.
    method : a registered fusion network.
    network_settings : keywords of its class.
    """

    inputs: Inputs
    method: str
    network_settings: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def starts(self) -> list[Start | None]:
        """For each table the model that its stream starts from.

        Raises
        ------
        DataError, UsageError : a model that is no network, or that was trained on features of no table.
        """
        found: list[Start | None] = [None] * len(self.inputs.tables)
        metas = [tables.read_feature_meta(table) for table in self.inputs.tables]
        for path in self.inputs.init:
            model = artifacts.load(path)
            if model.meta["kind"] != "dnn":
                raise UsageError(
                    f"{path}: a model of kind {model.meta['kind']!r}; --init takes those of train-dnn"
                )
            fits = [i for i, meta in enumerate(metas) if meta["features_hash"] == model.meta["features_hash"]]
            free = [i for i in fits if found[i] is None]
            if not free:
                raise DataError(
                    f"{path} was trained on features {model.meta['features']!r} with other settings than any "
                    "table has that is left; name the tables that the models were trained on"
                )
            found[free[0]] = Start(os.fspath(path), model, tuple(artifacts.load_folds(path)))
        return found

    @cached_property
    def encoders(self) -> list[tuple[str, dict[str, Any]]]:
        """Each stream's encoder and its settings: the start's, or as asked for, or by the feature set."""
        by_layers = bool(registry.get("fusion networks", self.method).facts.get("tokens"))
        asked = list(self.inputs.encoders)
        if asked and len(asked) != len(self.inputs.tables):
            raise UsageError(f"{len(asked)} encoders for {len(self.inputs.tables)} tables: give one a table")
        chosen = []
        for number, (path, start) in enumerate(zip(self.inputs.tables, self.starts, strict=True)):
            if start:
                told = start.whole.meta["model"]
                name, settings = told["encoder"], dict(told["encoder_settings"])
            else:
                name = asked[number] if asked else _default(path, by_layers)
                settings = _settings(name, self.inputs.size)
            if by_layers and not runs_by_layers(name):
                able = [each for each in registry.names("encoders") if runs_by_layers(each)]
                raise UsageError(
                    f"{self.method} exchanges between layers of transformers, and {name!r} has none: take "
                    f"{' or '.join(able)}, or --method attention"
                )
            chosen.append((name, settings))
        return chosen

    def join(self) -> Joined:
        """The tables' rows together."""
        return join_features(
            self.inputs.tables, [name for name, _ in self.encoders], partial=self.inputs.partial
        )

    def fitter(self, joined: Joined, settings: TrainSettings, log_dir: Path | None = None) -> FusionFitter:
        """What trains the network on the joined rows."""
        described = zip(joined.names, self.encoders, joined.table.x.shapes, strict=True)
        streams = tuple(Stream(name, *encoder, shape) for name, encoder, shape in described)
        keywords = registry.get("fusion networks", self.method).with_defaults(self.network_settings)
        return FusionFitter(Design(self.method, streams, keywords), tuple(self.starts), settings, log_dir)


def _default(path: str | os.PathLike[str], by_layers: bool) -> str:
    meta = tables.read_feature_meta(path)
    columns = registry.get("features", meta["features"]).facts["columns"] is not None
    return default_encoder(meta["features"], columns, tokens=by_layers)


def _settings(name: str, size: str | None) -> dict[str, Any]:
    """An encoder's settings in a fusion; encoders of one size stay as they are."""
    entry = registry.get("encoders", name)
    asked = settings_of_size(name, size) if size and entry.facts.get("sizes") else {}
    return entry.with_defaults({**entry.facts.get("fused", {}), **asked})


def fuse_network(
    planned: FusionPlan,
    targets: Targets,
    settings: TrainSettings,
    evaluation: Evaluation,
    *,
    log_dir: Path | None = None,
    force: bool = False,
    on_fold: Tick = lambda done, total, note: None,
) -> Trained:
    """Train a fusion network on feature tables, judge it by folds and with every subset of its inputs.

    Parameters
    ----------
    planned : tables, method and settings.
    targets : the model (.pt) and the out-of-fold predictions; either can be left out.
    settings, evaluation : see `TrainSettings` and `Evaluation`.

    Raises
    ------
    LeakError : as in `eavctl.stages.train.train`; and where a model of ``--init`` has met rows to be tested.
    DataError, UsageError : the tables do not fit together, or the encoders not the tables or the method.
    """
    joined = planned.join()
    fitter = planned.fitter(joined, settings, log_dir)
    guard(targets, fitter, force=force)
    witness = FusionWitness(fitter, joined)
    streams = [
        {**facts, "encoder": encoder, "encoder_settings": chosen}
        for facts, (encoder, chosen) in zip(joined.table.facts["streams"], planned.encoders, strict=True)
    ]
    table = replace(joined.table, facts={"method": planned.method, "streams": streams})
    return train_rows(table, targets, fitter, evaluation, witness=witness, force=force, on_fold=on_fold)

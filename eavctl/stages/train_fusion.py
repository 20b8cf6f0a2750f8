"""Feature tables of several modalities to one network, with an account of what each modality is worth."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from eavctl import registry
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.encoders.choice import check_modality, default_encoder, runs_by_layers, settings_of_size
from eavctl.errors import DataError, UsageError
from eavctl.fusion.networks.model import Design, Stream
from eavctl.progress import Tick, silent
from eavctl.storage import artifacts, tables
from eavctl.storage.paths import named
from eavctl.training.cross_validation import (
    Evaluation,
    Planned,
    Targets,
    Trained,
    guard,
    plan_rows,
    train_rows,
)
from eavctl.training.fusion_fitter import FusionFitter, FusionWitness, Start
from eavctl.training.joined_tables import Joined, join_features


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

    Raises
    ------
    UsageError, DataError : see `eavctl.storage.paths.named`.
    """

    tables: Sequence[str | os.PathLike[str]]
    encoders: Sequence[str] = ()
    size: str | None = None
    init: Sequence[str | os.PathLike[str]] = ()
    partial: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "tables", named(self.tables))
        object.__setattr__(self, "init", named(self.init))
        if isinstance(self.encoders, str):
            object.__setattr__(self, "encoders", (self.encoders,))


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
            if model.meta["protocol"]["normalize"]:
                raise UsageError(
                    f"{path} was trained with --normalize, which fuse does not do; train it without"
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
                name = _checked(asked[number], path) if asked else _default(path, by_layers)
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


def _checked(encoder: str, path: str | os.PathLike[str]) -> str:
    """The encoder, if it is for tables of this one's modality."""
    meta = tables.read_feature_meta(path)
    check_modality(encoder, meta["modality"], _has_columns(meta))
    return encoder


def _default(path: str | os.PathLike[str], by_layers: bool) -> str:
    meta = tables.read_feature_meta(path)
    return default_encoder(meta["features"], _has_columns(meta), tokens=by_layers)


def _has_columns(meta: Mapping[str, Any]) -> bool:
    return registry.get("features", meta["features"]).facts["columns"] is not None


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
    on_fold: Tick = silent,
) -> Trained:
    """Train a fusion network on feature tables, judge it by folds and with every subset of its inputs.

    Parameters
    ----------
    planned : tables, method and settings.
    targets : the model (.pt) and the out-of-fold predictions; either can be left out.
    settings, evaluation : see `TrainSettings` and `Evaluation`.

    Raises
    ------
    LeakError : as in `eavctl.training.cross_validation.train`; also where a model of ``--init`` was
        trained on test rows.
    DataError, UsageError : the tables do not fit together, or the encoders not the tables or the method.
    """
    joined, fitter = _prepared(planned, targets, settings, log_dir, force)
    witness = FusionWitness(fitter, joined)
    return train_rows(
        joined.table, targets, fitter, evaluation, witness=witness, force=force, on_fold=on_fold
    )


def plan(
    planned: FusionPlan,
    targets: Targets,
    settings: TrainSettings,
    evaluation: Evaluation,
    *,
    force: bool = False,
) -> Planned:
    """What `fuse_network` would do of the same parameters; nothing is fitted or written.

    Raises
    ------
    LeakError, DataError, UsageError : where `fuse_network` raises them before it fits.
    """
    joined, fitter = _prepared(planned, targets, settings, None, force)
    return plan_rows(joined.table, targets, fitter, evaluation, force=force)


def _prepared(
    planned: FusionPlan, targets: Targets, settings: TrainSettings, log_dir: Path | None, force: bool
) -> tuple[Joined, FusionFitter]:
    """The joined rows, which know their streams' encoders, and what would train on them."""
    joined = planned.join()
    fitter = planned.fitter(joined, settings, log_dir)
    guard(targets, fitter, [*planned.inputs.tables, *planned.inputs.init], force=force)
    streams = [
        {**facts, "encoder": encoder, "encoder_settings": chosen}
        for facts, (encoder, chosen) in zip(joined.table.facts["streams"], planned.encoders, strict=True)
    ]
    table = replace(joined.table, facts={"method": planned.method, "streams": streams})
    return replace(joined, table=table), fitter

"""What a fusion network is made of: feature tables, an encoder for each, and trained models to start from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from eavctl import registry
from eavctl.encoders.choice import check_modality, default_encoder, runs_by_layers, settings_of_size
from eavctl.errors import DataError, UsageError
from eavctl.fusion.networks.model import Design, StreamDesign
from eavctl.fusion.pooled import COLUMN_MODELS
from eavctl.storage import artifacts, tables
from eavctl.storage.metadata import FeatureMeta, ModelMeta
from eavctl.storage.ownership import NAMES, kind_of
from eavctl.storage.paths import named
from eavctl.training.encoder_start import EncoderStart
from eavctl.training.fusion_fitter import Start
from eavctl.training.joined_tables import JoinedTables, join_features
from eavctl.training.linear_fitter import LinearFitter
from eavctl.training.pooled_fit import ColumnFit
from eavctl.training.rows import EQUAL, of_corpora, relabelled
from eavctl.training.svm_fitter import SvmFitter

FITTERS: Mapping[str, type[SvmFitter] | type[LinearFitter]] = {"svm": SvmFitter, "linear": LinearFitter}
EVERY, SOME = "every", "some"  # of the encoders run layer by layer, by what a fusion network registers


@dataclass(frozen=True)
class FusionSetup:
    """Feature tables, one a stream, and how a network encodes and fuses them.

    Parameters
    ----------
    tables : feature tables, one a stream; one may be named twice, for two encoders.
    method : a registered fusion network.
    encoders : one a table, in the order of the tables; none: chosen by the tables' feature sets. For columns
        also a name of `eavctl.fusion.pooled.COLUMN_MODELS`, if ``single_models``.
    size : base or tiny, of encoders that have sizes and are trained from scratch.
    init : models of train-dnn, or encoders of pretrain, from which streams start, each matched to a table by
        its features.
    partial : keep samples with a missing modality.
    network_settings : keywords of the method's class.
    labels, corpora : as in `eavctl.training.rows.read_training_set`.
    single_models : columns are taken by a classifier in place of an encoder, unless an encoder is named.
    seed : of these classifiers.

    Raises
    ------
    UsageError : no table, an empty name, or no such method.
    DataError : a file that does not exist, or a prediction table.
    """

    tables: Sequence[str | os.PathLike[str]]
    method: str = "attention"
    encoders: Sequence[str] = ()
    size: str | None = None
    init: Sequence[str | os.PathLike[str]] = ()
    partial: bool = False
    network_settings: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str | None] = field(default_factory=dict)
    corpora: str = EQUAL
    single_models: bool = False
    seed: int = 42

    def __post_init__(self) -> None:
        if self.method in registry.names("fusers"):
            raise UsageError(
                f"{self.method!r} fuses prediction tables, which 'eavctl fuse' does; choose one of "
                f"{', '.join(registry.names('fusion networks'))}"
            )
        registry.get("fusion networks", self.method)
        object.__setattr__(self, "tables", named(self.tables))
        object.__setattr__(self, "init", named(self.init))
        if isinstance(self.encoders, str):
            object.__setattr__(self, "encoders", (self.encoders,))
        for path in self.tables:
            if kind_of(path) == "predictions":
                raise DataError(
                    f"{path}: this is {NAMES['predictions']}; {NAMES['features']} is wanted here.\n"
                    "Fuse prediction tables with 'eavctl fuse'."
                )

    @cached_property
    def starts(self) -> tuple[Start | EncoderStart | None, ...]:
        """For each table the model or the encoder from which its stream starts, or None.

        Raises
        ------
        UsageError : a model of another command than train-dnn and pretrain, an exported one, or one trained
            with ``--normalize``.
        DataError : a model that was trained on the features of no table that is left; or a file of encoders,
            of which none was.
        """
        found: list[Start | EncoderStart | None] = [None] * len(self.tables)
        hashes = [tables.read_feature_meta(table).features_hash for table in self.tables]
        for path in self.init:
            starts = _starts_of(path)
            used = False
            for features, start in starts:
                free = [i for i, each in enumerate(hashes) if each == features.features_hash and not found[i]]
                if free:
                    found[free[0]], used = start, True
            if not used:
                names = " and ".join(repr(features.features) for features, _ in starts)
                raise DataError(
                    f"{path} was trained on features {names} with other settings than any remaining table "
                    "has; name the tables that the models were trained on"
                )
        return tuple(found)

    @cached_property
    def stream_encoders(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        """Name and settings of each stream's encoder: of its start, as asked for, or by the feature set.

        Raises
        ------
        UsageError : not one encoder a table, one of another modality, or one that the method cannot use.
        """
        if self.encoders and len(self.encoders) != len(self.tables):
            raise UsageError(f"{len(self.encoders)} encoders for {len(self.tables)} tables: give one a table")
        by_layers = self._by_layers
        chosen: list[tuple[str, dict[str, Any]]] = []
        for number, (path, start) in enumerate(zip(self.tables, self.starts, strict=True)):
            if start:
                name, settings = start.encoder, start.encoder_settings
            elif single := self._column_model(number):
                name, settings = single, {}
            else:
                name = _checked(self.encoders[number], path) if self.encoders else _default(path, by_layers)
                settings = _settings(name, self.size)
            if by_layers == EVERY and (name in COLUMN_MODELS or not runs_by_layers(name)):
                able = [each for each in registry.names("encoders") if runs_by_layers(each)]
                raise UsageError(
                    f"{self.method} exchanges tokens between transformer layers, and {name!r} has none: "
                    f"choose {' or '.join(able)}, or --method attention"
                )
            chosen.append((name, settings))
        return tuple(chosen)

    def _column_model(self, number: int) -> str | None:
        """The classifier of a table of columns, as asked for or by its feature set; None for an encoder."""
        named = self.encoders[number] if self.encoders else None
        if named not in (None, *COLUMN_MODELS):
            return None
        path = self.tables[number]
        meta = tables.read_feature_meta(path)
        if named and meta.columns is None:
            raise UsageError(f"{path}: {named} takes tables of columns, and this one holds tensors")
        if named and not self.single_models:
            raise UsageError(f"{named} is for train-fusion: name an encoder, such as mlp")
        if meta.columns is None or not self.single_models or self._by_layers == EVERY:
            return named
        return named or ("linear" if registry.get("features", meta.features).facts.get("matrices") else "svm")

    @property
    def _by_layers(self) -> str | None:
        """Which of the encoders the method runs layer by layer."""
        found: str | None = registry.get("fusion networks", self.method).facts.get("by_layers")
        return found

    @cached_property
    def columns(self) -> dict[int, ColumnFit]:
        """By the number of the table, what fits the classifier of its columns."""
        found: dict[int, ColumnFit] = {}
        for number, (name, _) in enumerate(self.stream_encoders):
            if name in FITTERS:
                meta = tables.read_feature_meta(self.tables[number])
                found[number] = FITTERS[name](self.seed).taking(meta.features, meta.settings)
        return found

    def join(self) -> JoinedTables:
        """The rows of all tables, joined on ``sample_id``, with the classes and weights asked for.

        Raises
        ------
        UsageError, DataError : as `eavctl.training.joined_tables.join_features`.
        """
        joined = join_features(self.tables, [name for name, _ in self.stream_encoders], partial=self.partial)
        return replace(joined, data=of_corpora(relabelled(joined.data, self.labels), self.corpora))

    def design(self, joined: JoinedTables) -> Design:
        """The network for the joined rows.

        Raises
        ------
        UsageError : a setting that the method does not have, or a value that it does not take.
        """
        streams = tuple(
            StreamDesign(name, *encoder, shape)
            for name, encoder, shape in zip(
                joined.names, self.stream_encoders, joined.data.rows.streams.shapes, strict=True
            )
        )
        settings = registry.get("fusion networks", self.method).with_defaults(self.network_settings)
        return Design(self.method, streams, settings)


def _starts_of(path: str | os.PathLike[str]) -> list[tuple[FeatureMeta, Start | EncoderStart]]:
    """What streams can start from in a file, each with the features that it takes."""
    meta = artifacts.read_meta(path)
    if meta.kind == artifacts.ENCODER:
        return [(start.features, start) for start in EncoderStart.all_of(path)]
    features = _features_of(path, meta)
    return [(features, Start(os.fspath(path), artifacts.load(path), tuple(artifacts.load_folds(path))))]


def _features_of(path: str | os.PathLike[str], meta: ModelMeta) -> FeatureMeta:
    """The features of a model that a stream can start from."""
    if meta.export:
        raise UsageError(
            f"{path}: an exported model cannot be trained on; --init takes the .pt file that it is from"
        )
    if meta.kind != "dnn" or meta.features is None:
        raise UsageError(
            f"{path}: a model of kind {meta.kind!r}; --init takes models of train-dnn, encoders of pretrain"
        )
    if meta.protocol.normalize:
        raise UsageError(
            f"{path} was trained with --normalize, which train-fusion does not do; train it without"
        )
    return meta.features


def _checked(encoder: str, path: str | os.PathLike[str]) -> str:
    """The encoder, if it takes tables of this one's modality."""
    meta = tables.read_feature_meta(path)
    check_modality(encoder, meta.modality, meta.columns is not None)
    return encoder


def _default(path: str | os.PathLike[str], by_layers: str | None) -> str:
    """The encoder for a table, of those that run layer by layer where the method wants every or some to."""
    meta = tables.read_feature_meta(path)
    is_column = meta.columns is not None
    if by_layers == SOME:
        with suppress(UsageError):
            return default_encoder(meta.features, is_column, tokens=True)
    return default_encoder(meta.features, is_column, tokens=by_layers == EVERY)


def _settings(encoder: str, size: str | None) -> dict[str, Any]:
    """Settings of an encoder in a fusion; ``size`` leaves encoders without sizes as they are."""
    entry = registry.get("encoders", encoder)
    sized = settings_of_size(encoder, size) if size and entry.facts.get("sizes") else {}
    return entry.with_defaults({**entry.facts.get("fused", {}), **sized})

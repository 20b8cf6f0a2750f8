"""Feature tables to a pretrained encoder, by self-supervision."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from eavctl import registry
from eavctl.augmentations.kind import Kind
from eavctl.augmentations.pipeline import DEFAULT, NONE, known, pipeline
from eavctl.classifiers.fitting import Keeping
from eavctl.classifiers.network import Augmentation
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import taken
from eavctl.classifiers.training_loop import Epoch
from eavctl.encoders.choice import settings_of_size
from eavctl.errors import DataError, UsageError
from eavctl.evaluation.groups import units
from eavctl.evaluation.trained_on import TrainedOn
from eavctl.pretraining.encoder_model import EncoderModel, StreamEncoder
from eavctl.pretraining.fit import Design, fit, train_settings
from eavctl.pretraining.stream_encoders import StreamViews
from eavctl.progress import Tick, silent
from eavctl.storage import artifacts, files, ownership
from eavctl.storage.artifacts import ENCODER
from eavctl.storage.ownership import Output
from eavctl.storage.paths import Paths, listed, named
from eavctl.storage.provenance import hash_json, versions
from eavctl.training.dnn_fitter import DnnFitter, encoder_for
from eavctl.training.joined_tables import join_unlabelled
from eavctl.training.rows import TableFacts, TrainingSet, facts_of
from eavctl.training.selection import Selection
from eavctl.training.stacking import read_stacked
from eavctl.training.train import PACKAGES


@dataclass(frozen=True)
class PretrainingChoice:
    """What to pretrain, and how.

    Parameters
    ----------
    method, method_settings : name among the pretraining methods, and keywords of its class.
    encoder, encoder_settings : name in the registry, by default the one for the table's feature set, and
        keywords of its class. For a method that aligns tables one name each, as ``eegnet,cnn-lstm``, and no
        keywords.
    size : ``base`` (as published) or ``tiny``, of encoders that have sizes; by default ``base``, of
        ``eegnet`` with shorter kernels.
    augment : names of the augmentations that make the views, see `eavctl.augmentations.pipeline.pipeline`; by
        default those of the table's kind of rows, or else the encoder's own.
    training : values of `eavctl.classifiers.training_loop.TrainSettings` in place of the method's defaults;
        ``epochs`` 0 keeps random weights.
    """

    method: str = "simclr"
    method_settings: Mapping[str, Any] = field(default_factory=dict)
    encoder: str | None = None
    size: str | None = None
    encoder_settings: Mapping[str, Any] = field(default_factory=dict)
    augment: Sequence[str] = ()
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pretrained:
    """The result of a pretraining.

    Parameters
    ----------
    meta : of the file.
    warnings : on the data and the embedding.
    """

    meta: Mapping[str, Any]
    warnings: tuple[str, ...]
    up_to_date: bool = False


@dataclass(frozen=True)
class Planned:
    """What a pretraining would do: on so many rows, of so many clips, by this design."""

    n_rows: int
    n_clips: int
    design: Design
    warnings: tuple[str, ...]
    up_to_date: bool = False


def pretrain(
    tables: Paths,
    out: str | os.PathLike[str],
    choice: PretrainingChoice | str = "simclr",
    *,
    selection: Selection | None = None,
    log_dir: str | os.PathLike[str] | None = None,
    force: bool = False,
    on_epoch: Tick = silent,
) -> Pretrained:
    """Pretrain an encoder on rows of which no label is needed.

    Labels, where there are some, are used for the kNN score of each epoch alone. An interrupted pretraining
    resumes from its checkpoint, kept beside the output, to the same weights. The first epoch whose embedding
    has collapsed is a `eavctl.errors.TrainingWarning`.

    Parameters
    ----------
    tables : feature table, or several, which are stacked; or, for a method that aligns modalities, one of
        each, which are joined by ``sample_id``. Rows that ``selection.without`` names are then not trained
        on, and retrieval between the modalities is measured on them too.
    out : file (.pt) to write.
    choice : what to pretrain, or the name of the method.
    selection : rows to take; by default all.
    log_dir : folder for TensorBoard scalars.
    force : overwrite a file that eavctl did not write, pretrain even if up to date, and keep an encoder that
        has collapsed.
    on_epoch : called with the number of epochs done, of all, and the figures of the last.

    Raises
    ------
    DataError : a table that cannot be read, or does not fit the encoder; or the embedding has collapsed.
    UsageError : no such method, encoder, augmentation or setting, an output that must not be overwritten, or
        whose name does not end in .pt.
    BusyError : another process is writing the output.
    """
    work = _prepared(tables, out, choice, selection or Selection(), force)
    if not force and (earlier := work.up_to_date()):
        files.touch(out)
        return earlier
    n_epochs = work.design.describe()["settings"]["epochs"]

    def report(epoch: Epoch) -> None:
        on_epoch(epoch.epoch, n_epochs, _note(epoch))

    with files.keeping_parts(out) as parts:
        checkpoint = parts / work.training_hash if parts else None
        keeping = Keeping(checkpoint, Path(log_dir) if log_dir else None, report)
        model = fit(work.data.rows, work.design, labels=work.labels, held_out=work.held_out, keeping=keeping)
        warnings = (*work.data.facts.notes, *_collapse(model, work.design, force))
        meta = {**work.meta(), "protocol": {"name": "self-supervised", "warnings": list(warnings)}}
        meta["pretraining"] = model.facts
        artifacts.save(out, model, meta)
    return Pretrained(meta, warnings)


def plan(
    tables: Paths,
    out: str | os.PathLike[str],
    choice: PretrainingChoice | str = "simclr",
    *,
    selection: Selection | None = None,
    force: bool = False,
) -> Planned:
    """What `pretrain` would do of the same parameters; nothing is fitted or written.

    Raises
    ------
    DataError, UsageError : where `pretrain` raises them before it fits.
    """
    work = _prepared(tables, out, choice, selection or Selection(), force)
    up_to_date = not force and work.up_to_date() is not None
    n_clips = len(work.trained_on.clips)
    return Planned(len(work.data.rows), n_clips, work.design, work.data.facts.notes, up_to_date)


@dataclass(frozen=True)
class _Work:
    """A pretraining that has been checked.

    Parameters
    ----------
    data : the rows, without classes.
    held_out : rows that were left out by name, on which retrieval is measured.
    """

    data: TrainingSet
    design: Design
    out: str | os.PathLike[str]
    held_out: Rows | None = None

    @property
    def labels(self) -> np.ndarray | None:
        """Class numbers, -1 for rows without a label, shape (n_rows,); None of several modalities."""
        if len(self.design.encoders) > 1:
            return None
        labels = self.data.rows.key_frame["label"]
        has_label = labels.notna().to_numpy()
        numbers = np.full(len(labels), -1)
        numbers[has_label] = np.unique(labels[has_label].to_numpy(str), return_inverse=True)[1]
        return numbers

    @property
    def trained_on(self) -> TrainedOn:
        """Persons, clips and recordings of the rows."""
        return TrainedOn.of_keys(self.data.rows.key_frame)

    @property
    def training_hash(self) -> str:
        """A hash of all that the result depends on."""
        table, design = self.data.facts.content_hash, self.design.describe()
        return hash_json({"kind": ENCODER, "table": table, "design": design, "versions": versions(*PACKAGES)})

    def meta(self) -> dict[str, Any]:
        """What the file says of the rows and of the design."""
        facts = self.data.facts
        return {
            "kind": ENCODER,
            **facts.features,
            "seed": self.design.settings.seed,
            **facts.choices,
            "trained_on": {"table": facts.content_hash, **self.trained_on.to_meta()},
            "n_rows": len(self.data.rows),
            "training_hash": self.training_hash,
            "versions": versions(*PACKAGES),
        }

    def up_to_date(self) -> Pretrained | None:
        """The result of an earlier run of the same pretraining, if its file is there."""
        if not files.is_file(self.out):
            return None
        try:
            meta = artifacts.read_meta(self.out)
        except DataError:
            return None
        if meta.training_hash != self.training_hash:
            return None
        return Pretrained(meta.json, tuple(meta.protocol.warnings), up_to_date=True)


def _prepared(
    tables: Paths,
    out: str | os.PathLike[str],
    choice: PretrainingChoice | str,
    selection: Selection,
    force: bool,
) -> _Work:
    """Check the outputs and the choices, and read the rows."""
    chosen = PretrainingChoice(choice) if isinstance(choice, str) else choice
    paths = listed(tables)
    ownership.guard([Output(out, "model")], paths, force=force)
    artifacts.check_name(out, ENCODER)
    if registry.get("pretraining methods", chosen.method).facts.get("aligns"):
        data, held_out = _joined_rows(named(paths), selection)
        design = _design(paths, chosen, data)
        return _Work(_with_encoders(data, design), design, out, held_out)
    data = _rows(named(paths), selection)
    return _Work(data, _design(paths[:1], chosen, data), out)


def _rows(paths: Sequence[str], selection: Selection) -> TrainingSet:
    """The selected rows of feature tables, without classes."""
    stacked = read_stacked(paths, stored=True)
    table = stacked.table
    facts = facts_of(table)
    facts = replace(facts, notes=(*facts.notes, *stacked.notes))
    numbers = selection.rows(table.keys)
    keys = table.keys.iloc[numbers].reset_index(drop=True)
    x = table.x if len(numbers) == len(table) else taken(table.x, numbers)
    if selection:
        content = hash_json([facts.content_hash, selection.describe()])
        facts = replace(facts, content_hash=content, choices={"selection": selection.describe()})
    return TrainingSet(replace(Rows.of(x, None, units=units(keys)), keys=keys), facts)


def _joined_rows(paths: Sequence[str], selection: Selection) -> tuple[TrainingSet, Rows | None]:
    """The selected rows of tables of several modalities, and those that are left out by name."""
    joined = join_unlabelled(paths).data
    rows, facts = joined.rows, joined.facts
    keys = rows.key_frame
    numbers = selection.rows(keys)
    held_out = np.setdiff1d(Selection(selection.where).rows(keys), numbers)
    if selection:
        content = hash_json([facts.content_hash, selection.describe()])
        facts = replace(facts, content_hash=content, choices={"selection": selection.describe()})
    return TrainingSet(rows.taking(numbers), facts), rows.taking(held_out) if len(held_out) else None


def _with_encoders(data: TrainingSet, design: Design) -> TrainingSet:
    """The rows, whose facts name the encoder of each stream."""
    streams = [
        {**stream, "encoder": each.name, "encoder_settings": dict(each.settings)}
        for stream, each in zip(data.facts.features["streams"], design.encoders, strict=True)
    ]
    return replace(data, facts=replace(data.facts, features={"streams": streams}))


def _encoders(
    tables: Sequence[str | os.PathLike[str]], choice: PretrainingChoice, facts: TableFacts
) -> tuple[StreamEncoder, ...]:
    """The encoder of each table, once it fits the table.

    Raises
    ------
    UsageError : not one encoder a table, or keywords for several.
    """
    streams = facts.features.get("streams") or [{"name": "", **facts.features}]
    names = choice.encoder.split(",") if choice.encoder else [encoder_for(table) for table in tables]
    if len(names) != len(streams):
        raise UsageError(f"{len(names)} encoders for {len(streams)} tables; give one a table")
    if len(streams) > 1 and choice.encoder_settings:
        raise UsageError("--set is for one encoder, and there are several; choose a --size for them")
    found = []
    for name, stream in zip(names, streams, strict=True):
        has_size = len(streams) == 1 or registry.get("encoders", name.strip()).facts.get("sizes")
        sized = settings_of_size(name.strip(), choice.size) if choice.size and has_size else {}
        encoder = DnnFitter(name.strip(), {**sized, **choice.encoder_settings})
        encoder.check_table(replace(facts, features=stream))
        shape = tuple(stream["shape"])
        found.append(StreamEncoder(stream["name"], encoder.encoder, encoder.encoder_settings, shape))
    return tuple(found)


def _design(tables: Sequence[str | os.PathLike[str]], choice: PretrainingChoice, data: TrainingSet) -> Design:
    """The design that is asked for, once it fits the tables."""
    training = dict(choice.training)
    trains = training.get("epochs") != 0
    if not trains:
        training.pop("epochs")
    entry = registry.get("pretraining methods", choice.method)
    return Design(
        choice.method,
        entry.with_defaults(choice.method_settings),
        _encoders(tables, choice, data.facts),
        train_settings(choice.method, **training),
        trains,
        _views(choice.augment, data.facts.features),
    )


def _views(names: Sequence[str], features: Mapping[str, Any]) -> Augmentation | None:
    """The augmentations that make the views; None for those of the encoder."""
    if "streams" in features:
        return _views_of_streams(names, features["streams"])
    kind = Kind.of(features)
    return None if kind is None and not names else pipeline(kind, names)


def _views_of_streams(names: Sequence[str], streams: Sequence[Mapping[str, Any]]) -> StreamViews:
    """The augmentations of each stream: of those that are named the ones that its rows have.

    Raises
    ------
    UsageError : no stream has an augmentation of a name.
    """
    kinds = [Kind.of(stream) for stream in streams]
    if not names or list(names) in ([NONE], [DEFAULT]):
        views = [pipeline(kind, names) if kind or list(names) == [NONE] else None for kind in kinds]
    else:
        fitting = [known(kind) if kind else [] for kind in kinds]
        if odd := [name for name in names if not any(_name_of(name) in each for each in fitting)]:
            able = ", ".join(dict.fromkeys(itertools.chain(*fitting)))
            raise UsageError(f"--augment {odd[0]}: no table has it; they have {able}")
        chosen = [[name for name in names if _name_of(name) in each] for each in fitting]
        views = [pipeline(kind, each or [NONE]) for kind, each in zip(kinds, chosen, strict=True)]
    return StreamViews(tuple(stream["name"] for stream in streams), tuple(views))


def _name_of(augmentation: str) -> str:
    """The name in a text that may hold settings, such as ``jitter:0.2``."""
    return augmentation.split(":")[0].strip()


def _note(epoch: Epoch) -> str:
    """The figures of an epoch in a line."""
    forms = {"spread": "{:.2f}/sqrt(d)", "rank": "{:.1f}"}
    shown = {"loss": epoch.loss, **epoch.monitored}
    return ", ".join(
        f"{name} {forms.get(name.split()[-1], '{:.3f}').format(value)}" for name, value in shown.items()
    )


def _collapse(model: EncoderModel, design: Design, force: bool) -> list[str]:
    """A warning of a training that ended with a collapsed embedding, which is an error unless forced."""
    facts = model.facts
    if not (design.trains and facts["collapsed"]):
        return []
    times = facts["spread"] / facts["spread_of_chance"]
    text = (
        f"{design.method} ended with a collapsed embedding: spread {times:.3f}/sqrt(d), effective rank "
        f"{facts['effective_rank']:.1f} of {facts['embedding_dim']}"
    )
    if not force:
        raise DataError(f"{text}.\nChange --lr, --augment or --method; or keep the encoder with --force.")
    return [text]

"""Feature tables to rows that a training takes, and what its outputs say of the tables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Features
from eavctl.errors import DataError, UsageError
from eavctl.evaluation.groups import identify
from eavctl.features.normalize import bands_of, standardize_by_group
from eavctl.storage.tables import NAMES_RECORDINGS, FeatureTable, read_features

NO_RECORDINGS = (
    "the table was written by an older eavctl and does not name the recordings of its rows: clips that "
    "overlap in one recording are not detected; extract again"
)
_FROM_FEATURES = (
    "modality",
    "features",
    "features_version",
    "settings",
    "rate",
    "units",
    "features_hash",
    "segment",
    "shape",
)


@dataclass(frozen=True)
class TableFacts:
    """What outputs of a training say of the feature table, or of several that were joined.

    Parameters
    ----------
    name : of the features, for titles.
    modalities : of the features.
    features : how they were extracted, as the model's meta keeps it; for several tables, that of each under
        ``streams``.
    content_hash : of all that the rows hold.
    notes : sentences on rows that were left out, and on what is not known of the rows.
    distinct_names : labels and subjects that differ in case or spacing alone are different ones.
    normalize : ``"speaker"`` where each speaker's features were standardised.
    """

    name: str
    modalities: tuple[str, ...]
    features: Mapping[str, Any]
    content_hash: str
    notes: tuple[str, ...] = ()
    distinct_names: bool = False
    normalize: str | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the joined tables' streams; none of a single table."""
        return tuple(stream["name"] for stream in self.features.get("streams", ()))

    @property
    def columns(self) -> list[str] | None:
        """Names of the features; None of tensors and of several tables."""
        return self.features.get("columns")


@dataclass(frozen=True)
class TrainingSet:
    """Labelled rows, and the table that they come from."""

    rows: Rows
    facts: TableFacts


def read_training_set(path: str | os.PathLike[str], *, normalize: str | None = None) -> TrainingSet:
    """Read the labelled rows of a feature table.

    Parameters
    ----------
    normalize : ``"speaker"`` standardises the features of each speaker by that speaker's own rows.

    Raises
    ------
    DataError : no feature table, no labels; or no subjects, by which to normalise.
    UsageError : features that cannot be normalised.
    """
    if normalize not in (None, "speaker"):
        raise UsageError(f"--normalize takes 'speaker', not {normalize!r}")
    found = training_set_of(read_features(path))
    return normalized(found) if normalize else found


def training_set_of(features: FeatureTable) -> TrainingSet:
    """The labelled rows of a feature table in memory.

    Raises
    ------
    DataError : no row has a label.
    """
    return labelled(features.keys, features.x, features.meta["classes"], facts_of(features))


def facts_of(features: FeatureTable) -> TableFacts:
    """What outputs say of a feature table."""
    meta = features.meta
    columns = list(features.columns) if features.columns is not None else None
    return TableFacts(
        meta["features"],
        (meta["modality"],),
        {**{key: meta[key] for key in _FROM_FEATURES}, "columns": columns, "speech": meta.get("speech")},
        meta["content_hash"],
        () if meta["schema_version"] >= NAMES_RECORDINGS else (NO_RECORDINGS,),
        meta.get("distinct_names", False),
    )


def labelled(keys: pd.DataFrame, x: Features, classes: Sequence[str], facts: TableFacts) -> TrainingSet:
    """The rows that have labels; a note counts the others.

    Parameters
    ----------
    classes : ordered names; those that occur are kept.

    Raises
    ------
    DataError : no row has a label, or one has a label that is not among the classes.
    """
    has_label = keys["label"].notna().to_numpy()
    if not has_label.any():
        raise DataError("the table has no labels; extract from a layout that names classes, or with --events")
    if not has_label.all():
        note = f"{int((~has_label).sum())} rows without a label were left out"
        facts = replace(facts, notes=(*facts.notes, note))
        keys, x = keys[has_label].reset_index(drop=True), x[np.flatnonzero(has_label)]
    labels = keys["label"].to_numpy(dtype=str)
    there = set(labels)
    if unknown := sorted(there - set(classes)):
        raise DataError(f"the label {unknown[0]!r} is not among the classes of the table; extract again")
    names = tuple(str(name) for name in classes if name in there)
    number = {name: i for i, name in enumerate(names)}
    y = np.array([number[label] for label in labels], np.int64)
    return TrainingSet(Rows(x, y, names, keys=keys), facts)


def normalized(found: TrainingSet) -> TrainingSet:
    """The rows with each speaker's features standardised.

    Raises
    ------
    UsageError : features of several tables, or pictures.
    DataError : a row without a subject.
    """
    rows, facts = found.rows, found.facts
    if not isinstance(rows.x, np.ndarray) or rows.x.dtype == np.uint8:
        raise UsageError(
            "--normalize speaker is for the signals of one table, not for pictures; leave it out"
        )
    if rows.key_frame["subject"].isna().any():
        raise DataError("--normalize speaker needs a subject for every row; this table lacks some or all")
    bands = bands_of(facts.features["features"])
    x = standardize_by_group(rows.x, identify(rows.key_frame, "subject").astype(str), bands)
    features = {**facts.features, "normalized": bands._asdict()}
    return TrainingSet(replace(rows, x=x), replace(facts, features=features, normalize="speaker"))

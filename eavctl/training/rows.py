"""The rows of a training, of one feature table or of several that were joined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from eavctl.errors import DataError, UsageError
from eavctl.evaluation.groups import identify
from eavctl.features.normalize import bands_of, standardize_by_group
from eavctl.storage.tables import NAMES_RECORDINGS, FeatureTable

NO_RECORDINGS = (
    "an older eavctl wrote the table, which does not say of which recordings its rows are: clips that "
    "overlap in one recording go unnoticed; extract again"
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
class TrainingTable:
    """Labelled rows as a training takes them.

    Parameters
    ----------
    keys : one row a sample.
    x : features, an array (n_rows, *shape) or, of several tables, `eavctl.classifiers.streams.Streams`.
    name : of the features, for titles.
    modalities : that they come from.
    facts : what the model's meta takes over: how the features were made.
    classes : ordered names.
    content_hash : of all that the rows hold.
    left_out : what was left out, and what cannot be told of the rows, in sentences.
    distinct_names : labels and subjects that differ in case or spacing alone are different ones.
    """

    keys: pd.DataFrame
    x: Any  # an array or Streams: fitters know which they take
    name: str
    modalities: tuple[str, ...]
    facts: Mapping[str, Any]
    classes: tuple[str, ...]
    content_hash: str
    left_out: tuple[str, ...] = ()
    distinct_names: bool = False

    def __len__(self) -> int:
        return len(self.keys)


def of_features(features: FeatureTable) -> TrainingTable:
    """A feature table for training."""
    meta = features.meta
    columns = list(features.columns) if features.columns is not None else None
    return TrainingTable(
        features.keys,
        features.x,
        meta["features"],
        (meta["modality"],),
        {**{key: meta[key] for key in _FROM_FEATURES}, "columns": columns},
        tuple(meta["classes"]),
        meta["content_hash"],
        () if meta["schema_version"] >= NAMES_RECORDINGS else (NO_RECORDINGS,),
        meta.get("distinct_names", False),
    )


def labelled(table: TrainingTable) -> TrainingTable:
    """The rows that have labels; how many others there were stands in ``left_out``."""
    has_label = table.keys["label"].notna().to_numpy()
    if not has_label.any():
        raise DataError("the table has no labels; extract from a layout that names classes, or with --events")
    if has_label.all():
        return table
    left = f"{int((~has_label).sum())} rows without a label were left out"
    keys, x = table.keys[has_label].reset_index(drop=True), table.x[np.flatnonzero(has_label)]
    return replace(table, keys=keys, x=x, left_out=(*table.left_out, left))


def normalized(table: TrainingTable) -> TrainingTable:
    """The table with each speaker's features standardised."""
    if not isinstance(table.x, np.ndarray) or table.x.dtype == np.uint8:
        raise UsageError(
            "--normalize speaker is for the signals of one table, not for pictures; leave it out"
        )
    if table.keys["subject"].isna().any():
        raise DataError("--normalize speaker needs a subject for every row; this table lacks some or all")
    bands = bands_of(table.facts["features"])
    x = standardize_by_group(table.x, identify(table.keys, "subject").astype(str), bands)
    return replace(table, x=x, facts={**table.facts, "normalized": bands._asdict()})

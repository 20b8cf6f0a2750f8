"""Several feature tables of one kind as one table, which holds the rows of all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from eavctl.classifiers.streams import RowsOf
from eavctl.errors import DataError, LeakError, SettingsError
from eavctl.evaluation.groups import copies, identify, short
from eavctl.evaluation.trained_on import JOINED
from eavctl.storage.files import STDIO
from eavctl.storage.keys import AUGMENT, COPY, KEYS, extras
from eavctl.storage.metadata import FeatureMeta
from eavctl.storage.provenance import hash_json
from eavctl.storage.stored_rows import read_stored, stored_if_large
from eavctl.storage.tables import (
    FeatureTable,
    key_frame,
    read_feature_meta,
    read_features,
    read_keys,
    read_meta,
    read_rows,
)

FILE = "\0file"  # a column that no table has: the table of each row, while tables are stacked


@dataclass(frozen=True)
class Stacked:
    """The rows of several feature tables, sorted by ``sample_id``, and sentences on what is odd about them.

    The order of the tables makes no difference.
    """

    table: FeatureTable
    notes: tuple[str, ...] = ()


def read_stacked(paths: Sequence[str | os.PathLike[str]], *, stored: bool = False) -> Stacked:
    """Read feature tables of equal features and stack them.

    Rows of different data sets stay apart, whatever their names: where a ``sample_id`` occurs in several data
    sets, that of the data set is put before it. Rows without a data set get the name of their file.

    Parameters
    ----------
    paths : feature tables; a single one is read as it is.
    stored : leave large features on the disk, see `eavctl.training.rows.read_training_set`.

    Raises
    ------
    SettingsError : tables of other features, settings, segments or epochs; the message names two of them.
    LeakError : a recording that is in two data sets.
    DataError : a table that cannot be read, a row that is in two tables, or two tables without a data set
        that would become one.
    """
    names = [os.fspath(path) for path in paths]
    if len(names) == 1:
        return Stacked((read_stored if stored else read_features)(names[0]))
    metas = [read_feature_meta(name) for name in names]
    for name, meta in zip(names[1:], metas[1:], strict=True):
        _check_agree(names[0], metas[0], name, meta)
    frames = _with_datasets([read_keys(name) for name in names], names)
    for frame, name in zip(frames, names, strict=True):
        frame[FILE] = name
    rows = pd.concat(frames, ignore_index=True)
    _check_apart(rows)
    rows, notes = _renamed(rows)
    order = rows["sample_id"].argsort(kind="stable").to_numpy()
    place = np.empty(len(rows), int)
    place[order] = np.arange(len(rows))
    kept = (*KEYS, *([AUGMENT] if AUGMENT in rows else []), *extras(rows.drop(columns=FILE)))
    keys = key_frame(rows.iloc[order].reset_index(drop=True), kept)
    rest = stored_if_large(names) if stored else None
    if rest is not None:
        x: Any = RowsOf(rest, order)
    else:
        x = read_rows(names, np.split(place, np.cumsum([len(frame) for frame in frames])[:-1]))
    columns = tuple(metas[0].columns) if metas[0].columns is not None else None
    about = _joint_meta([read_meta(name) for name in names], sorted(set(rows["dataset"])))
    return Stacked(FeatureTable(keys, x, columns, about), (*_shared_datasets(rows), *notes))


def _check_agree(first: str, ours: FeatureMeta, second: str, theirs: FeatureMeta) -> None:
    """Raise a SettingsError unless two tables have equal features."""
    if ours.features_hash != theirs.features_hash:
        differ = ours.words_beside(theirs)
    elif ours.cut != theirs.cut:
        differ = ours.cut, theirs.cut
    elif ours.columns != theirs.columns or list(ours.shape) != list(theirs.shape):
        differ = f"rows of shape {tuple(ours.shape)}", f"of {tuple(theirs.shape)} or with other columns"
    else:
        return
    raise SettingsError(
        f"{first} has {differ[0]}; {second} has {differ[1]}.\n"
        "Extract both with the same --features, settings, --segment, --tmin and --tmax to stack them."
    )


def _with_datasets(frames: Iterable[pd.DataFrame], names: Sequence[str]) -> list[pd.DataFrame]:
    """The keys with a data set for every row.

    Raises
    ------
    DataError : a file's name that would bring its rows without a data set together with those of another.
    """
    frames = list(frames)
    known: dict[str, str] = {}  # the first file of each data set
    for frame, name in zip(frames, names, strict=True):
        known = {**dict.fromkeys(frame["dataset"].dropna(), name), **known}
    found = []
    for frame, name in zip(frames, names, strict=True):
        missing = frame["dataset"].isna()
        stem = "stdin" if name == STDIO else Path(name).stem
        if missing.any():
            if known.setdefault(stem, name) != name:
                raise DataError(
                    f"{name}: rows without a data set, which would be named {stem!r} after the file, and "
                    f"{known[stem]} has one of this name.\n"
                    "Rename the file, or extract from a manifest with a column 'dataset'."
                )
            frame = frame.assign(dataset=frame["dataset"].where(~missing, stem))
        found.append(frame)
    return found


def _check_apart(rows: pd.DataFrame) -> None:
    """Raise a DataError for a row that is in two tables, a LeakError for a recording in two data sets."""
    identities = pd.Series(identify(rows, "sample_id"))
    if identities.duplicated().any():
        second = int(np.flatnonzero(identities.duplicated())[0])
        first = int(np.flatnonzero(identities == identities[second])[0])
        files, row = " and ".join(rows[FILE][[first, second]]), rows.loc[second]
        raise DataError(
            f"{files} both have the sample {row['sample_id']} of the data set {row['dataset']}.\n"
            "Leave one of the two out; or, if they are two data sets, extract each under a name of its own."
        )
    parts = rows[["dataset", "sample_id", FILE]].assign(recording=rows["recording"].str.split(JOINED))
    parts = parts.explode("recording").dropna(subset="recording")
    n_datasets = parts.groupby("recording")["dataset"].nunique()
    twice = n_datasets.index[n_datasets > 1]
    if len(twice):
        same = parts[parts["recording"] == twice[0]].drop_duplicates("dataset")
        one, other = (f"{row.sample_id} of {row.dataset}" for row in same.head(2).itertuples())
        more = f" ({len(twice)} such recordings)" if len(twice) > 1 else ""
        raise LeakError(
            f"leak: {one} and {other} are the same recording in two data sets{more}.\n"
            "Leave one of the two out."
        )


def _renamed(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The rows with a ``sample_id`` each of its own, and a note where some had to be renamed.

    Altered copies are renamed with their clips.
    """
    is_copy = copies(rows)
    clips = rows["sample_id"].where(~is_copy, rows["sample_id"].str.rpartition(COPY)[0])
    twice = rows["sample_id"][~is_copy & rows["sample_id"].duplicated(keep=False)]
    repeated = clips.isin(twice)
    if not repeated.any():
        return rows, []
    own = rows["dataset"] + "/" + rows["sample_id"]
    rows = rows.assign(sample_id=rows["sample_id"].where(~repeated, own))
    if rows["sample_id"].duplicated().any():
        name = rows["sample_id"][rows["sample_id"].duplicated()].iloc[0]
        raise DataError(f"two rows of different data sets would be named {name}; rename one data set")
    note = f"{len(twice)} samples have the name of one in another data set, and get that of their own"
    return rows, [note]


def _shared_datasets(rows: pd.DataFrame) -> list[str]:
    """A note on each data set that is in several tables."""
    notes = []
    for dataset, names in sorted(rows.groupby("dataset")[FILE].unique().items()):
        if len(names) > 1:
            notes.append(f"{', '.join(sorted(names))} have rows of one data set, {short(str(dataset))}")
    return notes


def _joint_meta(metas: Sequence[dict[str, Any]], datasets: Sequence[str]) -> dict[str, Any]:
    """The metadata of the stacked table, whatever the order of the tables."""
    augments = {hash_json(each): each for each in (meta.get("augment") for meta in metas)}
    several = [augments[key] for key in sorted(augments)]
    fullest = sorted((meta["classes"] for meta in metas), key=lambda names: (-len(names), names))
    return {
        **metas[0],
        "schema_version": min(meta["schema_version"] for meta in metas),
        "classes": list(dict.fromkeys(name for names in fullest for name in names)),
        "speech": all(meta.get("speech") for meta in metas),
        "augment": several if len(several) > 1 else several[0],
        "content_hash": hash_json([sorted(meta["content_hash"] for meta in metas), datasets]),
        "distinct_names": any(meta.get("distinct_names", False) for meta in metas),
    }

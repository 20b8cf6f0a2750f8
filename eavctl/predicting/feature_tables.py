"""Rows of feature tables as the streams of a model get them, joined on ``sample_id``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from eavctl.datasets.choice import Choice
from eavctl.errors import DataError, SettingsError, UsageError
from eavctl.predicting.segments import NOT_GIVEN, DescribedRecording, Segment, with_sample_id
from eavctl.predicting.streams import StreamInput
from eavctl.storage import artifacts
from eavctl.storage.keys import AGREEING_KEYS, AUGMENT
from eavctl.storage.metadata import FeatureMeta
from eavctl.storage.tables import FeatureTable, read_feature_meta, read_features

ROWS = 1024  # whose keys are converted at once


def read_tables(
    paths: Sequence[str | os.PathLike[str]],
    streams: Sequence[StreamInput],
    model: str | os.PathLike[str],
    choice: Choice,
) -> list[DescribedRecording]:
    """Read feature tables, each for the streams whose features it has; rows of one clip are its segments.

    Altered copies are left out: they are for training.

    Parameters
    ----------
    model : the model file, for errors.
    choice : which rows.

    Raises
    ------
    SettingsError : no stream takes a table's features.
    DataError : a sample twice in a stream, tables that contradict each other on the keys of a sample, or a
        table of which no row is chosen.
    UsageError : the choice has a layout or epochs, which are for recordings.
    """
    samples: dict[str, _TableSample] = {}
    for path in paths:
        if choice.layout or choice.columns or choice.epochs:
            raise UsageError(
                f"{path}: a feature table; --layout, --columns, --pattern and --events are for recordings"
            )
        source = os.fspath(path)
        takers = _takers(streams, read_feature_meta(path), source, model)
        table = read_features(path)
        _check_shape(table.x, [streams[i] for i in takers], source)
        for keys, x in _chosen(table, choice, source):
            sample = samples.setdefault(keys["sample_id"], _TableSample(keys, len(streams)))
            sample.add(keys, x, takers, source)
    clips: dict[tuple[str, str], list[_TableSample]] = {}
    for sample in samples.values():
        clips.setdefault((sample.keys.get("dataset", ""), sample.keys["clip_id"]), []).append(sample)
    samples.clear()  # of a million rows each list takes much memory
    found = []
    while clips:
        (_, clip), rows = clips.popitem()
        segments = tuple(each.to_segment() for each in rows)
        found.append(DescribedRecording(clip, with_sample_id(rows[0].keys, clip), segments))
    return found[::-1]


def _chosen(table: FeatureTable, choice: Choice, source: str) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """The keys and the features of the chosen rows."""
    import pandas as pd

    n_chosen = 0
    for start in range(0, len(table.x), ROWS):
        rows = slice(start, start + ROWS)
        for row, x in zip(table.keys.iloc[rows].to_dict("records"), table.x[rows], strict=True):
            keys = {str(key): value for key, value in row.items() if not pd.isna(value)}
            if choice.takes(keys) and AUGMENT not in keys:
                n_chosen += 1
                yield keys, x
    if len(table.x) and not n_chosen:
        wanted = ", ".join(f"{key}={value}" for key, value in choice.where.items())
        raise DataError(f"{source}: no row has {wanted}")


class _TableSample:
    """A sample of one or more tables: its keys, and its features for each stream."""

    __slots__ = ("_sources", "_x", "keys")  # there can be a million

    def __init__(self, keys: dict[str, Any], n_streams: int) -> None:
        self.keys = keys
        self._x: list[np.ndarray | None] = [None] * n_streams
        self._sources: list[str | None] = [None] * n_streams

    def add(self, keys: dict[str, Any], x: np.ndarray, takers: Sequence[int], source: str) -> None:
        """Add what a table has of the sample, for the streams that take it."""
        name = keys["sample_id"]
        for key in AGREEING_KEYS:
            ours, theirs = self.keys.get(key), keys.get(key)
            if ours is not None and theirs is not None and ours != theirs:
                first = next(filter(None, self._sources))
                raise DataError(f"{first} and {source} contradict each other: {name} is {ours}, or {theirs}")
        for i in takers:
            if self._sources[i] is not None:
                raise DataError(
                    f"{self._sources[i]} and {source} both have the sample {name}; give one of them"
                )
            self._x[i], self._sources[i] = x, source
        if keys is not self.keys:
            self.keys = {**keys, **self.keys}

    def to_segment(self) -> Segment:
        """The sample as a segment of its clip."""
        inputs = tuple(NOT_GIVEN if x is None else x for x in self._x)
        return Segment(self.keys["start"], self.keys["end"], inputs)


def _takers(
    streams: Sequence[StreamInput], meta: FeatureMeta, source: str, model: str | os.PathLike[str]
) -> list[int]:
    """Numbers of the streams that take a table's features."""
    if len(streams) == 1:
        artifacts.require_fit(streams[0].meta, model, meta, source)
        return [0]
    takers = [i for i, s in enumerate(streams) if s.meta.features_hash == meta.features_hash]
    if not takers:
        raise SettingsError(
            f"{source} has features {meta.features!r}, which no stream of {model} takes.\n"
            f"Extract again; it takes {'; '.join(_wanted(stream, meta) for stream in streams)}"
        )
    return takers


def _wanted(stream: StreamInput, table: FeatureMeta) -> str:
    """The features that a stream takes, with the settings that differ from those of a table."""
    wanted = f"{stream.meta.features!r} for {stream.name}"
    if stream.meta.features != table.features:
        return wanted
    settings = stream.meta.settings
    differing = [f"{key}={value}" for key, value in settings.items() if table.settings.get(key) != value]
    differing += [f"{key} left out" for key in table.settings if key not in settings]  # at its default
    return f"{wanted} with {', '.join(differing)}" if differing else f"{wanted}, of another version"


def _check_shape(x: np.ndarray, streams: Sequence[StreamInput], source: str) -> None:
    for stream in streams:
        if stream.shape is not None and x.shape[1:] != stream.shape:
            raise SettingsError(
                f"{source} has rows of shape {x.shape[1:]}, and the model takes {stream.shape} for "
                f"{stream.name}.\nExtract again with the --segment of the training."
            )

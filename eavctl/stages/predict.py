"""Recordings and a model to class probabilities, by the very code that extraction and training ran."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eavctl import artifacts
from eavctl.errors import DataError
from eavctl.features.normalize import SPEAKER_WARNING, standardize_by_group
from eavctl.stages.gather import (
    Absence,
    Gathered,
    Segment,
    Stream,
    streams_of,
    take_recordings,
    take_tables,
)
from eavctl.stages.recipe import noting
from eavctl.stages.sources import Asked, find_recordings, of_files

if TYPE_CHECKING:
    from eavctl.classifiers.streams import Streams
    from eavctl.tables import PredictionTable

MIN_SPEAKER_CLIPS = 4  # below this a speaker's own mean and deviation say more about the text than the voice


class Without(NamedTuple):
    """A stream that was absent, from what ``share`` of a recording's segments, and why, where known."""

    stream: str
    reason: str
    share: float


class Row(NamedTuple):
    """One judged recording, or one window of it, and the answer; times in seconds.

    Of a model of several streams, ``weights`` says how much each of those used weighed (None where the
    model cannot say), as a mean over the recording's segments, and ``absent`` which were not there.
    """

    recording: str
    keys: dict[str, Any]
    start: float
    end: float
    proba: np.ndarray
    pred: str
    weights: dict[str, float | None]
    absent: tuple[Without, ...]


@dataclass(frozen=True)
class Predicted:
    """What the model says: rows with probabilities in the order of ``classes``, and what went wrong."""

    classes: tuple[str, ...]
    rows: tuple[Row, ...]
    rejected: tuple[dict[str, str], ...]
    notes: tuple[str, ...]
    model: artifacts.Model

    @property
    def is_fusion(self) -> bool:
        """Whether the model has several streams, of which some can be absent."""
        return "streams" in self.model.meta

    @property
    def used(self) -> dict[tuple[str, ...], int]:
        """How many rows were judged by which streams, the largest combination first."""
        counts = Counter(tuple(row.weights) for row in self.rows)
        return dict(sorted(counts.items(), key=lambda item: (-len(item[0]), item[0])))

    def sureness(self, row: Row) -> float | None:
        """How often out-of-fold rows judged as surely as this one were right; None if not recorded.

        The share of right answers among the out-of-fold rows of the model's training whose highest
        probability fell into the same fifth. Those rows had all streams: of a row that lacks some, they
        say nothing.
        """
        if row.absent:
            return None
        top = row.proba.max()
        for fifth in (self.model.meta.get("out_of_fold") or {}).get("reliability") or []:
            if top <= fifth["up_to"]:
                return float(fifth["right"])
        return None

    def expected_uar(self, row: Row) -> float | None:
        """Out-of-fold UAR of the training with the streams that a row was judged by; None if not recorded."""
        for entry in (self.model.meta.get("fusion") or {}).get("subsets") or []:
            if set(entry["inputs"]) == set(row.weights):
                return float(entry["uar"]["value"])
        return None

    def to_table(self) -> PredictionTable:
        """The rows as a prediction table, sorted by ``sample_id``."""
        import pandas as pd

        from eavctl.tables import PredictionTable, key_frame

        rows = sorted(self.rows, key=lambda row: row.keys["sample_id"])
        keys = key_frame(pd.DataFrame([{**row.keys, "start": row.start, "end": row.end} for row in rows]))
        meta = self.model.meta
        return PredictionTable(
            keys,
            np.stack([row.proba for row in rows]),
            self.classes,
            pred=np.array([row.pred for row in rows], dtype=object),
            meta={
                **(self._fused() if self.is_fusion else _single(meta)),
                "model_hashes": [meta["training_hash"]],
                "protocol": {
                    "name": "predict",
                    "normalize": meta["protocol"].get("normalize"),
                    "warnings": list(self.notes),
                },
                "out_of_fold": False,
                "versions": meta["versions"],
            },
        )

    def _fused(self) -> dict[str, Any]:
        """What a table of a fusion says: its name, the modalities used, and by which streams."""
        meta, used = self.model.meta, self.used
        modality = {stream["name"]: stream["modality"] for stream in meta["streams"]}
        anywhere = {name for names in used for name in names}
        return {
            "name": f"{meta['method']} on {' + '.join(modality)}",
            "modalities": list(dict.fromkeys(modality[name] for name in modality if name in anywhere)),
            "fusion": {
                "method": meta["method"],
                "used": {"+".join(names): count for names, count in used.items()},
            },
        }


def _single(meta: dict[str, Any]) -> dict[str, Any]:
    return {"name": f"{meta['kind']} on {meta['features']}", "modalities": [meta["modality"]]}


def predict(
    sources: Sequence[str | os.PathLike[str]],
    model: str | os.PathLike[str],
    *,
    separate: Mapping[str, str] | None = None,
    layout: str | None = None,
    trial: int | None = None,
    window: float | None = None,
    hop: float | None = None,
    strict: bool = False,
) -> Predicted:
    """Judge recordings.

    A model of several streams judges by those that a recording has; the others are absent, and the rows
    say which.

    Parameters
    ----------
    sources : files, folders (read by their layout if one recognises them), manifests, feature tables, or
        ``-`` for a recording on stdin.
    model : a model file.
    separate : one more recording, whose modalities are in separate files: a file by modality.
    layout, trial : of data sets: the layout where it is not to be recognised, the trial where only one is
        meant.
    window, hop : judge windows of so many seconds instead of whole recordings.
    strict : one bad recording is an error.

    Raises
    ------
    DataError : no recording could be used, or one could not, or not wholly, and ``strict`` is given; or the
        model needs several clips of a speaker and there are fewer.
    SettingsError : a feature table of other settings than the model's.
    UsageError : a file of a modality that the model does not take.
    """
    loaded = artifacts.load(model)
    if loaded.meta["kind"] == "fuse":
        raise DataError(
            f"{model}: fuses predictions of other models; apply it with 'eavctl fuse --use {model}'"
        )
    streams = streams_of(loaded.meta, window, hop)
    _check_streams(loaded, [stream.name for stream in streams], model)
    asked = Asked(tuple(dict.fromkeys(stream.recipe.modality for stream in streams)), layout, trial)
    gathered = _gathered(sources, separate or {}, asked, streams, model)
    _check(gathered, strict)
    segments = gathered.segments
    notes = list(dict.fromkeys([*gathered.notes, *gathered.faults]))
    x: Any = _features(segments, streams, loaded)
    if loaded.meta["protocol"].get("normalize"):
        x = standardize_by_group(x, _speakers(segments, model))
        notes.append(SPEAKER_WARNING)
    notes += _seen_in_training(segments, loaded.meta)
    proba, weights = loaded.predict_proba(x), _weights(loaded, x)
    judged = _Judged(segments, [stream.name for stream in streams], proba, weights, loaded)
    rows = judged.windows() if window else judged.wholes()
    classes = tuple(str(name) for name in loaded.classes_)
    return Predicted(classes, tuple(rows), tuple(gathered.rejected), tuple(notes), loaded)


def _gathered(
    sources: Sequence[str | os.PathLike[str]],
    separate: Mapping[str, str],
    asked: Asked,
    streams: Sequence[Stream],
    model: str | os.PathLike[str],
) -> Gathered:
    """What there is to be judged of everything named."""
    gathered = Gathered()
    tables = [source for source in sources if _is_feature_table(source)]
    with noting() as oddities:
        recordings = of_files(separate, asked) if separate else []
        for source in sources:
            if source not in tables:
                recordings += find_recordings(source, asked)
    gathered.notes += oddities
    take_recordings(recordings, streams, gathered)
    if tables:
        take_tables(tables, streams, model, gathered)
    return gathered


def _check_streams(loaded: artifacts.Model, names: list[str], model: str | os.PathLike[str]) -> None:
    """Raise DataError if the file names other streams than the network in it takes."""
    taken = list(getattr(loaded.predictor, "streams", names))
    if taken != names:
        raise DataError(
            f"{model}: the model is damaged (it takes {', '.join(taken)}, and the file names "
            f"{', '.join(names)})"
        )


def _check(gathered: Gathered, strict: bool) -> None:
    """Raise DataError if nothing can be judged, or, where that is asked for, not all of it."""
    bad = gathered.rejected
    if bad and (strict or not gathered.segments):
        n_bad = len({each["path"] for each in bad})
        raise DataError(
            f"{n_bad} of {gathered.n_recordings} recordings cannot be used; "
            f"the first is {bad[0]['path']}: {bad[0]['reason']}"
        )
    if not gathered.segments:
        raise DataError("nothing to judge: the tables have no rows")
    if strict and gathered.faults:
        raise DataError(f"not every stream of every recording can be used: {gathered.faults[0]}")


def _is_feature_table(source: str | os.PathLike[str]) -> bool:
    if not (os.fspath(source).endswith(".parquet") and Path(source).is_file()):
        return False
    from eavctl.tables import read_meta

    return read_meta(source).get("kind") == "features"


def _features(
    segments: Sequence[Segment], streams: Sequence[Stream], model: artifacts.Model
) -> np.ndarray | Streams:
    """What the model takes: the features of each segment, or those of its streams and which are there."""
    if "streams" not in model.meta:
        return np.stack([x for segment in segments for x in segment.found if isinstance(x, np.ndarray)])
    from eavctl.classifiers.streams import Streams

    present = np.array([[isinstance(x, np.ndarray) for x in segment.found] for segment in segments])
    arrays = []
    for i, stream in enumerate(streams):
        array = np.zeros((len(segments), *(stream.shape or ())), stream.dtype)
        for row, segment in enumerate(segments):
            if present[row, i]:
                array[row] = segment.found[i]
        arrays.append(array)
    return Streams(tuple(arrays), present)


def _weights(model: artifacts.Model, x: Any) -> np.ndarray:
    """How much each stream weighed in each segment, (n_segments, n_streams); NaN where nobody knows."""
    if "streams" not in model.meta:
        return np.ones((len(x), 1))
    if not hasattr(model.predictor, "weights"):
        return np.full(x.present.shape, np.nan)
    return np.asarray(model.predictor.weights(x))


def _speakers(segments: Sequence[Segment], model: str | os.PathLike[str]) -> np.ndarray:
    """The speaker of each segment; recordings of unknown speakers count as one speaker's."""
    speakers = np.array([segment.keys.get("subject", "") for segment in segments])
    for speaker in np.unique(speakers):
        clips = {s.name for s in segments if s.keys.get("subject", "") == speaker}
        if len(clips) < MIN_SPEAKER_CLIPS:
            raise DataError(
                f"{model} was trained with --normalize speaker and needs {MIN_SPEAKER_CLIPS} or more\n"
                f"recordings of a speaker; {speaker or 'this call'} has {len(clips)}. Give more, or use a "
                "model trained without it."
            )
    return speakers


def _seen_in_training(segments: Sequence[Segment], meta: dict[str, Any]) -> list[str]:
    subjects = {s.keys["subject"] for s in segments if "subject" in s.keys}
    clips = {s.keys["clip_id"] for s in segments}
    seen = sorted(subjects & set(meta["trained_on"]["subjects"]) or clips & set(meta["trained_on"]["clips"]))
    if not seen:
        return []
    others = f" and {len(seen) - 1} more" if len(seen) > 1 else ""
    return [f"the model was trained on {seen[0]}{others}: how well it does on them says nothing about others"]


@dataclass(frozen=True)
class _Judged:
    """Segments with probabilities (n_segments, n_classes) and weights (n_segments, n_streams) by a model."""

    segments: Sequence[Segment]
    streams: Sequence[str]
    proba: np.ndarray
    weights: np.ndarray
    model: artifacts.Model

    def windows(self) -> list[Row]:
        """A row for each window, told by its start."""
        rows = []
        for place, segment in enumerate(self.segments):
            sample_id = f"{segment.keys['clip_id']}@{segment.start:09.3f}"
            rows.append(self._row([place], segment.keys | {"sample_id": sample_id}))
        return rows

    def wholes(self) -> list[Row]:
        """A row for each recording: the mean over its segments, where the model judges segments."""
        places: dict[str, list[int]] = {}
        for place, segment in enumerate(self.segments):
            places.setdefault(segment.name, []).append(place)
        rows = []
        for mine in places.values():
            keys = self.segments[mine[0]].keys
            rows.append(self._row(mine, keys | {"sample_id": keys["clip_id"]}))
        return rows

    def _row(self, places: list[int], keys: dict[str, Any]) -> Row:
        segments = [self.segments[place] for place in places]
        weights, absent = self.weights[places].mean(axis=0), []
        used: dict[str, float | None] = {}
        for i, name in enumerate(self.streams):
            why = [x for segment in segments if isinstance(x := segment.found[i], Absence)]
            if why:
                reasons = dict.fromkeys(each.reason for each in why if each.reason)
                absent.append(Without(name, "; ".join(reasons), len(why) / len(segments)))
            if len(why) < len(segments):
                used[name] = None if np.isnan(weights[i]) else float(weights[i])
        proba = self.proba[places].mean(axis=0)
        return Row(
            segments[0].name,
            keys,
            segments[0].start,
            segments[-1].end,
            proba,
            str(self.model.classes_[self.model.decide(proba)]),
            used,
            tuple(absent),
        )

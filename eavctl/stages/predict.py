"""Recordings and a model to class probabilities, by the very code that extraction and training ran."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eavctl.datasets.choice import Choice
from eavctl.errors import DataError, SettingsError
from eavctl.evaluation.reliability import fits, look_up
from eavctl.evaluation.trained_on import JOINED, TrainedOn
from eavctl.extraction.recipe import noting
from eavctl.features.normalize import COLUMNS, SPEAKER_WARNING, Bands, bands_of, standardize_by_group
from eavctl.predicting.segments import (
    Absence,
    Gathered,
    Segment,
    Stream,
    known_fault,
    streams_of,
    take_recordings,
    take_tables,
)
from eavctl.predicting.sources import Asked, Recording, find_recordings, of_files, without_repeats
from eavctl.printable import printable, utf8
from eavctl.storage import artifacts, files
from eavctl.storage.ownership import PARQUET
from eavctl.storage.paths import Paths, named

if TYPE_CHECKING:
    from eavctl.classifiers.streams import Streams
    from eavctl.storage.tables import PredictionTable

MIN_SPEAKER_CLIPS = 4  # below this a speaker's own mean and deviation say more about the text than the voice


class Without(NamedTuple):
    """A stream that was absent, from what ``share`` of a recording's segments, and why, where known."""

    stream: str
    reason: str
    share: float


class Row(NamedTuple):
    """One judged recording, or one segment of it, and the answer; times in seconds.

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

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start


@dataclass(frozen=True)
class Predicted:
    """What the model says: rows with probabilities in the order of ``classes``, and what went wrong.

    ``rejected`` is as in `eavctl.predicting.segments.Gathered`, of ``n_recordings`` recordings and rows.
    Rows are ``each_segment`` of the recordings where that was asked for, and else whole recordings.
    """

    classes: tuple[str, ...]
    rows: tuple[Row, ...]
    rejected: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    model: artifacts.Model
    n_recordings: int
    each_segment: bool = False

    @property
    def is_fusion(self) -> bool:
        """Whether the model has several streams, of which some can be absent."""
        return "streams" in self.model.meta

    @property
    def used(self) -> dict[tuple[str, ...], int]:
        """How many rows were judged by which streams, the largest combination first."""
        counts = Counter(tuple(row.weights) for row in self.rows)
        return dict(sorted(counts.items(), key=lambda item: (-len(item[0]), item[0])))

    def sureness(self, row: Row) -> dict[str, Any] | None:
        """How often out-of-fold answers like this one were right; None where too little is known.

        Those are answers of the same class and of about the same confidence, of whole recordings or segments
        like this one in the model's training (see `eavctl.evaluation.reliability`). They had all streams: of
        a row that lacks some, they say nothing; nor of one much longer or shorter.
        """
        level = self._level
        if level is None or row.absent or not fits(level, row.seconds):
            return None
        return look_up(level, row.pred, row.proba[self.classes.index(row.pred)])

    @property
    def unlike(self) -> list[Row]:
        """Rows that are much longer or shorter than those that the model was trained on."""
        level = self._level
        return [row for row in self.rows if level is not None and not fits(level, row.seconds)]

    @property
    def lengths(self) -> tuple[float, float] | None:
        """Seconds of the shortest and the longest row in training, where known."""
        level = self._level
        return tuple(level["seconds"]) if level and level["seconds"] else None

    @property
    def by_segments(self) -> bool:
        """Whether recordings of any length are judged by the mean of segments like those of the training."""
        return not self.each_segment and "clips" in self._levels

    @property
    def _levels(self) -> dict[str, Any]:
        """What was measured in training, of rows and of clips; nothing of models of older versions."""
        levels = (self.model.meta.get("out_of_fold") or {}).get("reliability")
        return levels if isinstance(levels, dict) else {}

    @property
    def _level(self) -> dict[str, Any] | None:
        """What was measured of rows like these: segments, or recordings as the mean of their segments."""
        return self._levels.get("clips" if self.by_segments else "rows")

    def expected_uar(self, row: Row) -> float | None:
        """Out-of-fold UAR of the training with the streams that a row was judged by; None if not recorded."""
        for entry in (self.model.meta.get("fusion") or {}).get("subsets") or []:
            if set(entry["inputs"]) == set(row.weights):
                return float(entry["uar"]["value"])
        return None

    def to_table(self) -> PredictionTable:
        """The rows as a prediction table, sorted by ``sample_id``.

        Raises
        ------
        DataError : two recordings have one name, as those of two data sets can; or a name is not in Unicode.
        """
        import pandas as pd

        from eavctl.storage.tables import PredictionTable, key_frame

        rows = sorted(self.rows, key=lambda row: row.keys["sample_id"])
        for one, other in itertools.pairwise(rows):
            if one.keys["sample_id"] == other.keys["sample_id"]:
                raise DataError(
                    f"{one.recording} and {other.recording} have one name, {one.keys['sample_id']}: "
                    "judge them apart, into two tables"
                )
        for row in rows:
            if utf8(row.keys["sample_id"]) != row.keys["sample_id"]:
                raise DataError(f"{row.recording}: not a name in Unicode, as a table needs; rename it")
        keys = key_frame(pd.DataFrame([{**row.keys, "start": row.start, "end": row.end} for row in rows]))
        meta = self.model.meta
        return PredictionTable(
            keys,
            np.stack([row.proba for row in rows]),
            self.classes,
            pred=np.array([row.pred for row in rows], dtype=object),
            right=[self.sureness(row) for row in rows],
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


@dataclass(frozen=True)
class Planned:
    """What a prediction would do.

    Parameters
    ----------
    classes : that the model knows.
    n_recordings : recordings, and rows of tables, that would be judged.
    rejected : those that are known to be unusable before any is opened.
    notes : sentences on what is odd.
    """

    classes: tuple[str, ...]
    n_recordings: int
    rejected: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]


def predict(
    sources: Paths,
    model: str | os.PathLike[str],
    *,
    separate: Mapping[str, str] | None = None,
    choice: Choice | None = None,
    trial: int | None = None,
    segment: float | None = None,
    hop: float | None = None,
    jobs: int = 1,
    executor: str = "loky",
    strict: bool = False,
    rejected: str | os.PathLike[str] | None = None,
) -> Predicted:
    """Judge recordings.

    A model of several streams judges by those that a recording has; the others are absent, and the rows
    say which.

    Parameters
    ----------
    sources : files, folders (read by their layout if one recognises them), manifests, feature tables, or
        ``-`` for a recording on stdin; one alone or several.
    model : a model file.
    separate : one more recording, whose modalities are in separate files: a file by modality.
    choice, trial : of data sets and tables: which recordings, all by default; and the trial where only one is
        meant. How names are spelt is not looked at.
    segment, hop : judge segments of so many seconds instead of whole recordings, one every ``hop`` seconds.
    jobs, executor : processes that read and describe recordings, and what starts them, as
        `eavctl.extraction.executors.map_in_order` takes it; the result is the same for any number.
    strict : one bad recording is an error.
    rejected : also write the recordings that cannot be used to this table.

    Raises
    ------
    DataError : a source that is not there; no recording could be used, or one could not, or not wholly, and
        ``strict`` is given; or the model needs several clips of a speaker and there are fewer.
    SettingsError : a feature table of other settings than the model's.
    UsageError : a file of a modality that the model does not take, or a choice where there is none; a hop
        without a segment, or either too short to be meant (see `eavctl.extraction.recipe.Recipe`).
    """
    asked = _Asked(sources, model, separate or {}, choice or Choice(), trial, segment, hop)
    loaded, streams, recordings, gathered = _prepared(asked)
    take_recordings(recordings, streams, gathered, jobs, executor)
    if rejected:
        _write_rejected(gathered, rejected)
    _check(gathered, strict)
    segments = gathered.segments
    notes = list(dict.fromkeys([*gathered.notes, *gathered.faults]))
    x: Any = _features(segments, streams, loaded)
    if loaded.meta["protocol"].get("normalize"):
        x = standardize_by_group(x, _speakers(segments, model), _bands(loaded.meta, model))
        notes.append(SPEAKER_WARNING)
    notes += _seen_in_training(segments, loaded.meta)
    proba, weights = loaded.predict_proba(x), _weights(loaded, x)
    _check_finite(proba, segments)
    judged = _Judged(segments, [stream.name for stream in streams], proba, weights, loaded)
    rows = judged.wholes() if segment is None else judged.each_segment()
    predicted = Predicted(
        _classes(loaded),
        tuple(rows),
        tuple(gathered.rejected),
        tuple(notes),
        loaded,
        gathered.n_recordings,
        each_segment=segment is not None,
    )
    return replace(predicted, notes=(*notes, *_length_note(predicted)))


def plan(
    sources: Paths,
    model: str | os.PathLike[str],
    *,
    separate: Mapping[str, str] | None = None,
    choice: Choice | None = None,
    trial: int | None = None,
    segment: float | None = None,
    hop: float | None = None,
    strict: bool = False,
) -> Planned:
    """What `predict` would do of the same parameters; no recording is read, and nothing written.

    Raises
    ------
    DataError, SettingsError, UsageError : where `predict` raises them before it reads recordings, or because
        files are not there.
    """
    asked = _Asked(sources, model, separate or {}, choice or Choice(), trial, segment, hop)
    loaded, _, recordings, gathered = _prepared(asked)
    bad = [fault for recording in recordings if (fault := known_fault(recording))]
    n_recordings = gathered.n_recordings + len(recordings)
    _require_usable(n_recordings - len(bad), n_recordings, bad, strict)
    return Planned(_classes(loaded), n_recordings, tuple(bad), tuple(gathered.notes))


class _Asked(NamedTuple):
    """What `predict` is asked for; its parameters."""

    sources: Paths
    model: str | os.PathLike[str]
    separate: Mapping[str, str]
    choice: Choice
    trial: int | None
    segment: float | None
    hop: float | None


def _prepared(asked: _Asked) -> tuple[artifacts.Model, list[Stream], list[Recording], Gathered]:
    """The model and its streams, the recordings to read, and what the feature tables hold."""
    loaded = artifacts.load(asked.model)
    if loaded.meta["kind"] == "fuse":
        raise DataError(
            f"{asked.model}: fuses predictions of other models; apply it with "
            f"'eavctl fuse --use {asked.model}'"
        )
    streams = streams_of(loaded.meta, asked.segment, asked.hop)
    _check_streams(loaded, [stream.name for stream in streams], asked.model)
    modalities = tuple(dict.fromkeys(stream.recipe.modality for stream in streams))
    wanted = Asked(modalities, replace(asked.choice, distinct_names=True), asked.trial)
    gathered = Gathered()
    sources = named(asked.sources)
    tables = [source for source in sources if _is_feature_table(source)]
    with noting() as oddities:
        recordings = of_files(asked.separate, wanted) if asked.separate else []
        for source in sources:
            if source not in tables:
                recordings += find_recordings(source, wanted)
    gathered.notes += oddities
    if tables:
        take_tables(tables, streams, asked.model, gathered, wanted.choice)
    return loaded, streams, without_repeats(recordings), gathered


def _classes(model: artifacts.Model) -> tuple[str, ...]:
    return tuple(str(name) for name in model.classes_)


def _write_rejected(gathered: Gathered, path: str | os.PathLike[str]) -> None:
    from eavctl.storage.tables import write_rejected

    names = ("clip_id", "path", "reason")
    records = [bad | {name: utf8(bad[name]) for name in names} for bad in gathered.rejected]
    write_rejected(records, path)


def _length_note(predicted: Predicted) -> list[str]:
    """A sentence on recordings or segments that are not of the lengths that the model was trained on."""
    unlike, lengths = predicted.unlike, predicted.lengths
    if not unlike or lengths is None:
        return []
    shortest, longest = lengths
    usual = f"{shortest:.1f}" + (f" to {longest:.1f}" if longest - shortest > 0.05 else "")
    first, others = unlike[0], f" (and {len(unlike) - 1} others)" if len(unlike) > 1 else ""
    is_whole = not predicted.each_segment and first.seconds > longest
    advice = f"; judge segments: --segment {(shortest + longest) / 2:.2g}" if is_whole else ""
    misfit = "" if predicted.by_segments else "it does not fit, and "
    return [
        f"{first.recording}{others} lasts {first.seconds:.1f} s, and the model was trained on {usual} s: "
        f"{misfit}how often such answers are right is not known{advice}"
    ]


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
    _require_usable(len(gathered.segments), gathered.n_recordings, gathered.rejected, strict)
    if not gathered.segments:
        raise DataError("nothing to judge: the tables have no rows")
    if strict and gathered.faults:
        raise DataError(f"not every stream of every recording can be used: {gathered.faults[0]}")


def _require_usable(
    n_usable: int, n_recordings: int, rejected: Sequence[Mapping[str, Any]], strict: bool
) -> None:
    if rejected and (strict or not n_usable):
        n_bad, first = len({each["path"] for each in rejected}), rejected[0]
        raise DataError(
            f"{n_bad} of {n_recordings} recordings cannot be used; the first is "
            f"{printable(first['path'])}: {printable(first['reason'])}"
        )


def _is_feature_table(source: str | os.PathLike[str]) -> bool:
    name = os.fspath(source)
    if name == files.STDIO:
        return files.read_stdin().startswith(PARQUET)  # else it is a recording
    if not (name.endswith(".parquet") and Path(source).is_file()):
        return False
    from eavctl.storage.tables import read_meta

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


def _check_finite(proba: np.ndarray, segments: Sequence[Segment]) -> None:
    bad = np.flatnonzero(~np.isfinite(proba).all(axis=1))
    if len(bad):
        raise DataError(f"{segments[bad[0]].name}: the model's probabilities are not finite numbers for it")


def _weights(model: artifacts.Model, x: Any) -> np.ndarray:
    """How much each stream weighed in each segment, (n_segments, n_streams); NaN where nobody knows."""
    if "streams" not in model.meta:
        return np.ones((len(x), 1))
    if not hasattr(model.predictor, "weights"):
        return np.full(x.present.shape, np.nan)
    return np.asarray(model.predictor.weights(x))


def _speakers(segments: Sequence[Segment], model: str | os.PathLike[str]) -> np.ndarray:
    """The speaker of each segment, told by data set and name; recordings of unknown speakers are of one."""
    named = [(segment.keys.get("dataset", ""), segment.keys.get("subject", "")) for segment in segments]
    numbers = {speaker: i for i, speaker in enumerate(dict.fromkeys(named))}
    for speaker in numbers:
        clips = {segment.whole for segment, mine in zip(segments, named, strict=True) if mine == speaker}
        if len(clips) < MIN_SPEAKER_CLIPS:
            raise DataError(
                f"{model} was trained with --normalize speaker and needs {MIN_SPEAKER_CLIPS} or more\n"
                f"recordings of a speaker; {speaker[1] or 'this call'} has {len(clips)}. Give more, or use a "
                "model trained without it."
            )
    return np.array([numbers[speaker] for speaker in named])


def _bands(meta: dict[str, Any], model: str | os.PathLike[str]) -> Bands:
    """The bands that the training standardised, if they are those of today."""
    bands = bands_of(meta["features"])
    if meta.get("normalized", COLUMNS._asdict()) != bands._asdict():
        raise SettingsError(
            f"{model} was trained with --normalize speaker of another eavctl, which standardised "
            f"{meta['features']!r} otherwise; train it again"
        )
    return bands


def _seen_in_training(segments: Sequence[Segment], meta: dict[str, Any]) -> list[str]:
    """A sentence if the model was trained on these people or recordings, whatever these are called here."""
    trained = TrainedOn.from_meta(meta["trained_on"])
    ours = TrainedOn.of_rows(segment.keys for segment in segments)
    seen = trained.shared_subjects(ours) or trained.shared_clips(ours)
    if not seen and (known := trained.shared_recordings(ours)):
        names = (s.name for s in segments if not known.isdisjoint(s.keys.get("recording", "").split(JOINED)))
        seen = list(dict.fromkeys(names))
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

    def each_segment(self) -> list[Row]:
        """A row for each segment, told by its start."""
        rows = []
        for place, segment in enumerate(self.segments):
            sample_id = f"{segment.whole}@{segment.start:09.3f}"
            rows.append(self._row([place], segment.keys | {"sample_id": sample_id}))
        return rows

    def wholes(self) -> list[Row]:
        """A row for each recording: the mean over its segments, where the model judges segments."""
        places: dict[tuple[str, str], list[int]] = {}
        for place, segment in enumerate(self.segments):
            places.setdefault((segment.name, segment.whole), []).append(place)
        return [
            self._row(mine, self.segments[mine[0]].keys | {"sample_id": whole})
            for (_, whole), mine in places.items()
        ]

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

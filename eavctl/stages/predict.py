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

from eavctl import artifacts, files
from eavctl.errors import DataError, SettingsError
from eavctl.evaluation.reliability import fits, look_up
from eavctl.evaluation.trained_on import JOINED, TrainedOn
from eavctl.features.normalize import COLUMNS, SPEAKER_WARNING, Bands, bands_of, standardize_by_group
from eavctl.ownership import PARQUET
from eavctl.paths import Paths, named
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
from eavctl.stages.sources import Asked, find_recordings, of_files, without_repeats

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

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start


@dataclass(frozen=True)
class Predicted:
    """What the model says: rows with probabilities in the order of ``classes``, and what went wrong."""

    classes: tuple[str, ...]
    rows: tuple[Row, ...]
    rejected: tuple[dict[str, str], ...]
    notes: tuple[str, ...]
    model: artifacts.Model
    by_window: bool = False

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

        Those are answers of the same class and of about the same confidence, of whole recordings or windows
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
        return not self.by_window and "clips" in self._levels

    @property
    def _levels(self) -> dict[str, Any]:
        """What was measured in training, of rows and of clips; nothing of models of older versions."""
        levels = (self.model.meta.get("out_of_fold") or {}).get("reliability")
        return levels if isinstance(levels, dict) else {}

    @property
    def _level(self) -> dict[str, Any] | None:
        """What was measured of rows like these: windows, or recordings as the mean of their segments."""
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
        DataError : two recordings have one name, as those of two data sets can.
        """
        import pandas as pd

        from eavctl.tables import PredictionTable, key_frame

        rows = sorted(self.rows, key=lambda row: row.keys["sample_id"])
        for one, other in itertools.pairwise(rows):
            if one.keys["sample_id"] == other.keys["sample_id"]:
                raise DataError(
                    f"{one.recording} and {other.recording} have one name, {one.keys['sample_id']}: "
                    "judge them apart, into two tables"
                )
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


def predict(
    sources: Paths,
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
        ``-`` for a recording on stdin; one alone or several.
    model : a model file.
    separate : one more recording, whose modalities are in separate files: a file by modality.
    layout, trial : of data sets: the layout where it is not to be recognised, the trial where only one is
        meant.
    window, hop : judge windows of so many seconds instead of whole recordings, one every ``hop`` seconds.
    strict : one bad recording is an error.

    Raises
    ------
    DataError : a source that is not there; no recording could be used, or one could not, or not wholly, and
        ``strict`` is given; or the model needs several clips of a speaker and there are fewer.
    SettingsError : a feature table of other settings than the model's.
    UsageError : a file of a modality that the model does not take; a hop without a window, or either too
        short to be meant (see `eavctl.stages.recipe.Recipe`).
    """
    sources = named(sources)
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
        x = standardize_by_group(x, _speakers(segments, model), _bands(loaded.meta, model))
        notes.append(SPEAKER_WARNING)
    notes += _seen_in_training(segments, loaded.meta)
    proba, weights = loaded.predict_proba(x), _weights(loaded, x)
    _check_finite(proba, segments)
    judged = _Judged(segments, [stream.name for stream in streams], proba, weights, loaded)
    rows = judged.windows() if window is not None else judged.wholes()
    classes = tuple(str(name) for name in loaded.classes_)
    predicted = Predicted(
        classes, tuple(rows), tuple(gathered.rejected), tuple(notes), loaded, window is not None
    )
    return replace(predicted, notes=(*notes, *_length_note(predicted)))


def _length_note(predicted: Predicted) -> list[str]:
    """A sentence on recordings or windows that are not of the lengths that the model was trained on."""
    unlike, lengths = predicted.unlike, predicted.lengths
    if not unlike or lengths is None:
        return []
    shortest, longest = lengths
    usual = f"{shortest:.1f}" + (f" to {longest:.1f}" if longest - shortest > 0.05 else "")
    first, others = unlike[0], f" (and {len(unlike) - 1} others)" if len(unlike) > 1 else ""
    is_whole = not predicted.by_window and first.seconds > longest
    advice = f"; judge windows: --window {(shortest + longest) / 2:.2g}" if is_whole else ""
    misfit = "" if predicted.by_segments else "it does not fit, and "
    return [
        f"{first.recording}{others} lasts {first.seconds:.1f} s, and the model was trained on {usual} s: "
        f"{misfit}how often such answers are right is not known{advice}"
    ]


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
    take_recordings(without_repeats(recordings), streams, gathered)
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
    name = os.fspath(source)
    if name == files.STDIO:
        return files.read_stdin().startswith(PARQUET)  # else it is a recording
    if not (name.endswith(".parquet") and Path(source).is_file()):
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

    def windows(self) -> list[Row]:
        """A row for each window, told by its start."""
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

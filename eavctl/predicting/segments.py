"""Recordings and feature tables to segments: what each stream of a model gets, side by side.

Streams of a recording meet on the start of a segment, rows of tables on ``sample_id``; never by position.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eavctl.datasets.choice import Choice
from eavctl.errors import DataError, SettingsError, SignalError, UsageError
from eavctl.evaluation.trained_on import JOINED
from eavctl.extraction.fingerprint import fingerprint, of_trial
from eavctl.extraction.open_recording import StretchOf
from eavctl.extraction.recipe import Recipe, Sample, noting
from eavctl.predicting.sources import Recording
from eavctl.storage import artifacts
from eavctl.storage.provenance import canonical_json

if TYPE_CHECKING:
    from eavctl.storage.tables import FeatureTable  # judging single recordings needs no Arrow

LACKING = ("has no sound", "has no picture")  # a file without the modality is whole all the same
SAME_START = 3  # decimals of a second, as in a sample_id
_MUST_AGREE = ("label", "subject", "clip_id")


class Stream(NamedTuple):
    """One input of a model.

    Parameters
    ----------
    name : what outputs call it: its modality, unless other streams have the same.
    recipe : how recordings become its features.
    meta : what the model's file says of it; all of the model's where it has but one stream.
    shape : of one sample's features; None where the model judges that itself.
    """

    name: str
    recipe: Recipe
    meta: dict[str, Any]
    shape: tuple[int, ...] | None = None

    @property
    def dtype(self) -> str:
        """Of the features: float32, or uint8 for pictures."""
        return str(self.recipe.entry.facts.get("dtype", "float32"))


class Absence(NamedTuple):
    """Why a stream knows nothing of a segment; ``is_fault`` where something is broken, not merely missing."""

    where: str
    reason: str
    is_fault: bool = True


UNHEARD = Absence("", "", is_fault=False)  # nothing was given for the stream


class Segment(NamedTuple):
    """A recording or a part of it, from ``start`` to ``end`` seconds: in each stream, features or none.

    ``name`` is what people call the recording; ``whole`` the sample that the segment is a part of, by which
    segments are brought together: several samples can be of one file.
    """

    name: str
    whole: str
    keys: dict[str, Any]
    start: float
    end: float
    found: tuple[np.ndarray | Absence, ...]


@dataclass
class Gathered:
    """What is to be judged, and what went wrong on the way; ``faults`` are notes on streams left out.

    ``rejected`` has ``clip_id``, ``path``, ``start`` (None of a whole recording) and ``reason`` of each
    recording or segment that cannot be used.
    """

    segments: list[Segment] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    n_recordings: int = 0


def streams_of(meta: dict[str, Any], segment: float | None = None, hop: float | None = None) -> list[Stream]:
    """The streams that a model's file names, or its only one.

    Parameters
    ----------
    segment, hop : cut recordings so, in seconds, and not as in the training.

    Raises
    ------
    UsageError : a hop without a segment, or one of them is not above 0.
    """
    if "streams" not in meta:
        return [Stream(meta["modality"], _recipe(meta, segment, hop), meta)]
    return [
        Stream(each["name"], _recipe(each, segment, hop), each, tuple(each["shape"]))
        for each in meta["streams"]
    ]


def _recipe(meta: dict[str, Any], segment: float | None, hop: float | None) -> Recipe:
    recipe = Recipe.from_meta(meta)
    if segment is None and hop is None:
        return recipe
    return replace(recipe, segment=segment, hop=hop)


# --- recordings -------------------------------------------------------------------------------------------

Found = Sequence[Sample] | Absence
"""What a stream knows of a recording: samples in order of time, or why there are none."""


def take_recordings(
    recordings: Sequence[Recording],
    streams: Sequence[Stream],
    gathered: Gathered,
    jobs: int = 1,
    executor: str = "loky",
) -> None:
    """Add the segments of recordings, or the reasons why there are none.

    Each file is opened once a recipe, and closed before the next: only features stay in memory.

    Parameters
    ----------
    jobs, executor : processes that read and describe files, and what starts them, as
        `eavctl.extraction.executors.map_in_order` takes it; the result is the same for any number.
    """
    gathered.n_recordings += len(recordings)
    gathered.rejected += [_rejection(each, each.fault) for each in recordings if each.fault]
    recordings = _known_by_content([each for each in recordings if not each.fault], streams)
    describe = partial(_in_processes, jobs, executor)
    done: dict[str, list[Found]] = {}
    for stream in streams:
        key = _identity(stream)
        if key not in done:
            done[key] = _described(recordings, stream.recipe, gathered, describe)
    told: set[tuple[Absence, ...]] = set()
    for i, recording in enumerate(recordings):
        _join(recording, [done[_identity(stream)][i] for stream in streams], streams, gathered, told)


def known_fault(recording: Recording) -> dict[str, Any] | None:
    """Why a recording cannot be used, as in `Gathered`, where that is known before it is opened."""
    files = [part.file for part in recording.parts.values()]
    is_missing = bool(files) and all(isinstance(file, Path) and not file.is_file() for file in files)
    if recording.fault or is_missing:
        return _rejection(recording, recording.fault or "no such file")
    return None


def _known_by_content(recordings: Sequence[Recording], streams: Sequence[Stream]) -> list[Recording]:
    """The recordings with the key ``recording``, made of the files that the streams read."""
    wanted = {stream.recipe.modality for stream in streams}
    contents: dict[Any, str | None] = {}
    found = []
    for recording in recordings:
        names = set()
        for modality in wanted & recording.parts.keys():
            part = recording.parts[modality]
            if part.file not in contents:
                contents[part.file] = fingerprint(part.file)  # type: ignore[arg-type]
            names.add(of_trial(contents[part.file], part.trial))
        key = JOINED.join(sorted(name for name in names if name))
        found.append(recording._replace(keys={**recording.keys, "recording": key} if key else recording.keys))
    return found


def _identity(stream: Stream) -> str:
    recipe = stream.recipe
    return canonical_json([recipe.identity(), recipe.segment, recipe.hop])


Work = Sequence[tuple[Recipe, list[Recording]]]
Described = Iterator[tuple[list[Found], list[str]]]


def _described(
    recordings: Sequence[Recording], recipe: Recipe, gathered: Gathered, describe: Callable[[Work], Described]
) -> list[Found]:
    """What a recipe makes of each recording; recordings of one file that follow each other share it."""
    modality = recipe.modality
    found: list[Found] = [UNHEARD for _ in recordings]
    given = [i for i, recording in enumerate(recordings) if modality in recording.parts]
    grouped = itertools.groupby(given, key=lambda i: recordings[i].parts[modality].file)
    files = [list(same) for _, same in grouped]
    work = [(recipe, [recordings[i] for i in here]) for here in files]
    for here, (samples, notes) in zip(files, describe(work), strict=True):
        for i, each in zip(here, samples, strict=True):
            found[i] = each
        gathered.notes += notes
    return found


def _in_processes(jobs: int, executor: str, work: Work) -> Described:
    """Describe files one by one, or several at once; in their order."""
    from eavctl.extraction.executors import map_in_order

    return map_in_order(_describe_file, work, jobs, executor)


def _describe_file(recipe: Recipe, recordings: list[Recording]) -> tuple[list[Found], list[str]]:
    """What a recipe makes of the recordings in one file, and what is odd about them.

    With one thread, as in an extraction: sums then are the same in any process, and nested pools are slower.
    """
    from threadpoolctl import threadpool_limits

    file = recordings[0].parts[recipe.modality].file
    if isinstance(file, BytesIO):
        file.seek(0)  # another recipe has read it
    found: list[Found] = []
    with threadpool_limits(1), noting() as notes:
        try:
            with recipe.open(file) as stretch_of:
                for recording in recordings:
                    found.append(_samples(recording, recipe, stretch_of))
        except SignalError as error:
            absence = _absence(file, recordings[0], error)
            found += [absence] * (len(recordings) - len(found))
    return found, list(dict.fromkeys(notes))


def _samples(recording: Recording, recipe: Recipe, stretch_of: StretchOf) -> Found:
    part = recording.parts[recipe.modality]
    try:
        return recipe.describe(stretch_of(part.trial), recording.keys.get("start"), recording.keys.get("end"))
    except SignalError as error:
        return _absence(part.file, recording, error)


def _absence(file: object, recording: Recording, error: SignalError) -> Absence:
    path = str(file) if isinstance(file, str | os.PathLike) else str(getattr(file, "name", recording.name))
    reason = str(error).removeprefix(f"{path}: ")
    return Absence(path, reason, is_fault=reason not in LACKING)


def _join(
    recording: Recording,
    found: Sequence[Found],
    streams: Sequence[Stream],
    gathered: Gathered,
    told: set[tuple[Absence, ...]],
) -> None:
    """Add a recording's segments, each with what the streams know of it.

    ``told`` holds why files were rejected, so that a broken file of many recordings is named once.
    """
    known: list[Sequence[Sample]] = [() if isinstance(each, Absence) else each for each in found]
    by_start = [{round(sample.start, SAME_START): sample for sample in samples} for samples in known]
    starts = sorted({start for samples in by_start for start in samples})
    if not starts:
        why = tuple(each for each in found if isinstance(each, Absence) and each.reason)
        if not why or why not in told:
            gathered.rejected.append(_rejected(recording, found, streams))
        told.add(why)
    kept = []
    for start in starts:
        samples = [each.get(start) for each in by_start]
        views = tuple(
            _view(sample, stream, each, recording)
            for sample, stream, each in zip(samples, streams, found, strict=True)
        )
        there = [s for s, view in zip(samples, views, strict=True) if s and isinstance(view, np.ndarray)]
        if there:
            first, end = there[0].start, max(sample.end for sample in there)
            kept.append(
                Segment(recording.name, recording.keys["sample_id"], recording.keys, first, end, views)
            )
        else:
            gathered.rejected.append(_rejected(recording, views, streams, start))
    gathered.segments += kept
    gathered.faults += _faults(kept, streams)


def _view(sample: Sample | None, stream: Stream, found: Found, recording: Recording) -> np.ndarray | Absence:
    """What a stream gets of a segment."""
    if isinstance(found, Absence):
        return found
    part = recording.parts[stream.recipe.modality]
    is_own = part.trial is None and isinstance(part.file, str | os.PathLike)
    where = str(part.file) if is_own else recording.name
    if sample is None:
        return Absence(where, f"ends at {found[-1].end:.2f} s", is_fault=False)
    if sample.x is None:
        return Absence(where, sample.reason)
    if stream.shape is not None and sample.x.shape != stream.shape:
        return Absence(where, f"features of shape {sample.x.shape}, and the model takes {stream.shape}")
    return sample.x


def _rejected(
    recording: Recording,
    found: Sequence[np.ndarray | Found],
    streams: Sequence[Stream],
    start: float | None = None,
) -> dict[str, Any]:
    """A recording, or the segment of it from ``start``, of which no stream knows anything, and why."""
    reasons: dict[str, list[str]] = {}
    for stream, absence in zip(streams, found, strict=True):
        if isinstance(absence, Absence) and absence.reason:
            is_told = len(streams) == 1 or recording.name.startswith(absence.where)
            reason = absence.reason if is_told else f"{absence.where}: {absence.reason}"
            reasons.setdefault(reason, []).append(stream.name)
    told = [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]
    if len(told) == 1:
        told = list(reasons)
    listed = ", ".join(stream.name for stream in streams)
    return _rejection(recording, "; ".join(told) or f"has none of {listed}", start)


def _rejection(recording: Recording, reason: str, start: float | None = None) -> dict[str, Any]:
    clip = recording.keys["clip_id"]
    return {"clip_id": clip, "path": recording.name, "start": start, "reason": reason}


def _faults(segments: Sequence[Segment], streams: Sequence[Stream]) -> Iterable[str]:
    """A word on each fault that left a stream of a recording out, and of how many segments."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for segment in segments:
        for stream, view in zip(streams, segment.found, strict=True):
            if isinstance(view, Absence) and view.is_fault:
                names = counts.setdefault((view.where, view.reason), {})
                names[stream.name] = names.get(stream.name, 0) + 1
    for (where, reason), names in counts.items():
        most = max(names.values())
        part = f" in {most} of {len(segments)} segments" if most < len(segments) else ""
        yield f"{where}: {reason}; judged without {', '.join(names)}{part}"


# --- feature tables ---------------------------------------------------------------------------------------


def take_tables(
    paths: Sequence[str | os.PathLike[str]],
    streams: Sequence[Stream],
    model: str | os.PathLike[str],
    gathered: Gathered,
    choice: Choice,
) -> None:
    """Add the rows of feature tables, each table in the streams whose features it has.

    Raises
    ------
    SettingsError : a table whose features no stream takes.
    DataError : a sample twice in a stream, tables that contradict each other on what it is, or a table
        without a row that is chosen.
    UsageError : events to cut at, or a layout.
    """
    from eavctl.storage.tables import read_features, read_meta

    samples: dict[str, _Sample] = {}
    for path in paths:
        if choice.layout or choice.epochs:
            raise UsageError(f"{path}: a feature table; --layout and --events are for recordings")
        places = _places(streams, read_meta(path), os.fspath(path), model)
        table = read_features(path)
        _check_shape(table.x, [streams[place] for place in places], os.fspath(path))
        for keys, x in _chosen(table, choice, path):
            sample = samples.setdefault(keys["sample_id"], _Sample(keys, [None] * len(streams)))
            sample.add(keys, x, places, os.fspath(path))
    for sample in samples.values():
        found = tuple(UNHEARD if x is None else x for x in sample.x)
        keys = sample.keys
        clip = keys["clip_id"]
        gathered.segments.append(Segment(clip, clip, keys, keys["start"], keys["end"], found))
    gathered.n_recordings += len(samples)


def _chosen(
    table: FeatureTable, choice: Choice, path: str | os.PathLike[str]
) -> list[tuple[dict[str, Any], np.ndarray]]:
    """The keys and the features of the rows that are meant."""
    import pandas as pd

    rows = [
        ({str(key): value for key, value in row.items() if not pd.isna(value)}, x)
        for row, x in zip(table.keys.to_dict("records"), table.x, strict=True)
    ]
    kept = [row for row in rows if choice.takes(row[0])]
    if rows and not kept:
        wanted = ", ".join(f"{key}={value}" for key, value in choice.where.items())
        raise DataError(f"{path}: no row has {wanted}")
    return kept


@dataclass
class _Sample:
    """A sample that stands in one or more tables: its keys, and its features in each stream."""

    keys: dict[str, Any]
    x: list[np.ndarray | None]
    sources: dict[int, str] = field(default_factory=dict)

    def add(self, keys: dict[str, Any], x: np.ndarray, places: Sequence[int], source: str) -> None:
        name = keys["sample_id"]
        for key in _MUST_AGREE:
            ours, theirs = self.keys.get(key), keys.get(key)
            if ours is not None and theirs is not None and ours != theirs:
                first = next(iter(self.sources.values()))
                raise DataError(f"{first} and {source} contradict each other: {name} is {ours}, or {theirs}")
        for place in places:
            if place in self.sources:
                raise DataError(
                    f"{self.sources[place]} and {source} both have the sample {name}; give one of them"
                )
            self.x[place], self.sources[place] = x, source
        self.keys = {**keys, **self.keys}


def _places(
    streams: Sequence[Stream], meta: dict[str, Any], source: str, model: str | os.PathLike[str]
) -> list[int]:
    """Numbers of the streams that take a table's features."""
    if len(streams) == 1:
        artifacts.require_fit(artifacts.Model(streams[0].meta, None), model, meta, source)
        return [0]
    places = [i for i, s in enumerate(streams) if s.meta["features_hash"] == meta.get("features_hash")]
    if not places:
        raise SettingsError(
            f"{source} has features {meta.get('features')!r}, which no stream of {model} takes.\n"
            f"Extract again; it takes {'; '.join(_wanted(stream, meta) for stream in streams)}"
        )
    return places


def _wanted(stream: Stream, meta: dict[str, Any]) -> str:
    """What a stream takes, with the settings by which a table of the same set differs."""
    ours, theirs = stream.meta, meta.get("settings", {})
    wanted = f"{ours['features']!r} for {stream.name}"
    if ours["features"] != meta.get("features"):
        return wanted
    differing = [f"{key}={value}" for key, value in ours["settings"].items() if theirs.get(key) != value]
    return f"{wanted} with {', '.join(differing)}" if differing else f"{wanted}, of another version"


def _check_shape(x: np.ndarray, streams: Sequence[Stream], source: str) -> None:
    for stream in streams:
        if stream.shape is not None and x.shape[1:] != stream.shape:
            raise SettingsError(
                f"{source} has rows of shape {x.shape[1:]}, and the model takes {stream.shape} for "
                f"{stream.name}.\nExtract again with the --segment of the training."
            )

"""Join the samples that a model's streams have of a recording into segments: by start, never by position."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eavctl.extraction.recipe import Sample
from eavctl.predicting.sources import Recording
from eavctl.predicting.streams import StreamInput
from eavctl.signals.accounts import PEOPLE

if TYPE_CHECKING:
    from eavctl.classifiers.streams import Streams

SAME_START = 3  # decimals of a second, as in a sample_id


class Absence(NamedTuple):
    """Why a stream is absent from a recording or a segment.

    Parameters
    ----------
    where : the file, or the name of the recording.
    reason : empty where no file was given for the stream.
    is_fault : whether something is broken, not merely missing.
    """

    where: str
    reason: str
    is_fault: bool = True


NOT_GIVEN = Absence("", "", is_fault=False)

Samples = Sequence[Sample] | Absence
"""A recording's samples for one stream, in order of time, or why there are none."""


class Segment(NamedTuple):
    """A segment of a recording, or all of it.

    Parameters
    ----------
    start, end : in seconds.
    inputs : each stream's features.
    people : faces that its film shows together; None where no stream follows a face.
    """

    start: float
    end: float
    inputs: tuple[np.ndarray | Absence, ...]
    people: int | None = None


class Rejection(NamedTuple):
    """A recording, or the segment of it from ``start`` seconds, that cannot be used.

    Parameters
    ----------
    clip_id, path : of the recording; the path as the user knows it.
    reason : why.
    start : None for a whole recording.
    cause : the broken files; recordings of one broken file have equal causes.
    """

    clip_id: str
    path: str
    reason: str
    start: float | None = None
    cause: tuple[Absence, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, without the cause."""
        return {"clip_id": self.clip_id, "path": self.path, "start": self.start, "reason": self.reason}

    @classmethod
    def of(
        cls,
        recording: Recording,
        reason: str,
        start: float | None = None,
        cause: tuple[Absence, ...] = (),
    ) -> Rejection:
        """Reject a recording, or the segment of it from ``start``."""
        return cls(recording.keys["clip_id"], recording.name, reason, start, cause)


class DescribedRecording(NamedTuple):
    """A recording as features.

    Parameters
    ----------
    name : as the user knows it.
    keys : what is known of it, with ``sample_id`` and ``clip_id``.
    segments : those that at least one stream can judge, in order of time.
    rejected : the recording itself, or segments of it, that no stream can judge.
    notes : what is odd about its files.
    faults : streams that are absent because something is broken.
    seconds : that computing the features took, by modality; of a window.
    """

    name: str
    keys: dict[str, Any]
    segments: tuple[Segment, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    seconds: Mapping[str, float] = {}


def with_sample_id(keys: dict[str, Any], sample_id: str) -> dict[str, Any]:
    """The keys with this ``sample_id``, as they are where they have it: rows share them then."""
    return keys if keys["sample_id"] == sample_id else {**keys, "sample_id": sample_id}


def join_streams(
    recording: Recording, found: Sequence[Samples], streams: Sequence[StreamInput], notes: Sequence[str] = ()
) -> DescribedRecording:
    """Join the samples that the streams have of a recording into segments.

    Parameters
    ----------
    found : for each stream, its samples or why it has none.
    """
    by_start = [
        {} if isinstance(each, Absence) else {round(sample.start, SAME_START): sample for sample in each}
        for each in found
    ]
    starts = sorted({start for samples in by_start for start in samples})
    segments, rejected = [], []
    if not starts:
        cause = tuple(each for each in found if isinstance(each, Absence) and each.reason)
        rejected.append(Rejection.of(recording, _why(recording, found, streams), cause=cause))
    for start in starts:
        samples = [each.get(start) for each in by_start]
        inputs = tuple(
            _input(sample, stream, each, recording)
            for sample, stream, each in zip(samples, streams, found, strict=True)
        )
        there = [s for s, x in zip(samples, inputs, strict=True) if s and isinstance(x, np.ndarray)]
        if there:
            end = max(sample.end for sample in there)
            segments.append(Segment(there[0].start, end, inputs, _people(there)))
        else:
            rejected.append(Rejection.of(recording, _why(recording, inputs, streams), start))
    return DescribedRecording(
        recording.name,
        recording.keys,
        tuple(segments),
        tuple(rejected),
        tuple(notes),
        tuple(_faults(segments, streams)),
    )


def _people(samples: Iterable[Sample]) -> int | None:
    """The most people that a stream's features tell of."""
    told = [int(each.account[PEOPLE]) for each in samples if each.account and PEOPLE in each.account]
    return max(told, default=None)


def _input(
    sample: Sample | None, stream: StreamInput, found: Samples, recording: Recording
) -> np.ndarray | Absence:
    """A stream's features of a segment, or why it has none."""
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


def _why(recording: Recording, found: Sequence[np.ndarray | Samples], streams: Sequence[StreamInput]) -> str:
    """Why no stream can judge a recording or a segment."""
    names: dict[str, list[str]] = {}
    for stream, absence in zip(streams, found, strict=True):
        if isinstance(absence, Absence) and absence.reason:
            is_named = len(streams) == 1 or recording.name.startswith(absence.where)
            reason = absence.reason if is_named else f"{absence.where}: {absence.reason}"
            names.setdefault(reason, []).append(stream.name)
    if not names:
        return f"has none of {', '.join(stream.name for stream in streams)}"
    if len(names) == 1:
        return next(iter(names))
    return "; ".join(f"{', '.join(of)}: {reason}" for reason, of in names.items())


def _faults(segments: Sequence[Segment], streams: Sequence[StreamInput]) -> Iterable[str]:
    """A sentence on each fault by which streams are absent, and from how many segments."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for segment in segments:
        for stream, absence in zip(streams, segment.inputs, strict=True):
            if isinstance(absence, Absence) and absence.is_fault:
                names = counts.setdefault((absence.where, absence.reason), {})
                names[stream.name] = names.get(stream.name, 0) + 1
    for (where, reason), names in counts.items():
        most = max(names.values())
        part = f" in {most} of {len(segments)} segments" if most < len(segments) else ""
        yield f"{where}: {reason}; judged without {', '.join(names)}{part}"


def features_of(segments: Sequence[Segment]) -> np.ndarray:
    """The features of segments for a model of one stream, shape (n_segments, *shape)."""
    return np.stack([x for segment in segments for x in segment.inputs if isinstance(x, np.ndarray)])


def streams_of(segments: Sequence[Segment], streams: Sequence[StreamInput]) -> Streams:
    """The features of segments for a model of several streams, of which some can be absent."""
    from eavctl.classifiers.streams import Streams

    present = np.array([[isinstance(x, np.ndarray) for x in segment.inputs] for segment in segments])
    arrays = []
    for i, stream in enumerate(streams):
        array = np.zeros((len(segments), *(stream.shape or ())), stream.dtype)
        for row, segment in enumerate(segments):
            if present[row, i]:
                array[row] = segment.inputs[i]
        arrays.append(array)
    return Streams(tuple(arrays), present)

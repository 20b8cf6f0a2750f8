"""Epochs of continuous EEG: one row of the manifest for each selected event."""

from __future__ import annotations

import itertools
import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from eavctl.datasets.manifest import Manifest, build
from eavctl.errors import DataError, RecordingWarning, SignalError, UsageError

if TYPE_CHECKING:
    from eavctl.signals.eeg_file import Event

ROUNDING_SAMPLES = 2  # by which an epoch may exceed its recording; its data are then shifted by as much
DECIMALS = 6  # of times in seconds: a sum such as 62.3 - 0.2 has others


@dataclass(frozen=True)
class Epochs:
    """The epochs to cut from continuous recordings.

    Parameters
    ----------
    labels : class of each event, by the name of the event in the file, such as ``{"T1": "left"}``; None for
        epochs with the label of their recording, if it has one.
    tmin, tmax : start and end of an epoch relative to the onset of its event, in seconds. By default an epoch
        begins with its event, and is as long as the shortest event.

    Raises
    ------
    UsageError : no events, or a ``tmin`` or ``tmax`` that is not finite, or an epoch that does not end after
        it starts.
    """

    labels: Mapping[str, str | None]
    tmin: float | None = None
    tmax: float | None = None

    def __post_init__(self) -> None:
        if not self.labels:
            raise UsageError("no events to cut at; name them as EVENT=CLASS")
        for name, value in (("tmin", self.tmin), ("tmax", self.tmax)):
            if value is not None and not math.isfinite(value):
                raise UsageError(f"an epoch with a --{name} of {value} s; it must be finite")
        if self.tmin is not None and self.tmax is not None:
            self.span(self.tmin, self.tmax)

    def span(self, tmin: float, tmax: float) -> tuple[float, float]:
        """Its ``tmin`` and ``tmax``, or these where it has none of its own.

        Raises
        ------
        UsageError : the epoch does not end after it starts.
        """
        start = tmin if self.tmin is None else self.tmin
        end = tmax if self.tmax is None else self.tmax
        if end <= start:
            raise UsageError(f"an epoch from {start:g} to {end:g} s: the end must come after the start")
        return start, end


class _Recording(NamedTuple):
    """A row of the manifest with the events, duration (seconds) and sampling rate (Hz) of its recording."""

    record: dict[str, Any]
    events: tuple[Event, ...]
    duration: float
    sfreq: float


def cut_at_events(manifest: Manifest, epochs: Epochs) -> Manifest:
    """Replace every continuous EEG recording by its epochs, each of which is a clip.

    The events are those of the ``events.tsv`` of a recording in BIDS, else those in its file. The name of an
    epoch is its recording and the time of its event. Its session, if it has none, is the recording, so that
    whole recordings can be held out (``--group session``). An epoch that begins before the recording or ends
    after it, by more than two samples, is rejected, and so is one whose time has events of different classes.

    Raises
    ------
    DataError : no recording can be read, an event with a class does not occur, or none of those without one,
        no epoch is complete, or the events have no duration and ``tmax`` is not given.
    """
    place = manifest.source or manifest.root
    found, rejected = _found(manifest, epochs, place)
    tmax = _shortest([event for _, event in found]) if epochs.tmax is None else epochs.tmax
    span = epochs.span(0.0, tmax)
    cut = [
        (recording, _epoch(recording.record, event, span, epochs.labels[event.name]))
        for recording, event in _once_a_time(found, epochs)
    ]
    classes_at = defaultdict(set)
    for _, record in cut:
        classes_at[record["clip_id"]].add(record.get("label"))
    records = []
    for recording, record in cut:
        if reason := _incomplete(record, recording) or _contradiction(classes_at[record["clip_id"]]):
            rejected.append(_rejected(record, reason))
        else:
            records.append(_shifted_into(record))
    if not records:
        last = rejected[-1]
        raise DataError(
            f"{place}: no epoch can be used: {last['path']}: {last['reason']}; change --tmin, --tmax"
        )
    classes = tuple(dict.fromkeys(filter(None, epochs.labels.values())))
    built = build(records, manifest.root, manifest.layout, classes=classes, rejected=rejected)
    return replace(built, epoch=span)


def _found(
    manifest: Manifest, epochs: Epochs, place: Path
) -> tuple[list[tuple[_Recording, Event]], list[dict[str, str]]]:
    """The events to cut at, with their recordings, and what was rejected; raises as `cut_at_events`."""
    found: list[tuple[_Recording, Event]] = []
    rejected = list(manifest.rejected)
    seen: Counter[str] = Counter()
    for record in manifest.records():
        try:
            recording = _read(record, manifest.root / record["eeg_path"])
        except SignalError as error:
            reason = str(error).removeprefix(f"{manifest.root / record['eeg_path']}: ")
            rejected.append(_rejected(record, reason))
            continue
        seen.update(event.name for event in recording.events)
        found += [(recording, event) for event in recording.events if event.name in epochs.labels]
    if seen or not rejected:
        _check_occur(epochs, seen, place)
    if not found:
        first = rejected[0]
        raise DataError(f"{place}: no recording can be read; {first['path']}: {first['reason']}")
    return found, rejected


def _check_occur(epochs: Epochs, seen: Counter[str], place: Path) -> None:
    """Refuse events that do not occur; those without a class are warned of, if others do."""
    missing = [name for name in epochs.labels if not seen[name]]
    if not missing:
        return
    names = ", ".join(f"{name} ({n})" for name, n in seen.most_common(8)) or "no events at all"
    text = f"{place}: no recording has the event {missing[0]!r}; found: {names}"
    if len(missing) == len(epochs.labels) or any(epochs.labels[name] for name in missing):
        raise DataError(text)
    warnings.warn(text, RecordingWarning, stacklevel=4)


def _read(record: dict[str, Any], path: Path) -> _Recording:
    from eavctl.signals.bids import events_of
    from eavctl.signals.eeg import open_eeg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecordingWarning)  # repeated when the epochs are read
        with open_eeg(path) as file:
            if file.duration is None:
                raise SignalError(f"{path}: holds trials, not one recording with events; leave --events out")
            events = events_of(path, file.duration)
            return _Recording(record, file.events if events is None else events, file.duration, file.sfreq)


def _shortest(events: list[Event]) -> float:
    """Duration of the shortest complete event, in seconds."""
    whole = [event for event in events if not event.is_cut] or events
    shortest = min(event.duration for event in whole)
    seconds = math.floor(shortest * 10 + 1e-6) / 10  # tenths: durations differ by a sample or two
    if seconds <= 0:
        names = ", ".join(sorted({event.name for event in events}))
        raise DataError(f"the events {names} have no duration: give the end of an epoch with --tmax SECONDS")
    return seconds


def _epoch(
    record: dict[str, Any], event: Event, span: tuple[float, float], label: str | None
) -> dict[str, Any]:
    name = "@".join(_time(record, event))
    return {
        "session": record["clip_id"],
        **record,
        "clip_id": name,
        "sample_id": name,
        "trial": name,  # onsets alone are not unique where one session has several recordings
        **({} if label is None else {"label": label}),
        "start": round(event.onset + span[0], DECIMALS),
        "end": round(event.onset + span[1], DECIMALS),
    }


def _once_a_time(found: list[tuple[_Recording, Event]], epochs: Epochs) -> Iterator[tuple[_Recording, Event]]:
    """The events, without those that have no class where another event has the same time."""
    named = [_time(recording.record, event) for recording, event in found]
    has_class = [epochs.labels[event.name] is not None for _, event in found]
    taken = set(itertools.compress(named, has_class))
    for each, name, is_labelled in zip(found, named, has_class, strict=True):
        if is_labelled or name not in taken:
            taken.add(name)
            yield each


def _time(record: Mapping[str, Any], event: Event) -> tuple[str, str]:
    """The recording and the time of an event, as they name its epoch."""
    return record["clip_id"], f"{event.onset:09.3f}"


def _incomplete(epoch: dict[str, Any], recording: _Recording) -> str:
    """Reason to reject an epoch that is not entirely within its recording; empty if it is."""
    start, end, length = epoch["start"], epoch["end"], recording.duration
    slack = ROUNDING_SAMPLES / recording.sfreq
    if start >= -slack and end <= length + slack:
        return ""
    return f"the epoch from {start:.2f} to {end:.2f} s is not entirely in the recording of {length:.2f} s"


def _contradiction(classes: set[str | None]) -> str:
    """Reason to reject an epoch if the events at its time have several classes; else empty."""
    names = sorted(filter(None, classes))
    return f"events at this time have different classes: {', '.join(names)}" if len(names) > 1 else ""


def _shifted_into(epoch: dict[str, Any]) -> dict[str, Any]:
    """Shift an epoch that begins a sample or two before its recording to the start of the recording."""
    late = max(-epoch["start"], 0.0)
    return {**epoch, "start": epoch["start"] + late, "end": epoch["end"] + late}


def _rejected(record: dict[str, Any], reason: str) -> dict[str, str]:
    return {"clip_id": record["clip_id"], "path": record["eeg_path"], "reason": reason}

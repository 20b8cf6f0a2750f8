"""Epochs of continuous EEG: one row of the manifest for each event that was asked for."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from eavctl.datasets.manifest import Manifest, build
from eavctl.errors import DataError, RecordingWarning, SignalError


@dataclass(frozen=True)
class Epochs:
    """What to cut from continuous recordings.

    Parameters
    ----------
    labels : class of each event, by the event's name in the file, such as ``{"T1": "left"}``.
    span : start and end of an epoch from its event on, in seconds; None takes as long as the shortest of
        the events lasts.
    """

    labels: Mapping[str, str]
    span: tuple[float, float] | None = None


def cut_at_events(manifest: Manifest, epochs: Epochs) -> Manifest:
    """Replace every continuous EEG recording by its epochs, one clip each.

    An epoch is named after its recording and the time of its event; the recording is its session where it
    has none, so that whole recordings can be kept apart (``--group session``).

    Raises
    ------
    DataError : the events asked for do not occur, or have no duration and ``span`` is not given.
    """
    found: list[tuple[dict[str, Any], Any]] = []
    rejected = list(manifest.rejected)
    seen: Counter[str] = Counter()
    for record in manifest.records():
        try:
            events = _events(manifest.root / record["eeg_path"])
        except SignalError as error:
            reason = str(error).removeprefix(f"{manifest.root / record['eeg_path']}: ")
            rejected.append({"clip_id": record["clip_id"], "path": record["eeg_path"], "reason": reason})
            continue
        seen.update(event.name for event in events)
        found += [(record, event) for event in events if event.name in epochs.labels]
    missing = [name for name in epochs.labels if not seen[name]]
    if missing and (seen or not rejected):
        names = ", ".join(f"{name} ({n})" for name, n in seen.most_common(8)) or "no events at all"
        raise DataError(f"{manifest.root}: no recording has the event {missing[0]!r}; found: {names}")
    if not found:
        first = rejected[0]
        raise DataError(f"{manifest.root}: no recording can be read; {first['path']}: {first['reason']}")
    start, end = epochs.span or _shortest(found)
    records = [_epoch(record, event, start, end, epochs.labels[event.name]) for record, event in found]
    classes = tuple(dict.fromkeys(epochs.labels.values()))
    cut = build(records, manifest.root, manifest.layout, classes=classes)
    return replace(cut, rejected=(*rejected, *cut.rejected))


def _events(path: Any) -> tuple[Any, ...]:
    from eavctl.signals.eeg import open_eeg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecordingWarning)  # said again when the epochs are read
        with open_eeg(path) as file:
            if file.n_trials is not None:
                raise SignalError(f"{path}: holds trials, not one recording with events; leave --events out")
            return file.events


def _shortest(found: list[tuple[dict[str, Any], Any]]) -> tuple[float, float]:
    shortest = min(event.duration for _, event in found)
    seconds = math.floor(shortest * 10 + 1e-6) / 10  # tenths: durations differ by a sample or two
    if seconds <= 0:
        names = ", ".join(sorted({event.name for _, event in found}))
        raise DataError(f"the events {names} have no duration: say which part with --epoch START,END")
    return 0.0, seconds


def _epoch(record: dict[str, Any], event: Any, start: float, end: float, label: str) -> dict[str, Any]:
    name = f"{record['clip_id']}@{event.onset:09.3f}"
    return {
        "session": record["clip_id"],
        **record,
        "clip_id": name,
        "sample_id": name,
        "trial": name,  # onsets alone are not unique where one session has several recordings
        "label": label,
        "start": max(event.onset + start, 0.0),
        "end": event.onset + end,
    }

"""How a live session and its sources do, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

State = Literal["live", "stalled", "ended", "broken"]


class ModalityStatus(NamedTuple):
    """How a modality does.

    Parameters
    ----------
    state : live, stalled, ended or broken.
    offset_s, drift_ppm, jumps, delay_s : of its clock; see `eavctl.live.clocks.SourceClock`.
    lost : samples or frames that were given, but overwritten, refused, or dropped by the source.
    missing_s : seconds that were never given.
    late : windows that were closed before its data reached their end.
    absent : windows that were closed without it.
    """

    state: State
    offset_s: float
    drift_ppm: float
    jumps: int
    delay_s: float
    lost: int
    missing_s: float
    late: int
    absent: int


class Status(NamedTuple):
    """How a session does.

    Parameters
    ----------
    modalities : by name.
    windows : how many were given.
    dropped : how many were skipped, because windows became complete faster than they were asked for.
    """

    modalities: Mapping[str, ModalityStatus]
    windows: int
    dropped: int

"""How recordings are cut into rows: whole, in segments, or into epochs at events."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from eavctl.errors import RecordingWarning, SignalError, UsageError
from eavctl.extraction.open_recording import Stretch
from eavctl.settings import Within, checked
from eavctl.signals.segments import FRAME_S, LONGEST_S, ROUNDING, SHORTEST_S, cut


@dataclass(frozen=True)
class Cutting:
    """How recordings are cut into rows.

    Parameters
    ----------
    segment, hop : length of the segments, and from the start of one to the next, in seconds; without ``hop``
        they adjoin. None takes recordings, or the parts that a manifest names, whole.
    epoch : start and end of those parts relative to the events that they were cut at, in seconds; None where
        they were not cut at events.

    Raises
    ------
    UsageError : a hop without a segment, or either not between 0.01 s and 100000 s; or an epoch that does not
        end after it starts.
    """

    segment: float | None = None
    hop: float | None = None
    epoch: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.hop is not None and self.segment is None:
            raise UsageError("--hop needs --segment")
        for name, seconds in (("segment", self.segment), ("hop", self.hop)):
            if seconds is not None:
                checked("segments", f"--{name}", seconds, Annotated[float, Within(SHORTEST_S, LONGEST_S)])
        if self.epoch is not None:
            epoch = checked("epochs", "epoch", self.epoch, tuple[float, float])
            if not epoch[0] < epoch[1]:
                raise UsageError(f"an epoch from {epoch[0]:g} to {epoch[1]:g} s: it must end after it starts")
            object.__setattr__(self, "epoch", tuple(epoch))
        object.__setattr__(self, "hop", self.hop or self.segment)

    @property
    def row_s(self) -> float | None:
        """Seconds of a row: of a segment or an epoch; None where recordings are taken whole."""
        if self.segment or not self.epoch:
            return self.segment
        return round(self.epoch[1] - self.epoch[0], 6)

    @property
    def tmin(self) -> float:
        """Time of the first sample of a row, in seconds: relative to its event, if it is an epoch."""
        return float(self.epoch[0]) if self.epoch else 0.0

    def spans(self, stretch: Stretch, start: float, end: float | None) -> list[tuple[float, float]]:
        """Starts and ends of the rows in the part of a recording from ``start`` to ``end``, in seconds.

        Raises
        ------
        SignalError : nothing lies between ``start`` and ``end``, there are too many segments, or a recording
            that is not cut at events is longer than the epochs.
        """
        wanted = stretch.duration if end is None else end
        first, last = max(start, 0.0), min(wanted, stretch.duration)
        if last <= first:
            raise SignalError(f"{stretch.name}: has nothing between its start and end in the manifest")
        if end is None and self.epoch and not self.segment:
            self._check_is_epoch(stretch.name, last - first)
        is_near = max(first - start, wanted - last) <= FRAME_S + ROUNDING
        if not is_near:
            warnings.warn(
                f"{stretch.name}: the part from {start:.2f} to {wanted:.2f} s of the manifest is not all in "
                f"the recording; {first:.2f} to {last:.2f} s are used",
                RecordingWarning,
                stacklevel=2,
            )
        if not self.segment:
            return [(start, wanted) if is_near else (first, last)]
        if end is not None and is_near:  # the manifest says where it ends, for every modality alike
            spans = cut(end - first, self.segment, self.hop, lack=0.0)
        else:
            spans = cut(last - first, self.segment, self.hop)
        return [(first + a, first + b) for a, b in spans]

    def _check_is_epoch(self, name: str, seconds: float) -> None:
        """Refuse a continuous recording where its epochs are wanted."""
        assert self.epoch is not None
        tmin, tmax = self.epoch
        if seconds > tmax - tmin + FRAME_S:
            raise SignalError(
                f"{name}: lasts {seconds:.2f} s, and the model was trained on epochs from {tmin:g} to "
                f"{tmax:g} s at events: name these with --events, or cut it with --segment {self.row_s:g}"
            )

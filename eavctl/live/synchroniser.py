"""Windows in which modalities meet, from what their sources give; time is passed in."""

from __future__ import annotations

import math
from collections.abc import Mapping

from eavctl.extraction.open_recording import Signal
from eavctl.live.chunk import Chunk, SourceError
from eavctl.live.quality import Quality
from eavctl.live.status import ModalityStatus, State, Status
from eavctl.live.tracks import Track
from eavctl.live.window import Window
from eavctl.signals.segments import FRAME_S

BEGIN_WITHIN_S = 2.0  # modalities that have given nothing until then join later
TOLERANCE_S = 0.1
MARGIN_S = {"eeg": 2.0}
STALLED_S = 0.5  # a modality that is late by less is called late, not stalled
SHORTEST_S = 0.1
ROUNDING_S = 1e-6


class Synchroniser:
    """Cuts windows in which modalities meet.

    The first window starts at the first sample or frame of the modality that began last; a modality that has
    given nothing 2 s after the first joins later. A window is closed when all modalities that are not stalled
    or ended have data up to its end, and ``tolerance_s`` after its end at the latest. A modality is in the
    window if its data lack no more than ``tolerance_s`` of it at the start, at the end, and inside; where
    they lack some at the end, the window's data begin earlier by as much. A modality is stalled while its
    data end more than ``tolerance_s`` ago; no window waits for it.

    Parameters
    ----------
    tracks : by modality.
    window_s, hop_s : length of a window, and from the start of one to the start of the next, in seconds.
    tolerance_s : see above.
    margin_s : by modality, seconds before the window that its signal has in addition, as far as there are.
    skip : give the newest complete window, and leave out those before it; False gives all.
    patience_s : seconds after its end for which a window waits for a modality; infinity for files, which
        never stall. None is the tolerance; for a modality alone, 0.5 s, or a hop if that is less.
    """

    def __init__(
        self,
        tracks: Mapping[str, Track],
        window_s: float,
        hop_s: float,
        tolerance_s: float = TOLERANCE_S,
        margin_s: Mapping[str, float] = MARGIN_S,
        skip: bool = True,
        patience_s: float | None = None,
    ) -> None:
        self._tracks = tracks
        self._window_s, self._hop_s, self._tolerance_s = window_s, hop_s, tolerance_s
        if patience_s is None:  # a modality alone has none to meet: however late it is, it is awaited
            patience_s = tolerance_s if len(tracks) > 1 else max(tolerance_s, min(STALLED_S, hop_s))
        self._patience_s = patience_s
        self._margin_s, self._skip = margin_s, skip
        self._start: float | None = None  # of the next window
        self._origin, self._number = 0.0, 0  # that window is so many hops after the origin
        self._ended: dict[str, str] = {}
        self._left_out: tuple[str, ...] = ()
        self._n_windows, self._n_dropped = 0, 0
        self._n_late = dict.fromkeys(tracks, 0)
        self._n_absent = dict.fromkeys(tracks, 0)

    def push(self, modality: str, chunk: Chunk) -> None:
        """Take what the source of a modality gave; one that had ended is back.

        Raises
        ------
        SourceError : its time is not finite.
        """
        if not (math.isfinite(chunk.captured) and math.isfinite(chunk.stamp or 0.0)):
            raise SourceError(f"{modality}: a chunk whose time is not finite")
        self._ended.pop(modality, None)
        self._tracks[modality].push(chunk)
        if self._start is None and all(track.first is not None for track in self._tracks.values()):
            self._begin()

    @property
    def silent(self) -> tuple[str, ...]:
        """Modalities that have given nothing, and have not ended."""
        return tuple(
            modality
            for modality, track in self._tracks.items()
            if track.first is None and modality not in self._ended
        )

    def has_room(self, modality: str) -> bool:
        """Whether one more second of a modality overwrites nothing that the next window needs."""
        return self._tracks[modality].has_room

    def ended(self, modality: str, reason: str) -> None:
        """Note that a source ended: at the end of its file (reason ``""``), or by a fault."""
        self._ended[modality] = reason

    def set_quality(self, quality: Quality) -> None:
        """Change what is taken, from the next frame and the next window on."""
        self._left_out = quality.dropped
        for modality, track in self._tracks.items():
            track.adapt(0 if modality in quality.dropped else quality.frames, quality.side)
        if quality.hop != self._hop_s:
            self._hop_s = quality.hop
            if self._start is not None:
                self._plan(self._start)

    def poll(self, now: float) -> Window | None:
        """The next window, if it can be closed; else None."""
        if self._start is None and now >= self._begin_deadline():
            self._begin()
        if self._start is None:
            return None
        n_closable = self._n_closable(now)
        if not n_closable:
            return self._rest(now)
        if self._skip:
            self._n_dropped += n_closable - 1
            self._advance(n_closable - 1)
        window = self._closed(self._start, self._start + self._window_s, now)
        self._advance(1)
        return window

    @property
    def next_end(self) -> float | None:
        """End of the next window; None before there is a first."""
        return None if self._start is None else self._start + self._window_s

    def so_far(self, modality: str) -> Signal | None:
        """What there is of the next window of a modality; None where there is nothing of it."""
        track = self._tracks.get(modality)
        if track is None or self._start is None or modality in (*self._left_out, *self._ended):
            return None
        if track.reach is None or track.reach <= self._start:
            return None
        return track.signal(self._start, self._start + self._window_s, 0.0)

    def next_deadline(self, now: float) -> float | None:
        """Time at which `poll` gives a window even if no source gives anything; None: it never does."""
        if self._start is None:
            deadline = self._begin_deadline()
            return None if deadline == math.inf else deadline
        if self._has_rest:
            return now
        if self._is_at_end and not self._n_left:
            return None
        end = self._start + self._window_s
        lacking = [reach + self._patience_s for reach in self._awaited(now) if reach < end]
        return max([end, *lacking])

    def exhausted(self) -> bool:
        """Whether all sources have ended, and all windows were given."""
        if not self._has_all_ended:
            return False
        return self._start is None or not (self._n_left or self._has_rest)

    def status(self, now: float) -> Status:
        """How the session does."""
        modalities = {modality: self._status_of(modality, now) for modality in self._tracks}
        return Status(modalities, self._n_windows, self._n_dropped)

    # Begin and progress

    def _begin_deadline(self) -> float:
        """Time from which the session does not wait for modalities that have given nothing."""
        firsts = [track.first for track in self._tracks.values() if track.first is not None]
        if not firsts:
            return math.inf
        is_complete = all(
            track.first is not None or modality in self._ended for modality, track in self._tracks.items()
        )
        return min(firsts) + (0.0 if is_complete else BEGIN_WITHIN_S)

    def _begin(self) -> None:
        self._plan(max(track.first for track in self._tracks.values() if track.first is not None))

    def _plan(self, start: float) -> None:
        self._origin, self._number = start, 0
        self._advance(0)

    def _advance(self, n: int) -> None:
        self._number += n
        self._start = self._origin + self._number * self._hop_s
        for modality, track in self._tracks.items():
            track.expect(self._start - self._margin_s.get(modality, 0.0), self._hop_s)

    # Which windows can be closed

    def _awaited(self, now: float) -> list[float]:
        """Times that the modalities have reached that are neither ended, stalled nor left out."""
        reaches = [
            track.reach
            for modality, track in self._tracks.items()
            if modality not in self._ended and modality not in self._left_out
        ]
        return [reach for reach in reaches if reach is not None and now - reach <= self._patience_s]

    def _n_closable(self, now: float) -> int:
        """How many windows can be closed."""
        if self._is_at_end:
            return min(self._n_until(now), self._n_left)
        return self._n_until(max(now - self._patience_s, min([now, *self._awaited(now)])))

    def _n_until(self, time: float) -> int:
        """How many windows end before a time, from the next on."""
        assert self._start is not None
        return max(math.floor((time + ROUNDING_S - self._start - self._window_s) / self._hop_s) + 1, 0)

    # The end

    @property
    def _has_all_ended(self) -> bool:
        return all(modality in self._ended for modality in self._tracks)

    @property
    def _is_at_end(self) -> bool:
        """Whether all files ended; a source that broke may come back, and windows go on until then."""
        return self._has_all_ended and not any(self._ended.values())

    @property
    def _slack_s(self) -> float:
        """Seconds that a window can lack at the end of a file, as `eavctl.signals.segments.cut` has it."""
        return min(FRAME_S, self._hop_s / 2, self._window_s / 2)

    @property
    def _last_end(self) -> float:
        return max((track.reach for track in self._tracks.values() if track.reach is not None), default=0.0)

    @property
    def _n_left(self) -> int:
        """How many windows there are in what the sources gave, from the next on."""
        return self._n_until(self._last_end + self._slack_s)

    @property
    def _has_rest(self) -> bool:
        """Whether all sources ended before a first window was complete."""
        if not self._has_all_ended or self._start is None or self._n_windows or self._n_dropped:
            return False
        return self._last_end - self._start >= SHORTEST_S and not self._n_left

    def _rest(self, now: float) -> Window | None:
        assert self._start is not None
        return self._closed(self._start, self._last_end, now) if self._has_rest else None

    # What is in a window

    def _closed(self, start: float, end: float, now: float) -> Window:
        signals, absent, gaps = {}, {}, {}
        for modality, track in self._tracks.items():
            reason = self._absence(modality, track, start, end, now)
            if reason is not None:
                absent[modality] = reason
                self._n_absent[modality] += 1
                continue
            signals[modality] = track.signal(start, end, self._margin_s.get(modality, 0.0))
            gap = self._gap(track, start, end)
            if gap > ROUNDING_S:
                gaps[modality] = gap
        self._n_windows += 1
        return Window(start, end, signals, absent, gaps, now)

    def _absence(self, modality: str, track: Track, start: float, end: float, now: float) -> str | None:
        """Why a modality cannot be in a window, or None."""
        if modality in self._left_out:
            return "left out to keep up"
        reason, reach = self._ended.get(modality), track.reach
        if reach is None:
            return reason or "gave nothing yet"
        if reason is None and reach < end - ROUNDING_S:
            self._n_late[modality] += 1
        lack_s = self._tolerance_s if reason is None else max(self._tolerance_s, self._slack_s)
        if reach + lack_s < end - ROUNDING_S:
            if reason is not None:
                return reason or "ended"
            late = now - reach
            return f"late by {late * 1e3:.0f} ms" if late < STALLED_S else f"stalled for {late:.1f} s"
        cover = track.cover(start, end)
        if cover.begin > start + self._tolerance_s:
            is_late = track.first is not None and track.first > start
            return f"started {now - cover.begin:.1f} s ago" if is_late else "overwritten before it was judged"
        if cover.missing > self._tolerance_s:
            return f"{cover.missing:.2f} s missing"
        return None

    @staticmethod
    def _gap(track: Track, start: float, end: float) -> float:
        cover = track.cover(start, end)
        assert track.reach is not None
        return cover.missing + max(end - track.reach, 0.0) + max(cover.begin - start, 0.0)

    def _status_of(self, modality: str, now: float) -> ModalityStatus:
        track = self._tracks[modality]
        clock = track.clock
        return ModalityStatus(
            self._state_of(modality, now),
            clock.offset,
            clock.drift_ppm,
            clock.jumps,
            clock.delay,
            track.lost,
            track.missing,
            self._n_late[modality],
            self._n_absent[modality],
        )

    def _state_of(self, modality: str, now: float) -> State:
        if modality in self._ended:
            return "broken" if self._ended[modality] else "ended"
        reach = self._tracks[modality].reach
        is_stalled = reach is None or now - reach > max(self._tolerance_s, STALLED_S)
        return "stalled" if is_stalled else "live"

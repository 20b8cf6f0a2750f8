"""The few frames of a camera or film that windows show; the others are never converted."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import deque
from typing import NamedTuple, cast

import numpy as np

from eavctl.extraction.open_recording import Signal
from eavctl.live.chunk import Chunk, Picture
from eavctl.live.clocks import SourceClock
from eavctl.live.tracks import Cover
from eavctl.signals.arrays import TIME_ROUNDING, TimedFrames

MULTIPLE = 1e-6  # of half a step, by which a hop may differ from a whole number of them
N_INTERVALS = 9
LONGEST_SHOWN_S = 0.25  # a camera's frame that is shown for longer hides missing ones
MISSING_INTERVALS = 2.5
SPARE_FRAMES = 16


class _Frame:
    """A frame, converted once, when it is needed."""

    def __init__(self, steady: float, picture: Picture) -> None:
        self.steady = steady
        self._picture: Picture | None = picture
        self._pixels: np.ndarray | None = None

    def pixels(self, side: int | None) -> np.ndarray:
        if self._picture is not None:
            self._pixels, self._picture = self._picture(side), None
            self._pixels.flags.writeable = False  # so that what was found in it stays true
        assert self._pixels is not None
        return self._pixels


class _Plan(NamedTuple):
    """Windows that start at a time and every hop from there."""

    start: float
    hop_s: float


class FrameTrack:
    """The frames that windows show, converted as they come, and the newest frame.

    A window of ``window_s`` seconds shows the frames at ``start + i * window_s / n_frames`` seconds, each
    frame being shown until the next, as `eavctl.signals.video.VideoFile.frames` takes them of a file. Where
    the hop is no multiple of half that step, frames less than half a step after the last one are left out, so
    that their number remains bounded.

    Parameters
    ----------
    n_frames : frames a window.
    window_s : seconds of a window.
    rate : frames a second, as the source states it; the true rate is learned.
    is_recorded : a film's frame may be shown for any time; of a camera, frames are then missing.
    name : for errors.
    """

    def __init__(
        self, n_frames: int, window_s: float, rate: float, is_recorded: bool = False, name: str = "window"
    ) -> None:
        self.clock = SourceClock()
        self.lost, self.missing = 0, 0.0
        self._n_frames, self._window_s = n_frames, window_s
        self._rate, self._is_recorded, self._name = rate, is_recorded, name
        self._side: int | None = None
        self._most = 4 * n_frames + SPARE_FRAMES
        self._kept: deque[_Frame] = deque()
        self._newest: _Frame | None = None
        self._first: float | None = None
        self._intervals = deque([1 / rate], maxlen=N_INTERVALS)
        self._gaps: deque[tuple[float, float]] = deque(maxlen=SPARE_FRAMES)
        self._plan: _Plan | None = None

    @property
    def first(self) -> float | None:
        """Time of the first frame."""
        return None if self._first is None else self.clock.session_of(self._first)

    @property
    def reach(self) -> float | None:
        """End of the newest frame, if it is shown for as long as frames usually are."""
        if self._newest is None:
            return None
        return self.clock.session_of(self._newest.steady) + self._interval

    @property
    def has_room(self) -> bool:
        """See `Track.has_room`."""
        return len(self._kept) < self._most

    def push(self, chunk: Chunk) -> None:
        """Take what the source gave next."""
        stamp = chunk.captured if chunk.stamp is None else chunk.stamp
        self.clock.observe(stamp, chunk.captured)
        frame = _Frame(self.clock.steady(stamp), cast(Picture, chunk.data))
        last, self._newest = self._newest, frame
        if last is None:
            self._first = frame.steady
        elif frame.steady <= last.steady:
            self._newest = last
            self.lost += 1
        else:
            self._note(last.steady, frame.steady)
            if self._is_shown(last.steady, frame.steady):
                self._keep(last)
        if not self._n_frames:  # left out: when it is taken again, it begins anew
            self._first = self._newest.steady

    def expect(self, start: float, hop_s: float) -> None:
        """See `Track.expect`."""
        self._plan = _Plan(start, hop_s)
        shown = self.clock.steady_at(start + TIME_ROUNDING)
        while len(self._kept) > 1 and self._kept[1].steady <= shown:
            self._kept.popleft()

    def adapt(self, frames: int, side: int | None) -> None:
        """See `Track.adapt`."""
        self._n_frames, self._side = frames, side
        if not frames:  # they would be shown when it is taken again
            self._kept.clear()

    def cover(self, start: float, end: float) -> Cover:
        """See `Track.cover`."""
        begin, stop = self.clock.steady_at(start), self.clock.steady_at(end)
        missing = sum(max(0.0, min(after, stop) - max(before, begin)) for before, after in self._gaps)
        frames = [*self._kept, self._newest]
        return Cover(self.clock.session_of(frames[0].steady) if frames[0] else math.inf, missing)

    def signal(self, start: float, end: float, margin_s: float) -> Signal:
        """See `Track.signal`.

        Returns
        -------
        `TimedFrames`: the frames that the window shows, from the one shown at its start on.
        """
        assert self._newest is not None
        frames = [*self._kept, self._newest]
        times = [self.clock.session_of(frame.steady) - start for frame in frames]
        first = max(sum(time <= TIME_ROUNDING for time in times) - 1, 0)
        stop = max(sum(time < end - start for time in times), first + 1)
        pictures = [frame.pixels(self._side) for frame in frames[first:stop]]
        return Signal(TimedFrames(self._name, times[first:stop], pictures, end - start), self._rate)

    @property
    def _interval(self) -> float:
        return statistics.median(self._intervals)

    def _note(self, before: float, after: float) -> None:
        """Learn the usual interval, and remember where frames are missing."""
        usual, interval = self._interval, after - before
        self._intervals.append(interval)
        if self._is_recorded or interval < max(LONGEST_SHOWN_S, MISSING_INTERVALS * usual):
            return
        self.missing += interval - usual
        self._gaps.append((before + usual, after))

    def _keep(self, frame: _Frame) -> None:
        if len(self._kept) == self._most:
            if self._plan is None:
                self._kept = deque(itertools.islice(self._kept, 0, None, 2))
            else:
                self._kept.popleft()
                self.lost += 1
        frame.pixels(self._side)
        self._kept.append(frame)

    def _is_shown(self, begin: float, end: float) -> bool:
        """Whether a window shows, at one of its times, the frame from one steady stamp to another."""
        if not self._n_frames or self._plan is None:
            return self._n_frames > 0
        step = self._window_s / self._n_frames
        (start, hop_s), window_s = self._plan, self._window_s
        half_steps = 2 * hop_s / step
        is_bounded = hop_s >= window_s or abs(half_steps - round(half_steps)) < MULTIPLE
        if not is_bounded and self._kept and begin - self._kept[-1].steady < step / 2:
            return False
        first, last = (self.clock.session_of(steady) - TIME_ROUNDING - start for steady in (begin, end))
        for k in range(max(math.ceil((first - window_s) / hop_s), 0), math.floor(last / hop_s) + 1):
            i = max(math.ceil((first - k * hop_s) / step), 0)
            if i < self._n_frames and k * hop_s + i * step < last:
                return True
        return False

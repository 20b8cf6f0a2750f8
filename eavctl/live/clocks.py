"""The session's clock, and the estimate of a source's clock against it: offset, drift and jumps."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from typing import NamedTuple

import numpy as np

JUMP_S = 0.05  # a clock jumped whose stamps are this far before the last one, or ahead of all delays seen
LASTING_S = 0.25  # a delay that rose by this much, and lasted LEVEL_S, is one too
LEVEL_S = 20.0  # the least delay of so many seconds is the offset
LINE_S = 60  # the drift is that of so many seconds
SHORTEST_LINE_S = 10.0
LINE_EVERY_S = 5
MOST_DRIFT = 2e-3  # clocks of devices differ by less; a slope beyond is that of a growing queue
SETTLED_S = 2  # seconds of stamps after which a jump can be told from delays at the start
SMOOTHING = 0.05

LATER, EARLIER = np.tril_indices(LINE_S + 1, -1)  # pairs; the first ones are those of the first points


class MonotonicClock:
    """The session's clock: the machine's monotonic clock, or ``speed`` times as fast.

    Parameters
    ----------
    speed : seconds of the session in a second; above 1 only where all sources are files.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._begin = time.monotonic()
        self._stopped = threading.Event()

    def now(self) -> float:
        """Seconds; the machine's monotonic time at a speed of 1."""
        return self._begin + (time.monotonic() - self._begin) * self.speed

    def wait(self, seconds: float) -> None:
        """Return after that time on this clock, or at once after `stop`."""
        self._stopped.wait(max(seconds, 0.0) / self.speed)

    def stop(self) -> None:
        """End all waits, now and from now on."""
        self._stopped.set()


class _Least(NamedTuple):
    """The stamp with the least delay within a second."""

    captured: float
    steady: float
    lead: float  # captured - steady


class SourceClock:
    """Maps the stamps of a source to the session's clock.

    The offset is the least difference between the time of capture and the stamp within the last 20 s, as NTP
    filters delays [1]_: the time of capture is late by a delay that is never negative. The drift is the
    median slope [2]_ of the least differences of each second within the last minute.

    Where the source's clock jumps, its stamps are shifted so that they continue: *steady* stamps. A clock
    has jumped where a stamp lies 50 ms before the last one, where data would come 50 ms from the future, or
    where all delays of 20 s are longer than before by 0.25 s.

    Attributes
    ----------
    jumps : how often the clock jumped.
    delay : typical delay of the time of capture, seconds.

    References
    ----------
    .. [1] Mills: Improved algorithms for synchronizing computer network clocks, 1995.
    .. [2] Sen: Estimates of the regression coefficient based on Kendall's tau, 1968.
    """

    def __init__(self) -> None:
        self.jumps = 0
        self.delay = 0.0
        self._shift = 0.0
        self._zero: float | None = None  # steady stamp at which the offset is `_level`
        self._level = 0.0
        self._slope = 0.0
        self._newest = -math.inf
        self._current = _Least(0.0, 0.0, 0.0)
        self._past: deque[_Least] = deque(maxlen=LINE_S)

    @property
    def offset(self) -> float:
        """Session's time minus the source's, at the newest stamp; seconds."""
        return 0.0 if self._zero is None else self.session_of(self._newest) - self._newest + self._shift

    @property
    def drift_ppm(self) -> float:
        """Millionths by which the source's clock is slow; 0 until there are 10 s of stamps."""
        return self._slope * 1e6

    def observe(self, stamp: float, captured: float) -> bool:
        """Take a stamp and an upper bound of its time on the session's clock.

        Returns
        -------
        Whether the source's clock jumped.
        """
        if self._zero is None:
            self._zero, self._level = stamp, captured - stamp
            self._newest, self._current = stamp, _Least(captured, stamp, captured - stamp)
            return False
        late = captured - self.to_session(stamp)
        is_before = self.steady(stamp) < self._newest - JUMP_S
        jumped = is_before or (late < -JUMP_S and len(self._past) >= SETTLED_S)
        if jumped:
            self.jump(stamp, captured)
            late = 0.0
        self._level += min(late, 0.0)
        self.delay += SMOOTHING * (max(late, 0.0) - self.delay)
        steady = self.steady(stamp)
        self._newest = max(self._newest, steady)
        return self._note(_Least(captured, steady, captured - steady)) or jumped

    def steady(self, stamp: float) -> float:
        """The stamp on a source's clock that never jumped."""
        return stamp + self._shift

    def to_session(self, stamp: float) -> float:
        """Time of a stamp on the session's clock."""
        return self.session_of(self.steady(stamp))

    def session_of(self, steady: float) -> float:
        """Time of a steady stamp on the session's clock."""
        return steady + self._level + self._slope * (steady - (self._zero or 0.0))

    def steady_at(self, session: float) -> float:
        """Steady stamp of a time on the session's clock."""
        zero = self._zero or 0.0
        return zero + (session - self._level - zero) / (1.0 + self._slope)

    def jump(self, stamp: float, captured: float) -> None:
        """Count a jump of the source's clock: the stamp is of that time of capture from now on."""
        self.jumps += 1
        self.rebase(stamp, self.steady_at(captured))

    def rebase(self, stamp: float, steady: float) -> None:
        """Let a stamp, and those that follow, continue at a steady stamp."""
        self._shift = steady - stamp
        self._newest = steady

    def _note(self, seen: _Least) -> bool:
        """Keep the least delay of each second; return whether all delays have become longer."""
        second = math.floor(self._current.captured)
        if seen.captured < second + 1:
            if seen.captured >= second and self._lead(seen) < self._lead(self._current):
                self._current = seen
            return False
        self._past.append(self._current)
        self._current = seen
        before = self.session_of(seen.steady)
        self._fit(seen.captured)
        if self.session_of(seen.steady) - before < LASTING_S:
            return False
        self.jumps += 1
        self._past.clear()
        return True

    def _lead(self, seen: _Least) -> float:
        """The least offset at zero that a stamp allows."""
        return seen.lead - self._slope * (seen.steady - (self._zero or 0.0))

    def _fit(self, now: float) -> None:
        points = [*self._past, self._current]
        is_due = not int(now) % LINE_EVERY_S
        if is_due and now - points[0].captured >= SHORTEST_LINE_S:
            captured, _, lead = np.array(points).T  # captured ascends, whatever the stamps do
            self._slope = float(np.clip(_median_slope(captured, lead), -MOST_DRIFT, MOST_DRIFT))
        self._level = min(self._lead(each) for each in points if each.captured > now - LEVEL_S)


def _median_slope(x: np.ndarray, y: np.ndarray) -> float:
    """Median of the slopes between all pairs of at most `LINE_S` + 1 points; x ascending."""
    n_pairs = len(x) * (len(x) - 1) // 2
    later, earlier = LATER[:n_pairs], EARLIER[:n_pairs]
    return float(np.median((y[later] - y[earlier]) / (x[later] - x[earlier])))

"""Times of a stream's samples on its source's clock, from stamps that jitter."""

from __future__ import annotations

import math

BANDWIDTH_HZ = 0.1  # jitter faster than this is smoothed
MOST_STEP = 0.5  # of a radian, in a block: the loop stays stable with long blocks
LEAST_GAP_S = 0.015  # shorter than a usual block of audio, 20 ms
LEAST_GAP_SAMPLES = 2
JITTERS = 6.0  # a gap is longer than so many mean deviations
FIRST_JITTER_S = 0.005
SMOOTHING = 0.02


class SampleTimes:
    """A delay-locked loop [1]_: it predicts the time of the next block, and follows its stamp slowly.

    Parameters
    ----------
    rate : samples a second, as the source states it; the true rate is learned.

    Attributes
    ----------
    next : time of the next sample.
    period : seconds from one sample to the next.

    References
    ----------
    .. [1] Adriaensen: Using a DLL to filter time, Linux Audio Conference 2005.
    """

    def __init__(self, rate: float, first: float) -> None:
        self.next = first
        self.period = 1 / rate
        self._jitter = FIRST_JITTER_S

    @property
    def tolerance(self) -> float:
        """Seconds by which the stamp of a block that continues the last one can differ from its time."""
        return max(LEAST_GAP_SAMPLES * self.period, LEAST_GAP_S, JITTERS * self._jitter)

    def take(self, time: float, n: int) -> None:
        """Follow a block of ``n`` samples whose first has that stamp."""
        error = time - self.next
        duration = n * self.period
        step = min(math.tau * BANDWIDTH_HZ * duration, MOST_STEP)
        self.next += math.sqrt(2) * step * error + duration
        self.period += step * step * error / n
        self._jitter += SMOOTHING * (abs(error) - self._jitter)

    def skip(self, n: int) -> None:
        """Leave out ``n`` samples."""
        self.next += n * self.period

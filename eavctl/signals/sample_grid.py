"""The regular grid of samples behind time stamps that jitter, come in bursts, and have gaps.

A headband sends its samples in packets, and the computer stamps them when they arrive: late, several at once,
but in order and at the device's constant rate. A stamp is thus the sample's time plus a delay that is never
negative. Samples are lost where the least delay rises and stays: a late packet alone is followed by stamps
that are on time again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.ndimage import minimum_filter1d

from eavctl.errors import SignalError

# Rates of usual devices, Hz; they are more than twice the tolerance apart.
USUAL_RATES = (100, 125, 128, 200, 220, 250, 256, 300, 500, 512, 600, 1000, 1024, 2000, 2048)
TOLERANCE = 5e-3  # by which the clock of a device may differ from that of the computer
FEWEST = 16  # samples
BLOCK, PACKETS = 64, 10  # samples, and packets, in a block whose duration gives the rate
WINDOW_S = 2.0  # in which at least one sample arrives without delay
LEAST_GAP_S, LEAST_GAP_SAMPLES, JITTERS = 0.015, 2, 6.0  # a shorter gap does not harm, or is jitter
LONGEST_S = 1e7  # from the first stamp to the last; more are no times
JITTER_PARTS = 4  # of the window, whose least delays differ by jitter
LATEST_S = 1.0  # by which packets arrive late
PASSES = 3  # the number of samples that a gap lacks depends on the rate, which gaps change
BACKWARD_S = 1.0  # by which stamps can go back: a correction of the clock, and not a second recording


@dataclass(frozen=True)
class SampleGrid:
    """Where the samples of a recording lie on a regular grid.

    Parameters
    ----------
    sfreq : sampling rate, Hz: the usual or stated one, if the stamps fit it, else that of the stamps.
    places : index of each sample on the grid, increasing from 0; where one is left out, a sample is missing.
    line : line that gives a place from a stamp: the place at stamp 0, and places a second.
    """

    sfreq: float
    places: np.ndarray
    line: tuple[float, float]

    @property
    def n_times(self) -> int:
        """Number of samples with the missing ones."""
        return int(self.places[-1]) + 1

    @property
    def gaps(self) -> tuple[tuple[float, float], ...]:
        """Start and end of each gap, in seconds from the first sample."""
        before = np.flatnonzero(np.diff(self.places) > 1)
        starts, ends = self.places[before] + 1, self.places[before + 1]
        return tuple(zip((starts / self.sfreq).tolist(), (ends / self.sfreq).tolist(), strict=True))

    def seconds_of(self, stamp: float) -> float:
        """Seconds from the first sample at which a stamp of the same clock lies."""
        return (self.line[0] + self.line[1] * stamp) / self.sfreq

    def spread(self, values: np.ndarray) -> np.ndarray:
        """The values of the samples (n_samples,) on the grid (n_times,), with gaps bridged by straight lines.

        A straight line has no step at which a filter would ring.
        """
        if len(values) == self.n_times:
            return values
        return np.asarray(np.interp(np.arange(self.n_times), self.places, values))


def grid_of(stamps: np.ndarray, stated: float | None = None) -> SampleGrid:
    """Find the grid of samples.

    Parameters
    ----------
    stamps : time of each sample, in seconds of any clock, finite, in the order of the samples.
    stated : the rate that a device states, Hz.

    Raises
    ------
    SignalError : too few samples, or stamps that do not advance, go far back, or span months.
    """
    if len(stamps) < FEWEST:
        raise SignalError(f"only {len(stamps)} samples; a recording has {FEWEST} or more")
    with np.errstate(over="ignore"):
        times = stamps - stamps[0]
    if not np.abs(times).max() < LONGEST_S:
        raise SignalError(f"the time stamps span {np.abs(times).max():g} s; they are damaged, or no times")
    steps = np.diff(times)
    back = int(np.argmin(steps))
    if steps[back] < -BACKWARD_S:
        raise SignalError(
            f"the time stamps go back by {-steps[back]:g} s after {times[back]:.2f} s; save each recording "
            "in a file of its own"
        )
    n_packets = 1 + int(np.count_nonzero(steps > 0))
    packet = -(-len(stamps) // n_packets)  # samples
    rate = block_rate(times, packet)
    for _ in range(PASSES):
        places = _places(times, rate, packet)
        rate, first = _line(times, places)
    return SampleGrid(_nearest(rate, stated), places, (first - rate * float(stamps[0]), rate))


def block_rate(times: np.ndarray, packet: int = 1) -> float:
    """Samples a second by the median duration of blocks, which gaps in a few of them do not change.

    Raises
    ------
    SignalError : the stamps do not advance.
    """
    n = min(max(BLOCK, PACKETS * packet), len(times) - 1)
    starts = np.arange(0, len(times) - n, max(n // 2, 1))
    typical = float(np.median(times[starts + n] - times[starts]))
    if not typical > 0:
        raise SignalError("the time stamps do not advance")
    return n / typical


def _line(times: np.ndarray, places: np.ndarray) -> tuple[float, float]:
    """Slope and value at 0 of the least-squares line."""
    middle, place = float(times.mean()), float(places.mean())
    centred = times - middle
    slope = float(centred @ (places - place) / (centred @ centred))
    return slope, place - slope * middle


def _places(times: np.ndarray, rate: float, packet: int) -> np.ndarray:
    """Index of each sample on a grid of this rate, with the gaps found."""
    n = len(times)
    window = min(max(round(WINDOW_S * rate), 4 * packet), n)
    delays = times - np.arange(n) / rate
    part = -(-window // JITTER_PARTS)  # short ones, so that gaps are in few of them
    least = delays[: n // part * part].reshape(-1, part).min(axis=1)
    jitter = float(np.median(np.abs(np.diff(least)))) if len(least) > 1 else 0.0
    tolerance = max(LEAST_GAP_SAMPLES / rate, LEAST_GAP_S, JITTERS * jitter)
    least_in = partial(minimum_filter1d, delays, window, mode="nearest")
    before = least_in(origin=(window - 1) // 2)  # the least delay in the window that ends at a sample
    after = least_in(origin=-(window // 2))  # and in the one that begins at it
    missing = np.zeros(n, np.int64)
    last = 0  # the sample after the last gap
    for i in np.flatnonzero(after[1:] - before[:-1] > tolerance).tolist():
        rise = delays[i + 1 : i + 1 + window].min() - delays[max(last, i + 1 - window) : i + 1].min()
        is_told = rise > (tolerance if n - i > part else LATEST_S)  # near the end, packets may be late
        if is_told and times[i + 1] - times[i] > 1 / rate:
            missing[i + 1] = round(rise * rate)
            last = i + 1
    return np.arange(n) + np.cumsum(missing)


def _nearest(rate: float, stated: float | None) -> float:
    """The stated or usual rate near a measured one, else the whole number near it, else itself."""
    for usual in (stated, *USUAL_RATES, round(rate)):
        if usual and math.isclose(rate, usual, rel_tol=TOLERANCE):
            return float(usual)
    return float(round(rate, 3))


def described(gaps: Sequence[tuple[float, float]]) -> str:
    """How many gaps there are, and how long they are in all."""
    seconds = sum(end - start for start, end in gaps)
    return f"{len(gaps)} gap{'s' if len(gaps) > 1 else ''} in the time stamps, {seconds:.2f} s in all"

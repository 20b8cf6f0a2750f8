"""What a source gave last, by time, and a track of samples; that of frames is in `frame_track`."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from eavctl.extraction.open_recording import Signal
from eavctl.live.chunk import Chunk
from eavctl.live.clocks import SourceClock
from eavctl.live.ring import Ring
from eavctl.live.sample_times import SampleTimes

NEAR_S = 0.1  # where a clock jumped, less than this between two blocks is the delay of the later one


class Cover(NamedTuple):
    """What a track has of a window; times of the session's clock.

    Parameters
    ----------
    begin : time of the oldest data kept.
    missing : seconds between the window's start and end that were lost.
    """

    begin: float
    missing: float


class Track(Protocol):
    """What a source gave last.

    Attributes
    ----------
    clock : the source's.
    lost : samples or frames that were given, but overwritten or refused before a window could use them.
    missing : seconds that were never given.
    """

    clock: SourceClock
    lost: int
    missing: float

    @property
    def first(self) -> float | None:
        """Time of the first sample or frame; None before it."""
        ...

    @property
    def reach(self) -> float | None:
        """Time up to which there are data; None before the first."""
        ...

    @property
    def has_room(self) -> bool:
        """Whether one more second of data overwrites nothing that the next window needs."""
        ...

    def push(self, chunk: Chunk) -> None:
        """Take what the source gave next."""
        ...

    def expect(self, start: float, hop_s: float) -> None:
        """Prepare for windows that start at that time, and every hop from there; forget what is before."""
        ...

    def adapt(self, frames: int, side: int | None) -> None:
        """Take so many frames a window from now on, of that longest side; of no effect on samples."""
        ...

    def cover(self, start: float, end: float) -> Cover:
        """What there is of a window."""
        ...

    def signal(self, start: float, end: float, margin_s: float) -> Signal:
        """The data of a window, with up to ``margin_s`` seconds before it, as far as there are."""
        ...


class _Block(NamedTuple):
    """A chunk of samples; see `Chunk`."""

    data: np.ndarray
    captured: float
    stamp: float

    @property
    def n(self) -> int:
        return int(self.data.shape[-1])


class SampledTrack:
    """A ring of the newest samples; a gap is filled by a straight line and remembered.

    Blocks adjoin, however their stamps jitter and whatever the true rate is, until a stamp is later than its
    time by more than 15 ms, 2 samples and 6 times the usual jitter: then samples are missing. A stamp that is
    earlier by as much is not used until the block after it shows what happened: the source's clock jumped,
    or a block was sent twice.

    Parameters
    ----------
    n_chans : None for audio.
    rate : samples a second, as the source states it.
    seconds : length of the ring: a window, its margin, and how long a window may wait to be judged.
    ch_names : of EEG.
    name : for errors.
    """

    def __init__(
        self,
        n_chans: int | None,
        rate: float,
        seconds: float,
        ch_names: Sequence[str] = (),
        name: str = "window",
    ) -> None:
        self.clock = SourceClock()
        self.lost, self.missing = 0, 0.0
        self._rate, self._ch_names, self._name = rate, tuple(ch_names), name
        axes, dtype = ((), np.float32) if n_chans is None else ((n_chans,), np.float64)
        self._ring = Ring(np.zeros((*axes, round(seconds * rate)), dtype))
        self._times: SampleTimes | None = None
        self._gaps: deque[tuple[int, int]] = deque()  # numbers of the samples that fill gaps
        self._doubtful: _Block | None = None
        self._n_counted = 0
        self._needed: float | None = None

    @property
    def first(self) -> float | None:
        """Time of the first sample."""
        return None if self._times is None else self._time_of(0)

    @property
    def reach(self) -> float | None:
        """Time up to which there are samples."""
        return None if self._times is None else self.clock.session_of(self._times.next)

    @property
    def has_room(self) -> bool:
        """See `Track.has_room`."""
        if self._times is None or self._needed is None:
            return True
        return self._number_at(self._needed) + self._ring.size - self._ring.end >= self._rate

    def push(self, chunk: Chunk) -> None:
        """Take what the source gave next."""
        data = np.asarray(chunk.data)
        stamp = self._n_counted / self._rate if chunk.stamp is None else chunk.stamp
        block = _Block(data, chunk.captured, stamp)
        self._n_counted += block.n
        if not block.n:
            return
        if self._times is None:
            self._times = SampleTimes(self._rate, stamp)
        doubtful, self._doubtful = self._doubtful, None
        if doubtful and self._continues(doubtful, block, self._times):
            self.clock.jump(doubtful.stamp, doubtful.captured)
            self._take(doubtful, self._times, has_jumped=True)
            self._take(block, self._times)
            return
        if doubtful:
            self.lost += doubtful.n
        if self.clock.steady(stamp) - self._times.next < -self._times.tolerance:
            self._doubtful = block
        else:
            self._take(block, self._times)

    def expect(self, start: float, hop_s: float) -> None:
        """See `Track.expect`."""
        self._needed = start

    def adapt(self, frames: int, side: int | None) -> None:
        """Do nothing: all samples are taken."""

    def cover(self, start: float, end: float) -> Cover:
        """See `Track.cover`."""
        first, n = self._place(start, end)
        missing = sum(max(0, min(stop, first + n) - max(begin, first)) for begin, stop in self._gaps)
        return Cover(self._time_of(self._ring.oldest), missing / self._rate)

    def signal(self, start: float, end: float, margin_s: float) -> Signal:
        """See `Track.signal`; the window is moved where data lack at its start or end.

        Returns
        -------
        Audio float32, shape (n,), or EEG float64, shape (n_chans, n_margin + n), n being the seconds times
        the rate; if the whole ring is shorter, the last sample is repeated.
        """
        first, n = self._place(start, end)
        margin = min(round(margin_s * self._rate), first - self._ring.oldest)
        data = self._ring.read(first - margin, margin + n)
        lack = margin + n - data.shape[-1]
        if lack:
            data = np.pad(data, [*[(0, 0)] * (data.ndim - 1), (0, lack)], mode="edge")
        return Signal(data, self._rate, self._ch_names, self._name, margin / self._rate)

    @staticmethod
    def _continues(before: _Block, block: _Block, times: SampleTimes) -> bool:
        return abs(block.stamp - before.stamp - before.n * times.period) <= times.tolerance

    def _take(self, block: _Block, times: SampleTimes, has_jumped: bool = False) -> None:
        """Append a block after what is missing before it."""
        has_jumped = self.clock.observe(block.stamp, block.captured) or has_jumped
        ahead = self.clock.steady(block.stamp) - times.next
        if has_jumped and ahead <= NEAR_S:
            self.clock.rebase(block.stamp, times.next)
        elif ahead > times.tolerance:
            self._skip(round(ahead / times.period), block.data[..., 0], times)
        times.take(self.clock.steady(block.stamp), block.n)
        self._append(block.data)

    def _skip(self, n: int, following: np.ndarray, times: SampleTimes) -> None:
        """Fill ``n`` missing samples; of more than the ring holds, only the last."""
        times.skip(n)
        self.missing += n / self._rate
        last = self._ring.read(self._ring.end - 1, 1)
        n_filled = min(n, self._ring.size)
        share = np.arange(n - n_filled + 1, n + 1) / (n + 1)
        self._ring.end += n - n_filled
        self._append(last + (following[..., np.newaxis] - last) * share)
        self._gaps.append((self._ring.end - n_filled, self._ring.end))

    def _append(self, data: np.ndarray) -> None:
        before = self._ring.oldest
        self._ring.append(data)
        while self._gaps and self._gaps[0][1] <= self._ring.oldest:
            self._gaps.popleft()
        if self._needed is not None and self._ring.oldest > before:
            self.lost += max(0, self._ring.oldest - max(before, self._number_at(self._needed)))

    def _place(self, start: float, end: float) -> tuple[int, int]:
        """Number of a window's first sample, and how many there are."""
        n = round(round((end - start) * self._rate, 6))
        latest = max(self._ring.end - n, self._ring.oldest)
        return min(max(self._number_at(start), self._ring.oldest), latest), n

    def _time_of(self, number: int) -> float:
        assert self._times is not None
        back = (self._ring.end - number) * self._times.period
        return self.clock.session_of(self._times.next - back)

    def _number_at(self, session: float) -> int:
        assert self._times is not None
        back = (self._times.next - self.clock.steady_at(session)) / self._times.period
        return round(self._ring.end - back)

"""A live session: one thread a source, the synchroniser between them, and answers window by window."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import NamedTuple

from eavctl.errors import DataError, EavctlError
from eavctl.extraction.open_recording import Signal
from eavctl.live.answering import Judge, LiveAnswer
from eavctl.live.chunk import Chunk, Source, SourceError
from eavctl.live.clocks import MonotonicClock
from eavctl.live.latencies import Latencies
from eavctl.live.quality import Quality, QualityController
from eavctl.live.status import Status
from eavctl.live.synchroniser import Synchroniser
from eavctl.live.window import Window

AHEAD = "video"  # the modality that is looked at before its window ends
LOOK_S = 0.1  # before that end, and as long before as looking takes, twice, is looked
LEAST_WAIT_S = 0.001
IDLE_S = 0.1  # between looks at the clock while nothing arrives
SILENT_S = 5.0  # without data from a source, before a message says so
RETRY_S = 0.5  # before a device that was unplugged is opened again

LEAVE_S = 1.0  # for a thread to end


class Answered(NamedTuple):
    """An answer, with what the session knows of it.

    Parameters
    ----------
    answer : of one window.
    latency_s : from the capture of the window's last sample to the answer.
    quality : that the window had; None where it is fixed.
    changed : a sentence, where the quality changes with this answer; else empty.
    """

    answer: LiveAnswer
    latency_s: float
    quality: Quality | None
    changed: str


class Session:
    """Runs sources in threads, and yields the answers.

    Parameters
    ----------
    sources : open ones, one a modality.
    synchroniser : for these modalities.
    clock : of the session.
    reopen : opens a device again that was unplugged; None leaves it away.
    controller : steers the quality; None keeps it.

    Attributes
    ----------
    latencies : by stage, of the last windows.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        synchroniser: Synchroniser,
        clock: MonotonicClock,
        reopen: Callable[[Source], Source] | None = None,
        controller: QualityController | None = None,
    ) -> None:
        self._sources, self._synchroniser, self._clock = list(sources), synchroniser, clock
        self._reopen, self._controller = reopen, controller
        self._changed, self._is_over = threading.Condition(), False
        self._quality = controller.quality if controller else None
        self._feeders = [threading.Thread(target=self._feed, args=(each,), daemon=True) for each in sources]
        self._faults: list[str] = []
        self._look_at: float | None = None  # time to look at the next window
        self._looked_at: float | None = None  # end of the last window that was looked at
        self._look_s = 0.0  # that looking took
        self._tell: Callable[[str], None] = lambda _: None
        self._has_told_of_silence = False
        self._lost = dict.fromkeys((each.modality for each in sources), 0)  # by devices that were replaced
        self._begin = clock.now()
        self.latencies = Latencies()

    def status(self) -> Status:
        """What is known of each source, and counts."""
        with self._changed:
            found = self._synchroniser.status(self._clock.now())
            lost = {each.modality: each.lost + self._lost[each.modality] for each in self._sources}
        modalities = {name: of._replace(lost=of.lost + lost[name]) for name, of in found.modalities.items()}
        return found._replace(modalities=modalities)

    def answers(self, judge: Judge, tell: Callable[[str], None] = lambda _: None) -> Iterator[Answered]:
        """Yield an answer a window, until all sources have ended; closes them at the end.

        Parameters
        ----------
        judge : judges windows.
        tell : called from any thread with a sentence on a source that broke, or that gives nothing.

        Raises
        ------
        SourceError : every source broke, or ended, before there was any window.
        """
        self._tell = tell
        for feeder in self._feeders:
            feeder.start()
        try:
            while (window := self._next_window(judge)) is not None:
                yield self._answered(judge(window))
            if not self.status().windows:
                names = " + ".join(each.name for each in self._sources)
                raise SourceError([*self._faults, f"{names}: ended before there was a window to judge"][0])
        finally:
            self.close()

    # --- windows ------------------------------------------------------------------------------------------

    def _next_window(self, judge: Judge) -> Window | None:
        """Wait for the next window; None when all sources have ended."""
        while True:
            with self._changed:
                now = self._clock.now()
                if self._is_exhausted():
                    return None
                window = self._synchroniser.poll(now)
                if window is not None:
                    return window
                self._tell_of_silence(now)
                so_far = self._to_look_at(now)
                if so_far is None:
                    self._wait(now)
            if so_far is not None:
                began = perf_counter()
                judge.look_ahead(AHEAD, so_far)
                self._look_s = perf_counter() - began

    def _wait(self, now: float) -> None:
        """Wait until something arrives, or it is time for something."""
        times = (self._synchroniser.next_deadline(now), self._look_at)
        until = min([now + IDLE_S * self._clock.speed, *(time for time in times if time is not None)])
        self._changed.wait(max((until - now) / self._clock.speed, LEAST_WAIT_S))

    def _to_look_at(self, now: float) -> Signal | None:
        """The pictures of the next window, shortly before its end and once.

        Searching them for faces takes most of the time of a window; searched now, they are known when the
        window is closed.
        """
        self._look_at, end = None, self._synchroniser.next_end
        if end is None or end == self._looked_at:
            return None
        takes = self._look_s * self._clock.speed
        begin = end - 2 * takes - LOOK_S * self._clock.speed
        if now < begin:
            self._look_at = begin
            return None
        self._looked_at = end
        return self._synchroniser.so_far(AHEAD) if now < end - takes else None

    def _tell_of_silence(self, now: float) -> None:
        """Say once which sources have given nothing: perhaps there will be no window."""
        if self._has_told_of_silence or now - self._begin < SILENT_S:
            return
        self._has_told_of_silence = True
        for source in self._sources:
            if source.modality in self._synchroniser.silent:
                self._tell(f"{source.name}: nothing came within {SILENT_S:g} s; still waiting for it")

    def _is_exhausted(self) -> bool:
        """Whether nothing will come: a device that broke is awaited by its thread."""
        return self._synchroniser.exhausted() and not any(each.is_alive() for each in self._feeders)

    def _answered(self, answer: LiveAnswer) -> Answered:
        window, quality, changed = answer.window, self._quality, ""
        latency_s = (self._clock.now() - window.end) / self._clock.speed
        if window.signals:
            wait_s = (window.ready - window.end) / self._clock.speed
            self.latencies.add({"wait": wait_s, **answer.seconds, "total": latency_s})
        if self._controller is not None:
            costs = {
                name: took + (self._look_s if name == AHEAD else 0.0) for name, took in answer.costs.items()
            }
            changed = self._controller.observe(latency_s, costs) or ""
            self._quality = self._controller.quality
            with self._changed:
                self._synchroniser.set_quality(self._quality)
        return Answered(answer, latency_s, quality, changed)

    # --- sources ------------------------------------------------------------------------------------------

    def _feed(self, source: Source | None) -> None:
        """Push a source's chunks, in a thread of its own; a device that broke is awaited."""
        while source is not None and not self._is_over:
            try:
                for chunk in source.chunks(self._clock, self._begin):
                    self._push(source, chunk)
                self._tell_end(source.modality, "")
                return
            except SourceError as error:
                self._tell_end(source.modality, str(error))
                source = self._opened_again(source)
            except EavctlError as error:  # damaged where it was not read before; the other sources go on
                self._tell_end(source.modality, str(error))
                return
            except Exception as error:  # of a driver or a library
                self._tell_end(source.modality, f"{source.name}: {type(error).__name__}: {error}")
                return

    def _push(self, source: Source, chunk: Chunk) -> None:
        """Push a chunk; one of a file once there is room, so that a slow judge loses nothing of it."""
        with self._changed:
            while (
                source.is_recorded and not self._is_over and not self._synchroniser.has_room(source.modality)
            ):
                self._changed.wait(IDLE_S)
            self._synchroniser.push(source.modality, chunk)
            self._changed.notify_all()

    def _opened_again(self, source: Source) -> Source | None:
        """The device that broke, once it is back; None if it is a file, or the session is over."""
        source.close()
        reason = ""
        while self._reopen and not source.is_recorded and not self._is_over:
            self._clock.wait(RETRY_S)
            try:
                again = self._reopen(source)
            except DataError as error:
                if str(error) != reason and not self._is_over:
                    self._tell(reason := str(error))
                continue
            with self._changed:
                self._sources[self._sources.index(source)] = again
                self._lost[source.modality] += source.lost
                if not self._is_over:
                    return again
            again.close()
        return None

    def _tell_end(self, modality: str, reason: str) -> None:
        if reason:
            self._tell(reason)
        with self._changed:
            self._faults += [reason] if reason else []
            self._synchroniser.ended(modality, reason)
            self._changed.notify()

    def close(self) -> None:
        """End the sources and their threads."""
        with self._changed:
            self._is_over = True
        self._clock.stop()
        for source in tuple(self._sources):
            source.close()
        for feeder in filter(threading.Thread.is_alive, self._feeders):
            feeder.join(timeout=LEAVE_S)

"""A live session: one thread a source, the synchroniser between them, and answers window by window."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from eavctl.live.answering import Judge, LiveAnswer
from eavctl.live.chunk import Source, SourceError
from eavctl.live.clocks import MonotonicClock
from eavctl.live.latencies import Latencies
from eavctl.live.quality import Quality, QualityController
from eavctl.live.synchroniser import Status, Synchroniser
from eavctl.live.window import Window

IDLE_S = 0.1  # between looks at the clock while nothing arrives
RETRY_S = 1.0  # before a device that was unplugged is tried again

LEAVE_S = 1.0  # for a thread to end

OpenSource = Callable[[], Source]


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
    reopen : how a device that was unplugged is opened again, by modality; without, it stays away.
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
        reopen: Mapping[str, OpenSource] | None = None,
        controller: QualityController | None = None,
    ) -> None:
        self._sources = {source.modality: source for source in sources}
        self._synchroniser, self._clock = synchroniser, clock
        self._reopen, self._controller = reopen or {}, controller
        self._changed, self._is_over = threading.Condition(), False
        self._quality = controller.quality if controller else None
        self._feeders: list[threading.Thread] = []
        self._begin = clock.now()
        self.latencies = Latencies()

    @property
    def begin(self) -> float:
        """The session's begin on its clock."""
        return self._begin

    def status(self) -> Status:
        """What the synchroniser knows of each source, and its counts."""
        with self._changed:
            return self._synchroniser.status(self._clock.now())

    def answers(self, judge: Judge) -> Iterator[Answered]:
        """Yield an answer a window, until all sources have ended; closes them at the end.

        Raises
        ------
        SourceError : every source broke before there was any window.
        """
        for name in self._sources:
            self._feeders.append(threading.Thread(target=self._feed, args=(name,), daemon=True))
            self._feeders[-1].start()
        try:
            while (window := self._next_window()) is not None:
                yield self._answered(judge(window))
        finally:
            self.close()

    # --- windows ------------------------------------------------------------------------------------------

    def _next_window(self) -> Window | None:
        """Wait for the next window; None when all sources have ended."""
        with self._changed:
            while True:
                now = self._clock.now()
                window = self._synchroniser.poll(now)
                if window is not None or self._synchroniser.exhausted(now):
                    return window
                deadline = self._synchroniser.next_deadline(now)
                wait = IDLE_S if deadline is None else min(deadline - now, IDLE_S)
                self._changed.wait(max(wait, 0.0) / self._clock.speed)

    def _answered(self, answer: LiveAnswer) -> Answered:
        window, quality, changed = answer.window, self._quality, ""
        latency_s = (self._clock.now() - window.end) / self._clock.speed
        self.latencies.add(
            {"wait": (window.ready - window.end) / self._clock.speed, **answer.seconds, "total": latency_s}
        )
        if self._controller is not None:
            changed = self._controller.observe(latency_s, answer.seconds) or ""
            with self._changed:
                self._synchroniser.set_quality(self._controller.quality)
        return Answered(answer, latency_s, quality, changed)

    # --- sources ------------------------------------------------------------------------------------------

    def _feed(self, modality: str) -> None:
        """Push a source's chunks, in a thread of its own; a device that breaks is tried again."""
        source = self._sources[modality]
        while not self._is_over:
            try:
                for chunk in source.chunks(self._clock, self._begin):
                    with self._changed:
                        if self._is_over:
                            return
                        self._synchroniser.push(modality, chunk)
                        self._changed.notify()
                self._tell_end(modality, "")
                return
            except SourceError as error:
                self._tell_end(modality, str(error))
                again = self._opened_again(modality, source)
                if again is None:
                    return
                source = again
            except Exception as error:  # of a driver or a library: the other sources go on
                self._tell_end(modality, f"{type(error).__name__}: {error}")
                return

    def _opened_again(self, modality: str, source: Source) -> Source | None:
        """A device that broke, once it can be opened again; None if it cannot, or the session is over."""
        source.close()
        while modality in self._reopen and not self._is_over:
            self._clock.wait(RETRY_S)
            with contextlib.suppress(SourceError):
                self._sources[modality] = self._reopen[modality]()
                return self._sources[modality]
        return None

    def _tell_end(self, modality: str, reason: str) -> None:
        with self._changed:
            self._synchroniser.ended(modality, reason, self._clock.now())
            self._changed.notify()

    def close(self) -> None:
        """End the sources and their threads."""
        self._is_over = True
        self._clock.stop()
        for source in list(self._sources.values()):
            source.close()
        for feeder in self._feeders:
            feeder.join(timeout=LEAVE_S)

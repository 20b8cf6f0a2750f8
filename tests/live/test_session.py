"""The threads of a session: sources that stall, break and come back, and a judge that is slow."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest

from eavctl.errors import SignalError
from eavctl.live import session as live_session
from eavctl.live.answering import LiveAnswer
from eavctl.live.chunk import Chunk, SourceError
from eavctl.live.clocks import MonotonicClock
from eavctl.live.frame_track import FrameTrack
from eavctl.live.quality import Quality, QualityController
from eavctl.live.session import Session
from eavctl.live.sources.base import BaseSource
from eavctl.live.synchroniser import Synchroniser
from eavctl.live.tracks import SampledTrack

RATE, BLOCK_S = 100.0, 0.1
WINDOW_S, HOP_S = 1.0, 0.5
SPEED = 5.0  # of the session's clock


class Device(BaseSource):
    """Gives the number of each sample, in a pause nothing; after its last second it ends or breaks."""

    rate = RATE

    def __init__(
        self, modality="audio", seconds=4.0, start=0.0, pause=(0.0, 0.0), error=None, is_recorded=False
    ):
        super().__init__(f"test:{modality}")
        self.modality, self.is_recorded, self.can_stall = modality, is_recorded, not is_recorded
        self.ch_names = ("C3",) if modality == "eeg" else ()
        self._start, self._seconds, self._pause, self._error = start, seconds, pause, error

    def chunks(self, clock, begin):
        n = round(BLOCK_S * RATE)
        for number in range(round(self._start / BLOCK_S), round(self._seconds / BLOCK_S)):
            stamp = number * BLOCK_S
            if self._pause[0] <= stamp < self._pause[1]:
                continue
            if not self._wait_until(clock, begin + stamp + BLOCK_S):
                return
            data = np.arange(number * n, (number + 1) * n, dtype=np.float32)
            yield Chunk(data if self.modality == "audio" else data[np.newaxis], begin + stamp, stamp)
        if self._error is not None:
            raise self._error


def session_of(*devices, skip=True, speed=SPEED, **options):
    tracks = {
        each.modality: SampledTrack(1 if each.modality == "eeg" else None, RATE, 6.0, each.ch_names)
        for each in devices
    }
    patience_s = None if skip else np.inf
    synchroniser = Synchroniser(tracks, WINDOW_S, HOP_S, margin_s={}, skip=skip, patience_s=patience_s)
    return Session(devices, synchroniser, MonotonicClock(speed), **options)


def judged(window):
    return LiveAnswer("test", window.start, window.end, window, None, "", {"features": 0.0})


def windows_of(session, judge=judged):
    return [answered.answer.window for answered in session.answers(judge)]


def test_windows_hold_the_samples_of_their_times_and_threads_end():
    n_threads = threading.active_count()
    windows = windows_of(session_of(Device(is_recorded=True), Device("eeg", is_recorded=True), skip=False))
    assert len(windows) == 7
    for i, window in enumerate(windows):
        samples = np.arange(i * HOP_S * RATE, (i * HOP_S + WINDOW_S) * RATE)
        assert np.array_equal(window.signals["audio"].data, samples)
        assert np.array_equal(window.signals["eeg"].data, samples[np.newaxis])
        assert not window.absent
    assert threading.active_count() == n_threads


def test_a_stalled_source_is_told_by_the_next_window_and_comes_back():
    windows = windows_of(session_of(Device("eeg", 6.0), Device(seconds=6.0, pause=(1.5, 3.0))))
    begin = windows[0].start
    is_there = {round(w.end - begin, 1): "audio" in w.signals for w in windows}
    assert is_there[1.5]
    assert not is_there[2.0]
    assert is_there[4.5]
    told = next(window for window in windows if window.absent)
    assert told.ready - told.end < HOP_S
    assert all("eeg" in window.signals for window in windows)


def test_a_device_that_is_unplugged_is_opened_again():
    opened = []

    def reopen(source):
        opened.append(source.name)
        if len(opened) == 1:
            raise SourceError("not there yet")
        return Device("eeg", 8.0, start=5.0)

    unplugged = Device("eeg", 2.0, error=SourceError("test:eeg: unplugged"))
    session, told = session_of(Device(seconds=8.0), unplugged, reopen=reopen), []
    windows = [answered.answer.window for answered in session.answers(judged, told.append)]
    assert told == ["test:eeg: unplugged", "not there yet"]
    reasons = [window.absent.get("eeg") for window in windows]
    assert reasons[0] is None
    assert "test:eeg: unplugged" in reasons
    assert reasons[-1] is None
    assert len(opened) == 2
    assert len(session._sources) == 2  # one a modality, however often it broke
    apart = windows[-1].signals["eeg"].data[0] - windows[-1].signals["audio"].data
    assert np.abs(apart).max() <= 0.1 * RATE


def test_the_others_go_on_without_a_source_whose_driver_fails():
    windows = windows_of(session_of(Device(), Device("eeg", 1.0, error=ZeroDivisionError("driver"))))
    assert len(windows) == 7
    assert "driver" in windows[-1].absent["eeg"]
    assert "audio" in windows[-1].signals


def test_a_session_whose_only_source_cannot_come_back_ends_with_its_error():
    session = session_of(Device(seconds=0.0, error=SourceError("test:audio: gone")))
    with pytest.raises(SourceError, match="gone"):
        windows_of(session)


class Silent(Device):
    """Gives nothing until the session ends."""

    def chunks(self, clock, begin):
        self._wait_until(clock, np.inf)
        yield from ()


def test_a_source_that_broke_or_gives_nothing_is_told_once(monkeypatch):
    monkeypatch.setattr(live_session, "SILENT_S", 0.5)
    told = []
    broken = Device("eeg", 1.0, error=SourceError("test:eeg: unplugged"))
    answers = session_of(broken, Silent()).answers(judged, told.append)
    for _ in range(3):
        next(answers)
    answers.close()
    assert told.count("test:eeg: unplugged") == 1
    (silent,) = (each for each in told if each != "test:eeg: unplugged")
    assert silent.startswith("test:audio")


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_a_file_that_ends_before_a_window_is_an_error(seconds):
    with pytest.raises(SourceError, match="test:audio"):
        windows_of(session_of(Device(seconds=seconds, is_recorded=True), skip=False))


def test_damage_in_the_middle_is_told_in_its_own_words():
    damaged = Device("eeg", 2.0, error=SignalError("a.edf: damaged"), is_recorded=True)
    windows = windows_of(session_of(Device(is_recorded=True), damaged, skip=False))
    assert windows[0].absent == {}
    assert windows[-1].absent == {"eeg": "a.edf: damaged"}


def test_what_a_source_dropped_is_counted_also_when_it_was_replaced():
    unplugged = Device("eeg", 1.0, error=SourceError("unplugged"))
    unplugged.lost = 3
    again = Device("eeg", 4.0, start=2.0)
    again.lost = 4
    session = session_of(Device(), unplugged, reopen=lambda source: again)
    windows_of(session)
    status = session.status().modalities
    assert (status["eeg"].lost, status["audio"].lost) == (7, 0)


def slow(clock, seconds):
    def judge(window):
        clock.wait(seconds)
        return judged(window)

    return judge


def test_a_slow_judge_gets_no_window_after_the_end_of_a_damaged_file():
    damaged = Device(seconds=2.0, error=SignalError("damaged"), is_recorded=True)
    answers = session_of(damaged, skip=False).answers(slow(MonotonicClock(SPEED), 3 * HOP_S))
    windows = [answered.answer.window for answered in itertools.islice(answers, 10)]
    answers.close()
    assert len(windows) == 3
    assert all("audio" in window.signals for window in windows)


def test_nothing_of_a_file_is_lost_to_a_slow_judge():
    session = session_of(Device(seconds=8.0, is_recorded=True), skip=False)
    windows = windows_of(session, slow(MonotonicClock(SPEED), 2 * HOP_S))
    assert len(windows) == 15
    for i, window in enumerate(windows):
        assert window.signals["audio"].data[0] == i * HOP_S * RATE
    status = session.status()
    assert (status.dropped, status.modalities["audio"].lost) == (0, 0)


def test_a_slow_judge_gets_the_newest_window_of_a_device_and_the_others_are_counted():
    session = session_of(Device(seconds=8.0))
    windows = windows_of(session, slow(MonotonicClock(SPEED), 2 * HOP_S))
    status = session.status()
    assert status.windows == len(windows) < 12
    assert status.windows + status.dropped == 15
    assert all(window.ready - window.end < 2.5 * HOP_S for window in windows)


def test_late_answers_lower_the_quality_and_each_change_is_said_once():
    best = Quality(0, None, HOP_S)
    controller = QualityController(best, ("audio",), target_s=0.02)
    session = session_of(Device(seconds=15.0), controller=controller)
    found = list(session.answers(slow(MonotonicClock(SPEED), 0.4)))
    said = [(each.quality.hop, each.changed) for each in found]
    changes = [sentence for _, sentence in said if sentence]
    assert changes
    assert said[0][0] == HOP_S < said[-1][0]
    assert len(changes) == sum(a[0] != b[0] for a, b in itertools.pairwise(said))


class Camera(Device):
    """Gives a picture of its own every tenth of a second."""

    def __init__(self, seconds=4.0):
        super().__init__("video", seconds)
        self.rate = 1 / BLOCK_S

    def chunks(self, clock, begin):
        for number in range(round(self._seconds / BLOCK_S)):
            if not self._wait_until(clock, begin + number * BLOCK_S):
                return
            picture = np.full((4, 4, 3), number, np.uint8)
            yield Chunk(lambda side, picture=picture: picture, begin + number * BLOCK_S, number * BLOCK_S)


class LookingAhead:
    """A judge that keeps the pictures which it saw before their window, and those of the window."""

    def __init__(self):
        self.early, self.windows = [], []

    def look_ahead(self, modality, so_far):
        self.early.append([*so_far.data.frames(0.0, WINDOW_S, 5)])

    def __call__(self, window):
        self.windows.append([*window.signals["video"].data.frames(0.0, WINDOW_S, 5)])
        return judged(window)


def test_pictures_of_a_window_are_looked_at_before_its_end_and_are_the_same_arrays():
    tracks = {"video": FrameTrack(5, WINDOW_S, 1 / BLOCK_S)}
    synchroniser = Synchroniser(tracks, WINDOW_S, WINDOW_S, margin_s={})
    session, judge = Session([Camera()], synchroniser, MonotonicClock(2.0)), LookingAhead()
    list(session.answers(judge))
    assert len(judge.windows) == len(judge.early) >= 3
    for early, pictures in zip(judge.early, judge.windows, strict=True):
        assert all(one is other for one, other in zip(early[:4], pictures[:4], strict=True))


def test_a_session_that_is_left_ends_its_threads():
    n_threads = threading.active_count()
    answers = session_of(Device(seconds=1000.0)).answers(judged)
    next(answers)
    answers.close()
    assert threading.active_count() == n_threads

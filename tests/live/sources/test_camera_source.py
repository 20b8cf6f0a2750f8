"""Cameras, with a container of our own: kernel times, the newest frame, damage, and a lost camera."""

from __future__ import annotations

import errno
import threading
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest

from eavctl.live.chunk import SourceError
from eavctl.live.sources import camera
from eavctl.live.sources.camera import Camera

UNPLUGGED = OSError(errno.ENODEV, "No such device")
KERNEL_NOW = 1000.0


@pytest.fixture(autouse=True)
def _kernel(monkeypatch):
    monkeypatch.setattr(camera, "time", SimpleNamespace(monotonic=lambda: KERNEL_NOW))


class Packet:
    """A packet of one grey frame, or a damaged one."""

    def __init__(self, grey, seconds):
        self.grey, self.seconds = grey, seconds

    def decode(self):
        if self.grey is None:
            raise av.error.InvalidDataError(1, "damaged")
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), self.grey, np.uint8), format="rgb24")
        if self.seconds is not None:
            frame.pts, frame.time_base = round(self.seconds * 1e6), Fraction(1, 1_000_000)
        return [frame]


class Container:
    def __init__(self, items):
        self.items, self.is_open = items, True
        stream = SimpleNamespace(average_rate=Fraction(30), guessed_rate=None, sample_aspect_ratio=None)
        self.streams = SimpleNamespace(video=[stream])

    def demux(self, stream):
        for item in self.items:
            if isinstance(item, Exception):
                raise item
            if callable(item):
                item()
            else:
                yield item

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_open = False


def opened(*items):
    return Camera("camera:0", lambda options: Container(items))


def test_a_frame_was_captured_at_the_time_of_the_kernel(clock):
    source = opened(Packet(120, KERNEL_NOW - 0.08), threading.Event().wait)
    chunk = next(source.chunks(clock, clock.now()))
    source.close()
    assert (source.modality, source.rate) == ("video", 30.0)
    assert chunk.stamp == pytest.approx(KERNEL_NOW - 0.08)
    assert chunk.captured == pytest.approx(clock.now() - 0.08)
    assert chunk.data(None).shape == (48, 64, 3)
    assert abs(int(chunk.data(32).mean()) - 120) <= 1


@pytest.mark.parametrize("seconds", [None, 5.0, KERNEL_NOW + 9])
def test_a_frame_whose_time_is_on_no_known_clock_was_captured_when_it_came(clock, seconds):
    source = opened(Packet(120, seconds), threading.Event().wait)
    chunk = next(source.chunks(clock, clock.now()))
    source.close()
    assert chunk.captured == clock.now()
    assert chunk.stamp == seconds


def test_of_frames_that_wait_the_newest_wins_and_the_others_are_counted(clock):
    is_first_taken, are_all_put = threading.Event(), threading.Event()
    frames = [Packet(grey, KERNEL_NOW) for grey in (10, 20, 30, 40)]
    wait = is_first_taken.wait
    source = opened(frames[0], wait, *frames[1:], are_all_put.set, threading.Event().wait)
    chunks = source.chunks(clock, clock.now())
    first = next(chunks)
    is_first_taken.set()
    assert are_all_put.wait(5)
    newest = next(chunks)
    source.close()
    assert [round(chunk.data(None).mean()) for chunk in (first, newest)] == [10, 40]
    assert source.lost == 2


def test_a_damaged_frame_is_counted_and_the_next_one_used(clock):
    source = opened(Packet(None, KERNEL_NOW), Packet(120, KERNEL_NOW), threading.Event().wait)
    next(source.chunks(clock, clock.now()))
    source.close()
    assert source.lost == 1


def test_unplugged_is_an_error_and_the_camera_is_released(clock):
    container = Container([Packet(10, KERNEL_NOW), UNPLUGGED])
    source = Camera("camera:0", lambda options: container)
    with pytest.raises(SourceError, match="No such device"):
        list(source.chunks(clock, clock.now()))
    assert not container.is_open


def test_a_camera_without_the_wanted_format_is_opened_as_it_is(clock):
    def opener(options):
        if "video_size" in options:
            raise OSError(errno.EINVAL, "Invalid argument")
        return Container([Packet(120, KERNEL_NOW), threading.Event().wait])

    source = Camera("camera:0", opener)
    assert next(source.chunks(clock, clock.now())).data(None).shape == (48, 64, 3)
    source.close()


def test_close_ends_a_camera_that_gives_nothing(clock):
    source = opened(threading.Event().wait)
    thread = threading.Thread(target=lambda: list(source.chunks(clock, 0.0)))
    thread.start()
    source.close()
    thread.join(5)
    assert not thread.is_alive()


def test_no_camera_is_an_error_that_names_it():
    from eavctl.live.sources.uri import open_source

    with pytest.raises(SourceError, match="camera:/dev/no-such-camera"):
        open_source("camera:/dev/no-such-camera", "video")

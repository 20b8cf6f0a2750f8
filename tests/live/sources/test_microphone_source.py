"""Microphones, with a PortAudio of our own: times of the converter, losses, and devices that vanish."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from eavctl.live.chunk import SourceError
from eavctl.live.sources.microphone import MOST_CHUNKS, Microphone
from eavctl.live.sources.uri import Wanted


class PortAudio:
    """A stand-in for sounddevice: one microphone, which gives a list of blocks when it is started."""

    class PortAudioError(Exception):
        pass

    def __init__(self, blocks=(), rates=(16000, 48000), channels=(1, 2), most_channels=2):
        self.blocks, self.rates, self.channels, self.most = list(blocks), rates, channels, most_channels
        self.is_plugged = True
        self.n_open = 0

    def query_devices(self, place, kind):
        if not self.is_plugged:
            raise self.PortAudioError("Error querying device -1")
        if isinstance(place, str) and place not in "USB microphone":
            raise ValueError(f"No input device matching {place!r}")
        return {"default_samplerate": 48000.0, "max_input_channels": self.most}

    def check_input_settings(self, place, channels, dtype, samplerate):
        if samplerate not in self.rates or channels not in self.channels:
            raise self.PortAudioError("Invalid sample rate")

    def InputStream(self, *, samplerate, channels, dtype, blocksize, callback, **_):  # noqa: N802
        self.check_input_settings(None, channels, dtype, samplerate)
        return Stream(self, blocksize, channels, callback)


class Stream:
    def __init__(self, portaudio, n_frames, channels, callback):
        self.portaudio, self.shape, self.callback = portaudio, (n_frames, channels), callback

    @property
    def active(self):
        return self.portaudio.is_plugged

    def __enter__(self):
        self.portaudio.n_open += 1
        for number, (captured, now, is_late) in enumerate(self.portaudio.blocks):
            block = np.full(self.shape, number, np.float32)
            times = SimpleNamespace(inputBufferAdcTime=captured, currentTime=now)
            self.callback(block, len(block), times, SimpleNamespace(input_overflow=is_late))

    def __exit__(self, *_):
        self.portaudio.n_open -= 1


def microphone(portaudio, place="default", rate=16000):
    return Microphone(Wanted(f"mic:{place}", place, "audio", rate), portaudio)


def taken(source, clock, n):
    chunks = source.chunks(clock, clock.now())
    found = [next(chunks) for _ in range(n)]
    source.close()
    assert list(chunks) == []
    return found


def test_the_time_of_capture_is_that_of_the_converter(clock):
    portaudio = PortAudio([(5.0, 5.07, False), (5.02, 5.1, False)])
    first, second = taken(microphone(portaudio), clock, 2)
    assert (first.stamp, second.stamp) == (5.0, 5.02)
    assert first.captured == pytest.approx(clock.now() - 0.07)
    assert second.captured == pytest.approx(clock.now() - 0.08)
    assert (first.data.shape, first.data.dtype) == ((320,), np.float32)
    assert portaudio.n_open == 0


@pytest.mark.parametrize("times", [(0.0, 0.0), (7.0, 6.0), (7.0, 700.0)])
def test_a_driver_without_times_has_its_samples_counted(clock, times):
    (chunk,) = taken(microphone(PortAudio([(*times, False)])), clock, 1)
    assert chunk.stamp is None
    assert chunk.captured == pytest.approx(clock.now() - 0.02)


def test_a_wrong_time_among_right_ones_is_replaced_by_the_expected_one(clock):
    blocks = [(5.0, 5.05, False), (0.0, 0.0, False), (5.04, 5.09, False)]
    stamps = [chunk.stamp for chunk in taken(microphone(PortAudio(blocks)), clock, 3)]
    assert stamps == pytest.approx([5.0, 5.02, 5.04])


def test_what_the_driver_lost_is_counted_from_the_times(clock):
    source = microphone(PortAudio([(5.0, 5.05, False), (5.12, 5.2, True)]))
    taken(source, clock, 2)
    assert source.lost == 1600


def test_blocks_that_nobody_takes_are_dropped_and_counted(clock):
    source = microphone(PortAudio([(5 + i / 50, 5.05 + i / 50, False) for i in range(MOST_CHUNKS + 3)]))
    found = taken(source, clock, MOST_CHUNKS)
    assert [chunk.data[0] for chunk in found] == list(range(MOST_CHUNKS))
    assert source.lost == 3 * 320


@pytest.mark.parametrize(
    ("rates", "channels", "wanted", "expected"),
    [
        ((16000, 48000), (1, 2), 16000, (16000, 320)),
        ((16000, 48000), (1, 2), None, (48000, 960)),
        ((48000,), (1, 2), 16000, (48000, 960)),
        ((16000, 48000), (2,), 16000, (16000, 320)),
    ],
)
def test_the_nearest_format_that_the_device_offers(clock, rates, channels, wanted, expected):
    portaudio = PortAudio([(5.0, 5.05, False)], rates, channels)
    source = microphone(portaudio, rate=wanted)
    (chunk,) = taken(source, clock, 1)
    assert (source.rate, len(chunk.data)) == expected


def test_unplugged_is_an_error_and_the_device_is_released(clock):
    portaudio = PortAudio([(5.0, 5.05, False)])
    chunks = microphone(portaudio).chunks(clock, clock.now())
    next(chunks)
    portaudio.is_plugged = False
    with pytest.raises(SourceError, match="mic:default: unplugged"):
        next(chunks)
    assert portaudio.n_open == 0


@pytest.mark.parametrize(("place", "is_plugged"), [("default", False), ("webcam", True), ("3", False)])
def test_no_such_microphone_is_named(place, is_plugged):
    portaudio = PortAudio()
    portaudio.is_plugged = is_plugged
    with pytest.raises(SourceError, match=f"mic:{place}"):
        microphone(portaudio, place)

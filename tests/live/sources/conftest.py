"""What tests of sources share: a clock that moves only when waited for, and a film with a known event."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest


class FakeClock:
    def __init__(self, now: float = 100.0) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        assert seconds > 0
        self.time += seconds


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


RATE, FPS, WIDTH, HEIGHT = 44100, 25, 64, 48
EVENT_S, LENGTH_S = 1.0, 2  # when the flash and the beep begin in their streams, which last 2 s


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a film whose picture turns white, and whose sound begins to beep, 1 s after each stream's start.

    ``film("a.mp4", "h264", "aac", picture_s=0.3, sound_s=0.1)`` returns its path; the streams start at these
    times.
    """
    folder = tmp_path_factory.mktemp("films")

    def write(
        name: str, picture: str, sound: str, *, picture_s: float = 0.0, sound_s: float = 0.0, **options: str
    ) -> Path:
        with av.open(str(folder / name), "w", options=options) as container:
            video = container.add_stream(picture, rate=FPS)
            video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            video.codec_context.time_base = Fraction(1, 1000)
            audio = container.add_stream(sound, rate=RATE, layout="mono")
            for i in range(LENGTH_S * FPS):
                grey = np.full((HEIGHT, WIDTH, 3), 235 if i / FPS >= EVENT_S else 16, np.uint8)
                frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
                frame.pts, frame.time_base = round(1000 * (i / FPS + picture_s)), Fraction(1, 1000)
                container.mux(video.encode(frame))
            container.mux(video.encode())
            samples = _beep().astype(np.float32)
            frames = av.AudioResampler(format=audio.codec_context.format, layout="mono", rate=RATE)
            for first in range(0, len(samples), 1024):
                block = av.AudioFrame.from_ndarray(samples[None, first : first + 1024], "fltp", "mono")
                block.rate, block.time_base = RATE, Fraction(1, RATE)
                block.pts = first + round(sound_s * RATE)
                for converted in frames.resample(block):
                    container.mux(audio.encode(converted))
            container.mux(audio.encode())
        return folder / name

    return write


def _beep() -> np.ndarray:
    times = np.arange(LENGTH_S * RATE) / RATE
    noise = np.random.default_rng(0).normal(scale=1e-4, size=len(times))
    return noise + 0.5 * np.sin(2 * np.pi * 1000 * times) * (times >= EVENT_S)

"""Raw audio on stdin: samples are counted, and a program that writes a file is held back."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from eavctl.live.sources.pcm import BACKLOG_S, FASTEST, PcmStream


@pytest.fixture
def stream(tmp_path):
    """Makes a stream of bytes at once in a file."""
    opened = []

    def make(content: bytes, rate: float = 16000, channels: int = 1) -> PcmStream:
        (tmp_path / "x.raw").write_bytes(content)
        opened.append(os.open(tmp_path / "x.raw", os.O_RDONLY))
        return PcmStream("-", opened[-1], rate, channels)

    yield make
    for descriptor in opened:
        os.close(descriptor)


def test_samples_are_scaled_and_channels_averaged_and_half_a_sample_is_left_out(stream, clock):
    content = np.array([[0, 0], [16384, 0], [-32768, -32768], [100, 300]] * 1000, "<i2").tobytes() + b"\x01"
    chunks = list(stream(content, 16000, 2).chunks(clock, clock.now()))
    samples = np.concatenate([chunk.data for chunk in chunks])
    assert np.allclose(samples, [0, 0.25, -1, 200 / 32768] * 1000, atol=1e-7)
    assert {chunk.data.dtype for chunk in chunks} == {np.dtype(np.float32)}
    assert {chunk.stamp for chunk in chunks} == {None}
    assert len(samples) == 4000


def test_samples_were_captured_when_they_were_read_at_the_latest(stream, clock):
    for chunk in stream(bytes(200_000)).chunks(clock, clock.now()):
        assert chunk.captured == pytest.approx(clock.now() - len(chunk.data) / 16000)


def test_a_program_that_writes_faster_than_time_passes_is_held_back(stream, clock):
    begin, n_given = clock.now(), 0
    for chunk in stream(bytes(2 * 16000 * 10)).chunks(clock, begin):
        n_given += len(chunk.data)
        assert n_given / 16000 <= BACKLOG_S + FASTEST * (clock.now() - begin) + 0.021
    assert n_given == 160_000
    assert clock.now() - begin == pytest.approx(10 / FASTEST - BACKLOG_S, abs=0.1)


def test_close_ends_a_stream_on_which_nothing_comes(clock):
    reading, writing = os.pipe()
    source = PcmStream("-", reading, 16000, 1)
    thread = threading.Thread(target=lambda: list(source.chunks(clock, 0.0)))
    thread.start()
    source.close()
    thread.join(5)
    assert not thread.is_alive()
    os.close(reading)
    os.close(writing)

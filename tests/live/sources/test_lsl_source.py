"""LSL streams: channels and units as the stream describes them, gaps, and `play` over the loopback device."""

from __future__ import annotations

import threading
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.io

from eavctl.errors import RecordingWarning
from eavctl.live.chunk import SourceError
from eavctl.live.playing import Playback
from eavctl.live.sources.lsl import LslStream
from eavctl.live.sources.uri import Wanted, open_source

LSL_NOW = 500.0


class Inlet:
    """An inlet of our own, which gives blocks of samples with their stamps and then nothing."""

    def __init__(self, info, blocks):
        self.described, self.blocks = info, iter(blocks)
        self.channel_count = info.channel_count()
        self.value_type = np.dtype(
            {1: "float32", 2: "float64", 4: "int32", 5: "int16"}[info.channel_format()]
        )

    def info(self, timeout):
        return self.described

    def pull_chunk(self, timeout, max_samples, buffer):
        samples, stamps = next(self.blocks, ([], []))
        if len(samples):
            buffer[: len(samples)] = samples
        return None, list(stamps)


def stream_info(lsl, kind="EEG", channels=(("Fz", "EEG", "microvolts"),), rate=100.0, form=None):
    info = lsl.StreamInfo("x", kind, len(channels), rate, form or lsl.cf_float32, "id")
    node = info.desc().append_child("channels")
    for channel in channels:
        each = node.append_child("channel")
        for key, text in zip(("label", "type", "unit"), channel, strict=True):
            each.append_child_value(key, text)
    return info


def fake(lsl, info, *blocks, modality="eeg"):
    """A source whose stream is not on the network."""
    library = SimpleNamespace(
        resolve_bypred=lambda *_: [info],
        StreamInlet=lambda info, *_, **__: Inlet(info, blocks),
        local_clock=lambda: LSL_NOW,
        **{name: getattr(lsl, name) for name in ("proc_clocksync", "cf_string")},
    )
    return LslStream(Wanted("lsl:x", "x", modality), library)


def taken(source, clock, n=1):
    chunks = source.chunks(clock, clock.now())
    found = [next(chunks) for _ in range(n)]
    source.close()
    return found


def stamps(*seconds):
    return LSL_NOW - 1 + np.array(seconds)


def test_eeg_comes_in_microvolt_without_channels_that_are_not_eeg(lsl, clock):
    named = [("FZ", "EEG", "volts"), ("VEOG", "EOG", "volts"), ("Cz", "EEG", "mV"), ("Pz", "EEG", "uV")]
    named.append(("Oz", "EEG", "\N{MICRO SIGN}V"))
    source = fake(lsl, stream_info(lsl, channels=named), ([[1e-5, 7, 0.02, 3, 4]], stamps(0.25)))
    (chunk,) = taken(source, clock)
    assert list(source.ch_names) == ["Fz", "Cz", "Pz", "Oz"]
    assert chunk.data == pytest.approx(np.array([[10], [20], [3], [4]]), rel=1e-6)
    assert chunk.stamp == LSL_NOW - 0.75
    assert chunk.captured == pytest.approx(clock.now() - 0.75)


def test_channels_without_types_are_eeg_by_their_names(lsl):
    named = [(name, "", "microvolts") for name in ("Fz", "HEOG", "ECG", "Cz")]
    assert list(fake(lsl, stream_info(lsl, channels=named)).ch_names) == ["Fz", "Cz"]


def test_a_stream_that_describes_nothing_has_numbered_channels_and_a_warning(lsl):
    info = lsl.StreamInfo("x", "EEG", 2, 100.0, lsl.cf_float32, "id")
    with pytest.warns(RecordingWarning, match="microvolt"):
        assert list(fake(lsl, info).ch_names) == ["1", "2"]


def test_a_gap_inside_a_block_begins_a_new_chunk_and_jitter_does_not(lsl, clock):
    times = stamps(0.00, 0.012, 0.019, 0.03, 0.1, 0.11, 0.2)
    source = fake(lsl, stream_info(lsl), (np.arange(7)[:, None], times))
    found = taken(source, clock, 3)
    assert [chunk.data[0].tolist() for chunk in found] == [[0, 1, 2, 3], [4, 5], [6]]
    assert [chunk.stamp for chunk in found] == times[[0, 4, 6]].tolist()


@pytest.mark.parametrize(("form", "full"), [("cf_float32", 1.0), ("cf_int16", 32768), ("cf_int32", 2.0**31)])
def test_channels_of_audio_are_averaged_at_full_scale_1(lsl, clock, form, full):
    channels = [("l", "Audio", ""), ("r", "Audio", "")]
    info = stream_info(lsl, "Audio", channels, 16000.0, getattr(lsl, form))
    block = np.array([[0.5, 0.0], [-0.5, -0.25]]) * full
    (chunk,) = taken(fake(lsl, info, (block, stamps(0, 1 / 16000)), modality="audio"), clock)
    assert chunk.data.dtype == np.float32
    assert chunk.data.tolist() == [0.25, -0.375]


def test_streams_that_cannot_be_used(lsl):
    with pytest.raises(SourceError, match="events"):
        fake(lsl, stream_info(lsl, rate=0.0))
    with pytest.raises(SourceError, match="no EEG"):
        fake(lsl, stream_info(lsl, channels=[("EOG", "", "")]))


def test_silence_is_a_loss(lsl, clock):
    source = fake(lsl, stream_info(lsl), ([[1.0]], stamps(0)))
    chunks = source.chunks(clock, clock.now())
    next(chunks)
    clock.time += 10
    with pytest.raises(SourceError, match="lsl:x: .*lost"):
        next(chunks)


def test_no_such_stream_is_named(lsl, monkeypatch):
    monkeypatch.setattr("eavctl.live.sources.lsl.RESOLVE_S", 0.1)
    with pytest.raises(SourceError, match="lsl:nobody's"):
        open_source("lsl:nobody's", "eeg")


class LslClock:
    """LSL's clock as the session's, so that capture times can be compared with stamps."""

    def __init__(self, lsl):
        self.now = lsl.local_clock

    def wait(self, seconds):
        raise AssertionError


def test_what_is_played_arrives_and_the_end_of_a_stream_is_a_loss(lsl, tmp_path, monkeypatch):
    monkeypatch.setattr("eavctl.live.playing.LAST_S", 0.1)
    trial = np.random.default_rng(0).normal(scale=20, size=(700, 30, 1))
    scipy.io.savemat(tmp_path / "eeg.mat", {"seg": trial})
    playback = Playback(f"{tmp_path / 'eeg.mat'}?trial=1", f"eavctl's {tmp_path.name}")
    player = threading.Thread(target=playback.run, args=(lsl,))
    player.start()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RecordingWarning)
        source = open_source(f"lsl:{playback.played.name}", "eeg")
    assert (source.rate, source.ch_names) == (500, list(playback.played.ch_names))
    chunks = []
    with pytest.raises(SourceError, match="lost"):
        for chunk in source.chunks(LslClock(lsl), 0.0):
            chunks.append(chunk)
    player.join()
    signal = trial[:, :, 0].T.astype(np.float32)
    received = np.concatenate([chunk.data for chunk in chunks], axis=1)
    first = np.flatnonzero(signal[0] == received[0, 0])[0]
    assert np.array_equal(received, signal[:, first:])
    begins = np.array([chunk.stamp for chunk in chunks])
    lengths = np.array([chunk.data.shape[1] for chunk in chunks])
    assert np.diff(begins) == pytest.approx(lengths[:-1] / 500, abs=0.001)
    late = np.array([chunk.captured for chunk in chunks]) - begins  # both are on one clock here
    assert late.min() >= -1e-6
    assert np.median(late) < 0.01

"""Listing of devices and streams: each is named as the sources take it."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from eavctl.errors import UsageError
from eavctl.live import devices
from eavctl.live.chunk import SourceError


def test_microphones_are_the_devices_with_input_channels():
    found = [
        {"index": 0, "name": "HDMI", "max_input_channels": 0, "default_samplerate": 48000.0},
        {"index": 3, "name": "USB microphone", "max_input_channels": 1, "default_samplerate": 44100.0},
    ]
    (only,) = devices.microphones(SimpleNamespace(query_devices=lambda: found))
    assert (only.uri, only.modality) == ("mic:3", "audio")
    assert "USB microphone" in only.description
    assert "44100" in only.description


def test_cameras_are_the_device_files_that_give_pictures(tmp_path):
    for number, index, name in ((10, 0, "Webcam"), (2, 0, "Built-in"), (11, 1, "Webcam")):
        folder = tmp_path / f"video{number}"
        folder.mkdir()
        (folder / "index").write_text(f"{index}\n")
        (folder / "name").write_text(f"{name}\n")
    assert devices.cameras(tmp_path) == [("camera:2", "video", "Built-in"), ("camera:10", "video", "Webcam")]
    assert devices.cameras(tmp_path / "none") == []


def test_streams_are_those_with_a_rate(lsl):
    found = [
        lsl.StreamInfo("Cap", "EEG", 32, 500.0, lsl.cf_float32, "a"),
        lsl.StreamInfo("Keys", "Markers", 1, 0.0, lsl.cf_string, "b"),
        lsl.StreamInfo("Voice", "audio", 1, 16000.0, lsl.cf_float32, "c"),
    ]
    listed = devices.streams(SimpleNamespace(resolve_streams=lambda seconds: found))
    assert [each[:2] for each in listed] == [("lsl:Cap", "eeg"), ("lsl:Voice", "audio")]
    assert "32 channels" in listed[0].description
    assert "500 Hz" in listed[0].description


def test_a_kind_that_cannot_be_listed_does_not_hide_the_others(monkeypatch):
    def without(name):
        raise UsageError(f"{name}: not installed")

    def broken(name):
        raise SourceError(f"{name}: no library")

    camera = devices.Device("camera:0", "video", "Webcam")
    monkeypatch.setattr(devices, "load_portaudio", broken)
    monkeypatch.setattr(devices, "load_lsl", without)
    monkeypatch.setattr(devices, "cameras", lambda: [camera])
    assert devices.list_devices() == ([camera], ["mic: no library", "lsl: not installed"])


@pytest.mark.parametrize(("package", "uri"), [("sounddevice", "mic:default"), ("pylsl", "lsl:x")])
def test_a_missing_extra_is_named_with_what_to_install(monkeypatch, package, uri):
    from eavctl.live.sources.uri import open_source

    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=r"pip install 'eavctl\[live\]'"):
        open_source(uri, "audio")

"""The microphones, cameras and streams that there are, for ``eavctl live --list``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from eavctl.errors import EavctlError
from eavctl.live.lsl_library import load_lsl
from eavctl.live.sources.microphone import load_portaudio

CAMERAS = Path("/sys/class/video4linux")
CAPTURING = "0"  # index of the device file, of several of a camera, that gives pictures
STREAMS_S = 1.0


class Device(NamedTuple):
    """A device or stream.

    Parameters
    ----------
    uri : as `eavctl.live.sources.uri.open_source` takes it.
    modality : ``audio``, ``eeg`` or ``video``.
    description : name, rate and channels.
    """

    uri: str
    modality: str
    description: str


def list_devices() -> tuple[list[Device], list[str]]:
    """List all devices and streams, and why some kinds cannot be listed."""
    found: list[Device] = []
    reasons: list[str] = []
    listings: tuple[Callable[[], list[Device]], ...] = (
        lambda: microphones(load_portaudio("mic")),
        cameras,
        lambda: streams(load_lsl("lsl")),
    )
    for listing in listings:
        try:
            found += listing()
        except EavctlError as error:
            reasons.append(str(error))
    return found, reasons


def microphones(portaudio: Any) -> list[Device]:
    """The input devices that PortAudio knows; ``portaudio`` is the module ``sounddevice``."""
    return [
        Device(f"mic:{each['index']}", "audio", f"{each['name']}, {each['default_samplerate']:g} Hz")
        for each in portaudio.query_devices()
        if each["max_input_channels"]
    ]


def cameras(folder: Path = CAMERAS) -> list[Device]:
    """The cameras that the kernel knows, by its folder of Video4Linux."""
    places = {each: each.name.removeprefix("video") for each in folder.glob("video*")}
    return [
        Device(f"camera:{number}", "video", (place / "name").read_text().strip())
        for place, number in sorted(places.items(), key=lambda pair: int(pair[1]))
        if (place / "index").read_text().strip() == CAPTURING
    ]


def streams(lsl: Any) -> list[Device]:
    """The LSL streams with a rate on the network; ``lsl`` is the module ``pylsl``."""
    return [
        Device(
            f"lsl:{each.name()}",
            "audio" if each.type().lower() == "audio" else "eeg",
            f"{each.type() or 'no type'}, {each.channel_count()} channels, {each.nominal_srate():g} Hz, "
            f"on {each.hostname()}",
        )
        for each in lsl.resolve_streams(STREAMS_S)
        if each.nominal_srate() > 0
    ]

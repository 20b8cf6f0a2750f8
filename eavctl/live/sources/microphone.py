"""Microphones, by PortAudio, with the times of its analogue-to-digital converter."""

from __future__ import annotations

import itertools
import queue
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from eavctl.errors import UsageError
from eavctl.live.chunk import Chunk, Clock, Source, SourceError
from eavctl.live.sources.base import POLL_S, BaseSource
from eavctl.live.sources.uri import Wanted
from eavctl.registry import register

CHUNK_S = 0.02
MOST_CHUNKS = 100  # 2 s that wait to be taken
OLDEST_S = 5.0  # a larger age is an error of the driver
DEFAULT = "default"


class Microphone(BaseSource):
    """An input device; its channels are averaged where it does not give one.

    Parameters
    ----------
    wanted : its place is ``default``, a device's number or a part of its name. A rate that the device does
        not offer is replaced by its own.
    portaudio : the module ``sounddevice``.

    Raises
    ------
    SourceError : no such device, or it cannot be opened.
    """

    modality = "audio"

    def __init__(self, wanted: Wanted, portaudio: Any) -> None:
        super().__init__(wanted.name)
        self._portaudio = portaudio
        self._clock: Clock | None = None
        self._queue: queue.Queue[Chunk] = queue.Queue(MOST_CHUNKS)
        self._expected: float | None = None  # stamp of the next sample
        self._stream = self._opened(wanted.place, wanted.rate)

    def _opened(self, place: str, rate: float | None) -> Any:
        device = None if place == DEFAULT else int(place) if place.isdecimal() else place
        try:
            found = self._portaudio.query_devices(device, "input")
            self.rate, channels = self._format(device, found, rate)
            return self._portaudio.InputStream(
                device=device,
                samplerate=self.rate,
                channels=channels,
                dtype="float32",
                blocksize=round(CHUNK_S * self.rate),
                latency="low",
                callback=self._take,
            )
        except (self._portaudio.PortAudioError, ValueError) as error:  # ValueError: no such name, or several
            reason = " ".join(str(error).split())
            raise SourceError(
                f"{self.name}: no microphone: {reason}; 'eavctl live --list' lists them"
            ) from None

    def _format(self, device: int | str | None, found: Any, wanted: float | None) -> tuple[float, int]:
        """The first rate and number of channels that the device offers, beginning with what is wanted."""
        own = float(found["default_samplerate"])
        most = int(found["max_input_channels"])
        for rate, channels in itertools.product((own if wanted is None else wanted, own), (1, most)):
            with suppress(self._portaudio.PortAudioError):
                self._portaudio.check_input_settings(device, channels, "float32", samplerate=rate)
                return rate, channels
        return own, most

    def _take(self, block: np.ndarray, n_frames: int, time: Any, status: Any) -> None:
        """PortAudio's callback, in its thread: queue a block (n_frames, n_channels), or drop it."""
        if self._clock is None:  # before the session begins
            return
        now = self._clock.now()
        stamp = time.inputBufferAdcTime
        age = time.currentTime - stamp
        if not (stamp > 0 and 0 <= age <= OLDEST_S):  # some drivers give no times, or wrong ones
            stamp, age = self._expected, n_frames / self.rate
        if status.input_overflow:
            is_timed = stamp is not None and self._expected is not None
            self.lost += max(round((stamp - self._expected) * self.rate), 1) if is_timed else n_frames
        self._expected = None if stamp is None else stamp + n_frames / self.rate
        try:
            self._queue.put_nowait(Chunk(block.mean(axis=1, dtype=np.float32), now - age, stamp))
        except queue.Full:
            self.lost += n_frames

    def chunks(self, clock: Clock, begin: float) -> Iterator[Chunk]:
        """See `eavctl.live.chunk.Source`."""
        self._clock = clock
        try:
            with self._stream:  # starts it, and in the end stops and closes it
                while not self._closed.is_set():
                    try:
                        yield self._queue.get(timeout=POLL_S)
                    except queue.Empty:
                        if not self._stream.active:
                            raise SourceError(f"{self.name}: unplugged") from None
        except self._portaudio.PortAudioError as error:
            raise SourceError(f"{self.name}: {' '.join(str(error).split())}") from None


@register("live sources", "mic", modalities=("audio",))
def open_microphone(wanted: Wanted) -> Source:
    """Open a microphone.

    Raises
    ------
    UsageError : sounddevice is not installed.
    SourceError : no such device, or no PortAudio.
    """
    return Microphone(wanted, load_portaudio(wanted.name))


def load_portaudio(name: str) -> Any:
    """Import sounddevice; ``name`` is what needs it, for errors.

    Raises
    ------
    UsageError : it is not installed.
    SourceError : PortAudio is not.
    """
    try:
        import sounddevice
    except ImportError as error:
        raise UsageError(f"{name}: sounddevice is not installed: pip install 'eavctl[live]'") from error
    except OSError as error:
        raise SourceError(
            f"{name}: the PortAudio library is not installed: apt install libportaudio2"
        ) from error
    return sounddevice

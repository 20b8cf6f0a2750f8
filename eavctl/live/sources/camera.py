"""Cameras, by Video4Linux, with the kernel's times of capture; of frames that wait, the newest wins."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from eavctl.live.chunk import Chunk, Clock, Source, SourceError
from eavctl.live.sources.base import POLL_S, BaseSource
from eavctl.live.sources.uri import Wanted
from eavctl.registry import register
from eavctl.signals.frames import FrameConverter

USUAL_FPS = 30.0
OLDEST_S = 5.0  # a larger age is no time of the monotonic clock
# One thread: a frame is decoded in 2 ms. The kernel's times are those of its monotonic clock.
OPTIONS = {"threads": "1", "timestamps": "default"}
FORMATS: tuple[dict[str, str], ...] = (
    {"video_size": "640x480", "input_format": "mjpeg"},  # USB 2 does not carry 30 raw frames a second
    {"video_size": "640x480"},
    {},
)

Opener = Callable[[dict[str, str]], Any]
"""Opens the camera with FFmpeg's options, as `av.open` does."""


class Camera(BaseSource):
    """A camera of 640 x 480 pixels, or of what it offers.

    Parameters
    ----------
    name : for errors.
    opener : opens it.

    Raises
    ------
    SourceError : it cannot be opened.
    """

    modality = "video"

    def __init__(self, name: str, opener: Opener) -> None:
        super().__init__(name)
        self._converter = FrameConverter()
        self._container = self._opened(opener)

    def _opened(self, opener: Opener) -> Any:
        import av

        reason = ""
        for options in FORMATS:
            try:
                container = opener(OPTIONS | options)
            except (av.FFmpegError, OSError) as error:
                reason = _reason(error)
                continue
            stream = container.streams.video[0]
            self.rate = float(stream.average_rate or stream.guessed_rate or USUAL_FPS)
            return container
        raise SourceError(f"{self.name}: no camera ({reason}); 'eavctl live --list' lists them")

    def chunks(self, clock: Clock, begin: float) -> Iterator[Chunk]:
        """See `eavctl.live.chunk.Source`."""
        # Reading blocks until a frame comes, which may be never: a thread of its own does it.
        slot = _Slot()
        threading.Thread(target=self._decode, args=(clock, slot), daemon=True).start()
        while not self._closed.is_set():
            chunk = slot.take(POLL_S)
            if chunk is not None:
                yield chunk
            elif slot.fault is not None:
                raise SourceError(f"{self.name}: unplugged ({slot.fault})")

    def _decode(self, clock: Clock, slot: _Slot) -> None:
        """Decode frames into the slot until `close` or an error."""
        import av

        try:
            with self._container:
                stream = self._container.streams.video[0]
                for packet in self._container.demux(stream):
                    if self._closed.is_set():
                        return
                    for frame in self._frames(packet):
                        self.lost += slot.put(self._chunk(frame, stream, clock))
            slot.end("its stream ended")
        except (av.FFmpegError, OSError) as error:
            slot.end(_reason(error))

    def _frames(self, packet: Any) -> list[Any]:
        import av

        try:
            return list(packet.decode())
        except (av.FFmpegError, ValueError):  # a damaged frame
            self.lost += 1
            return []

    def _chunk(self, frame: Any, stream: Any, clock: Clock) -> Chunk:
        aspect = float(stream.sample_aspect_ratio or 1)
        picture = functools.partial(self._converter.picture, frame, aspect)
        age = time.monotonic() - frame.time if frame.time is not None else 0.0
        return Chunk(picture, clock.now() - (age if 0 <= age <= OLDEST_S else 0.0), frame.time)


class _Slot:
    """Room for the newest chunk, between two threads."""

    def __init__(self) -> None:
        self.fault: str | None = None
        self._chunk: Chunk | None = None
        self._changed = threading.Condition()

    def put(self, chunk: Chunk) -> bool:
        """Put a chunk; returns whether it replaced one that was not taken."""
        with self._changed:
            is_lost, self._chunk = self._chunk is not None, chunk
            self._changed.notify()
        return is_lost

    def end(self, fault: str) -> None:
        """No chunk will follow."""
        with self._changed:
            self.fault = fault
            self._changed.notify()

    def take(self, seconds: float) -> Chunk | None:
        """The newest chunk, waiting for it that long; None if there is none."""
        with self._changed:
            if self._chunk is None and self.fault is None:
                self._changed.wait(seconds)
            chunk, self._chunk = self._chunk, None
        return chunk


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


@register("live sources", "camera", modalities=("video",))
def open_camera(wanted: Wanted) -> Source:
    """Open a camera: ``camera:0`` is ``/dev/video0``; a path is one too.

    Raises
    ------
    SourceError : no such camera, in use, or no permission.
    """
    import av

    place = f"/dev/video{wanted.place}" if wanted.place.isdecimal() else wanted.place
    return Camera(wanted.name, lambda options: av.open(place, format="v4l2", options=options))

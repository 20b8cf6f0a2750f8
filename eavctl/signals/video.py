"""Frames of videos by presentation time; a still picture is a video of one frame."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, Protocol

import numpy as np

from eavctl.errors import AbsentError, RecordingWarning, SignalError
from eavctl.signals.containers import LARGEST_SIDE, open_container, open_file, pictures_of
from eavctl.signals.frames import FrameConverter

LONGEST_S = 4 * 3600.0  # bounds time and memory: a small file can claim, or unpack to, much more
MOST_FRAMES = int(LONGEST_S) * 240
TOLERANCE_S = 0.2  # headers are wrong by less
WORTH_A_SEEK = 8  # frames; decoding fewer is faster than seeking
USUAL_FPS = 25.0  # for files with neither times nor a frame rate
TOO_LONG = f"longer than {LONGEST_S / 3600:.0f} hours; cut it first"


class Film(Protocol):
    """What frames can be taken from by time: an open file, or an array of frames."""

    def frames(self, start: float, end: float, n: int) -> Iterator[np.ndarray]:
        """See `VideoFile.frames`."""
        ...


@dataclass(frozen=True)
class VideoSpan:
    """The part of a video from ``start`` to ``end`` seconds: the input of a video feature set."""

    file: Film
    start: float
    end: float

    def frames(self, n: int) -> Iterator[np.ndarray]:
        """The frames shown at ``n`` equally spaced times from the start on; see `VideoFile.frames`."""
        return self.file.frames(self.start, self.end, n)


def open_video(path: str | os.PathLike[str]) -> VideoFile:
    """Open a video, or a still picture, of any format that FFmpeg's libraries can read.

    A truncated or damaged video is used as far as possible, with a `RecordingWarning`.

    Raises
    ------
    SignalError : not a video, no video stream, no frame can be decoded, or too long or too large.
    """
    return VideoFile(path)


class VideoFile:
    """An open video; a context manager.

    Opening reads the whole file once, without decoding, for the presentation time of each frame.

    Attributes
    ----------
    path : path of the file.
    duration : seconds from the start of the first frame to the end of the last one.
    n_frames : how many there are, also if some cannot be decoded.
    fps : mean number of frames per second; frames need not be equally spaced.
    size : width and height in square pixels, after rotation.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(open_file(self.path))
            self._schedule = _read_schedule(file, self.path)
            self._decoder = _Decoder(file, self.path, self._schedule)
            stack.callback(self._decoder.close)
            height, width = self._decoder.first().shape[:2]
            self._resources = stack.pop_all()
        self.duration = self._schedule.seconds
        self.n_frames = len(self._schedule.moments)
        self.fps = self.n_frames / self.duration
        self.size = (width, height)

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def frames(self, start: float, end: float, n: int) -> Iterator[np.ndarray]:
        """The frames shown at ``start + i * (end - start) / n`` seconds after the first one, i = 0 .. n - 1.

        Each frame is shown until the next. Spans in ascending order are decoded in one pass, and only the
        requested frames are converted to RGB.

        Yields
        ------
        uint8 arrays, shape (height, width, 3), RGB, upright; the same array again if the same frame is shown
        at several times.
        """
        wanted = self._schedule.shown_at(start + np.arange(n) * (end - start) / n)
        for moment, times in itertools.groupby(wanted):
            picture = self._decoder.picture(moment, wanted)
            yield from (picture for _ in times)

    def play(self) -> Iterator[tuple[float, Callable[[int | None], np.ndarray]]]:
        """All frames that can be decoded, in order of presentation, each converted only when it is needed.

        It decodes anew from the first frame on; take no other frames meanwhile.

        Yields
        ------
        Seconds after the first frame, ascending, and a function from the longest side in pixels (None keeps
        the frame's own) to the picture, as `frames` has it. The function may be called later, from any
        thread, also when the file is closed; it holds the decoded frame in memory.
        """
        for frame in self._decoder.all():
            yield self._schedule.seconds_at(frame.pts), functools.partial(self._decoder.converted, frame)


@dataclass(frozen=True)
class _Schedule:
    """Presentation times of the frames of a video.

    Parameters
    ----------
    moments : presentation time of each frame, ascending, in ticks.
    keys : presentation times of the keyframes, ascending, in ticks.
    end : end of the last frame, in ticks.
    tick : seconds.
    is_timed : whether the file holds the time of each frame; AVI and raw streams hold only their order.
    """

    moments: np.ndarray
    keys: np.ndarray
    end: int
    tick: float
    is_timed: bool

    @property
    def seconds(self) -> float:
        return float(self.end - self.moments[0]) * self.tick

    def shown_at(self, seconds: np.ndarray) -> list[int]:
        """Moments of the frames shown at times in seconds after the first frame."""
        # Half a tick: a time meant as the exact start of a frame can be rounded to just before it.
        ticks = seconds / self.tick + self.moments[0] + 0.5
        places = np.searchsorted(self.moments, ticks, side="right") - 1
        return [int(moment) for moment in self.moments[np.maximum(places, 0)]]

    def seconds_at(self, moment: int) -> float:
        """Seconds from the first frame to a moment."""
        return float(moment - self.moments[0]) * self.tick

    def key_before(self, moment: int) -> int:
        """Moment of the last keyframe from which the frame can be decoded."""
        place = int(np.searchsorted(self.keys, moment, side="right")) - 1
        return int(self.keys[place] if place >= 0 else self.moments[0])

    def n_between(self, first: int, last: int) -> int:
        """Number of frames from one moment to another."""
        return int(np.subtract(*np.searchsorted(self.moments, (last, first))))


class _Decoder:
    """Decodes frames in order, and seeks where that saves decoding."""

    def __init__(self, file: BinaryIO, name: str, schedule: _Schedule) -> None:
        self._file, self._name, self._schedule = file, name, schedule
        self._plan: list[int] = []
        self._wanted: frozenset[int] = frozenset()
        self._last_wanted = int(schedule.moments[0]) - 1
        self._has_warned = False
        self._container: Any = None
        self._converter = FrameConverter()
        self._shown: Any = None  # the frame decoded last
        self._before: Any = None  # the frame before it
        self._restart()

    def close(self) -> None:
        if self._container is not None:
            self._container.close()

    def first(self) -> np.ndarray:
        """The first frame that can be decoded."""
        if not self._advance():
            limit = f"{LARGEST_SIDE} x {LARGEST_SIDE} pixels"
            raise SignalError(f"{self._name}: no frame can be decoded: damaged, or larger than {limit}")
        return self.converted(self._shown)

    def picture(self, moment: int, wanted: list[int]) -> np.ndarray:
        """The frame shown at a moment, one of those wanted; if it is damaged, the frame before it."""
        if wanted is not self._plan:
            self._plan, self._wanted, self._last_wanted = wanted, frozenset(wanted), max(wanted)
        if self._before is None or self._before.pts != moment:
            self._approach(moment)
        while self._shown.pts < moment and self._advance():
            pass
        is_past = self._shown.pts > moment and self._before is not None
        return self.converted(self._before if is_past else self._shown)

    def all(self) -> Iterator[Any]:
        """All frames, in order of presentation, decoded from the beginning of the file."""
        before = int(self._schedule.moments[0]) - 1
        self._has_warned = True  # no frame is replaced: those that are missing can be counted
        self._plan, self._wanted, self._last_wanted = [], frozenset(), before
        self._restart()
        while self._advance():
            if self._shown.pts > before:  # an earlier one is cut by an edit list
                before = self._shown.pts
                yield self._shown

    def _approach(self, moment: int) -> None:
        """Seek the keyframe before a moment, if the moment has passed or seeking saves decoding."""
        import av

        key = self._schedule.key_before(moment)
        n_saved = self._schedule.n_between(self._shown.pts, key) if self._schedule.is_timed else 0
        if self._shown.pts <= moment and n_saved < WORTH_A_SEEK:
            return
        has_arrived = False
        if self._schedule.is_timed:
            with contextlib.suppress(av.FFmpegError):  # not every format supports seeking
                self._container.seek(key, stream=self._stream)
                self._coming = self._decoded()
                has_arrived = self._advance() and self._shown.pts <= moment
        if not has_arrived:
            self._restart()
            self._advance()
        self._before = None

    def _restart(self) -> None:
        """Start again from the beginning of the file."""
        self.close()
        self._container, self._stream = _chosen(self._file, self._name)
        # Read once, because `converted` may be called when the container is closed, and its streams freed.
        self._aspect = float(self._stream.sample_aspect_ratio or 1)
        self._coming = self._decoded()

    def _advance(self) -> bool:
        """Decode the next frame; returns whether there was one."""
        frame = next(self._coming, None)
        if frame is None:
            return False
        self._before, self._shown = self._shown, frame
        return True

    def _decoded(self) -> Iterator[Any]:
        """The following frames, without some that are neither wanted nor needed to decode others."""
        import av

        moments = iter(self._schedule.moments)
        packets = _packets(self._container, self._stream)
        for packet in itertools.chain(packets, [None]):
            self._stream.codec_context.skip_frame = "DEFAULT" if self._is_needed(packet) else "NONREF"
            try:
                frames = self._stream.codec_context.decode(packet)
            except (av.FFmpegError, ValueError):
                self._warn_damaged()
                continue
            for frame in frames:
                if not self._schedule.is_timed:
                    frame.pts = int(next(moments, self._schedule.end))
                yield frame

    def _is_needed(self, packet: Any) -> bool:
        """Whether a packet must be decoded even if no other frame refers to it."""
        if packet is None or not self._schedule.is_timed:
            return True
        return packet.pts in self._wanted or packet.pts > self._last_wanted

    def _warn_damaged(self) -> None:
        if not self._has_warned:
            _warn(self._name, "damaged; each frame that cannot be decoded is replaced by the one before it")
        self._has_warned = True

    def converted(self, frame: Any, side: int | None = None) -> np.ndarray:
        """RGB, shape (height, width, 3), upright, in square pixels."""
        return self._converter.picture(frame, self._aspect, side)


def _chosen(file: BinaryIO, name: str) -> tuple[Any, Any]:
    """The open container and its first video stream."""
    container = open_container(file, name)
    streams = pictures_of(container)
    if not streams:
        container.close()
        raise AbsentError(f"{name}: has no picture")
    stream = streams[0]
    problem = _problem(container, stream)
    if problem:
        container.close()
        raise SignalError(f"{name}: {problem}")
    return container, stream


def _problem(container: Any, stream: Any) -> str | None:
    """Reason, by its header, why a stream cannot be used, or None."""
    if stream.codec_context is None:
        return "no decoder for its video codec"
    if stream.width * stream.height > LARGEST_SIDE**2:
        return f"frames of {stream.width} x {stream.height} are larger than {LARGEST_SIDE} x {LARGEST_SIDE}"
    if _claimed_s(container, stream) > LONGEST_S:
        return TOO_LONG
    return None


def _read_schedule(file: BinaryIO, name: str) -> _Schedule:
    """Read the presentation times of all frames; warn if the header claims a longer video."""
    container, stream = _chosen(file, name)
    with container:
        packets = [
            (packet.pts, packet.dts, packet.duration, packet.is_keyframe)
            for packet in itertools.islice(_packets(container, stream), MOST_FRAMES)
            if not packet.is_discard  # cut by an edit list
        ]
        if not packets:
            raise SignalError(f"{name}: damaged, no frame can be read")
        schedule = _scheduled(packets, stream)
        if schedule.seconds > LONGEST_S or len(packets) == MOST_FRAMES:
            raise SignalError(f"{name}: {TOO_LONG}")
        # Some formats count the duration from the first frame, others from 0.
        if _claimed_s(container, stream) - max(schedule.seconds, schedule.end * schedule.tick) > TOLERANCE_S:
            _warn(name, f"the end of the video is missing; using its first {schedule.seconds:.2f} s")
        return schedule


def _scheduled(packets: list[tuple[int | None, int | None, int | None, bool]], stream: Any) -> _Schedule:
    """Schedule by presentation times, else by decoding times, else by the frame rate."""
    tick = float(stream.time_base or 1 / USUAL_FPS)
    fps = float(stream.average_rate or stream.guessed_rate or USUAL_FPS)
    step = max(round(1 / fps / tick), 1)
    shown, decoded = ([packet[kind] for packet in packets] for kind in (0, 1))
    is_timed = None not in shown and stream.container.format.name != "avi"  # AVI: only estimates
    if not is_timed:
        shown = decoded if None not in decoded else [step * i for i in range(len(packets))]
    moments = np.array(shown, np.int64)
    lengths = np.array([packet[2] or step for packet in packets], np.int64)
    is_key = np.array([packet[3] for packet in packets])
    return _Schedule(
        np.unique(moments), np.unique(moments[is_key]), int((moments + lengths).max()), tick, is_timed
    )


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """Packets up to the end of the file or the first error."""
    import av

    with contextlib.suppress(av.FFmpegError, ValueError):
        for packet in container.demux(stream):
            if packet.size and not packet.is_corrupt:
                yield packet


def _claimed_s(container: Any, stream: Any) -> float:
    """Seconds of video by the header, 0 if it gives none; the file's duration counts for a single stream."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.duration and len(container.streams) == 1 else 0.0


def _warn(name: str, text: str) -> None:
    warnings.warn(f"{name}: {text}", RecordingWarning, stacklevel=2)

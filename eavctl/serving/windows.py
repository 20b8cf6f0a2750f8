"""Windows of a stream as messages to a worker; its pictures stay JPEG until they are there."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from eavctl.extraction.open_recording import Signal
from eavctl.live.window import Window
from eavctl.serving.messages import Message
from eavctl.signals.arrays import TimedFrames

MOST_PIXELS = 4 << 20  # of a picture: a small JPEG can unpack to gigabytes
LENGTH = np.dtype("<u4")  # before a JPEG that stands in an array
CHANNELS = 3


class JpegPicture:
    """A JPEG in the place of a `eavctl.live.chunk.Picture`: pixels are decoded where the window is judged.

    Parameters
    ----------
    content : the JPEG.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __call__(self, side: int | None) -> np.ndarray:
        """The bytes, packed as tracks of frames keep pictures: uint8, shape (n, 1, 3)."""
        packed = np.array([len(self._content)], LENGTH).tobytes() + self._content
        packed += bytes(-len(packed) % CHANNELS)
        return np.frombuffer(packed, np.uint8).reshape(-1, 1, CHANNELS)


def _jpeg(picture: np.ndarray) -> bytes:
    """The JPEG that `JpegPicture` packed."""
    packed = picture.tobytes()
    length = int(np.frombuffer(packed, LENGTH, 1)[0])
    return packed[LENGTH.itemsize : LENGTH.itemsize + length]


def to_message(window: Window, header: Mapping[str, Any], n_frames: int) -> Message:
    """A window as a message.

    Parameters
    ----------
    window : its pictures come from a `JpegPicture`.
    header : what the message has in its header besides.
    n_frames : that the model takes of a window.
    """
    signals, blocks = {}, []
    for modality, signal in window.signals.items():
        about: dict[str, Any] = {"rate": signal.rate, "ch_names": list(signal.ch_names), "name": signal.name}
        about["margin"] = signal.margin
        if isinstance(signal.data, TimedFrames):
            times, pictures = _shown(signal.data, n_frames)
            about |= {"times": times, "duration": signal.data.duration}
            blocks += [_jpeg(picture) for picture in pictures]
        else:
            about |= {"dtype": signal.data.dtype.str, "shape": list(signal.data.shape)}
            blocks.append(np.ascontiguousarray(signal.data).tobytes())
        signals[modality] = about
    facts = {**window._asdict(), "signals": signals}
    return Message({**header, "window": facts}, blocks)


def _shown(film: TimedFrames, n_frames: int) -> tuple[list[float], list[np.ndarray]]:
    """The frames that the model takes, each once, and the times from which it takes them."""
    times: list[float] = []
    pictures: list[np.ndarray] = []
    for i, picture in enumerate(film.frames(0.0, film.duration, n_frames)):
        if not pictures or picture is not pictures[-1]:
            times.append(i * film.duration / n_frames)
            pictures.append(picture)
    return times, pictures


def from_message(message: Message) -> Window:
    """The window of a message; a modality whose pictures cannot be decoded is absent."""
    facts = message.header["window"]
    blocks, signals, absent = iter(message.blocks), {}, {**facts["absent"]}
    for modality, about in facts["signals"].items():
        try:
            signals[modality] = _signal(about, blocks)
        except ValueError as error:
            absent[modality] = str(error)
    return Window(**{**facts, "signals": signals, "absent": absent})


def _signal(about: dict[str, Any], blocks: Iterator[bytes]) -> Signal:
    data: Any
    if "times" in about:
        times, duration = about.pop("times"), about.pop("duration")
        content = [next(blocks) for _ in times]  # all, so that the next modality finds its own
        data = TimedFrames(about["name"], times, [_decoded(each) for each in content], duration)
    else:
        data = np.frombuffer(next(blocks), about.pop("dtype")).reshape(about.pop("shape"))
    return Signal(data, **about)


def _decoded(jpeg: bytes) -> np.ndarray:
    """Pixels of a JPEG, uint8, shape (height, width, 3), RGB.

    Raises
    ------
    ValueError : not a JPEG, damaged, or too large.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"a picture of {image.width} x {image.height} pixels is too large")
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError) as error:
        raise ValueError(f"a picture cannot be decoded ({error})") from None

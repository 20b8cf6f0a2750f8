"""Writers of the three kinds of files of the EAV twin: MATLAB 5 arrays, WAV and MP4."""

from __future__ import annotations

import contextlib
import io
import struct
import wave
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from eavctl.errors import UsageError
from eavctl.storage import files

MAT_TEXT = b"MATLAB 5.0 MAT-file, made up by eavctl synth"
INT8, INT32, UINT32, DOUBLE, MATRIX = 1, 5, 6, 9, 14  # types of elements
DOUBLE_CLASS = 6
MOST_BYTES = 2**32 - 1024  # the format stores sizes in 32 bits
FULL_SCALE = 32767
MP4_CODECS = {  # the first one available is used: fast presets, constant quality, one thread, no lookahead
    "libx264": {"preset": "ultrafast", "tune": "zerolatency", "qp": "26", "x264-params": "threads=1"},
    "mpeg4": {"qmin": "5", "qmax": "5"},
}
KEY_FRAMES_S = 5.0  # seconds between keyframes


@contextlib.contextmanager
def mat_array(path: Path, name: str, shape: tuple[int, ...]) -> Iterator[Callable[[np.ndarray], None]]:
    """Write an array of doubles as an uncompressed MATLAB 5 file, slab by slab along its last axis.

    Parameters
    ----------
    path : file to write.
    name : name of the array.
    shape : shape of the whole array in MATLAB.

    Yields
    ------
    A function that writes the next slab, shape ``shape[:-1]``.

    Raises
    ------
    UsageError : the array is larger than the format allows, about 4 GB.

    References
    ----------
    .. [1] MathWorks: MAT-File Format, chapter 1.
    """
    n_values = int(np.prod(shape))
    if n_values * 8 > MOST_BYTES:
        raise UsageError(
            f"{path}: {n_values * 8} bytes are too many for a MATLAB 5 file: fewer trials, or shorter"
        )
    about = _element(UINT32, struct.pack("<II", DOUBLE_CLASS, 0))
    about += _element(INT32, struct.pack(f"<{len(shape)}i", *shape)) + _element(INT8, name.encode("ascii"))
    tags = (
        struct.pack("<II", MATRIX, len(about) + 8 + n_values * 8)
        + about
        + struct.pack("<II", DOUBLE, n_values * 8)
    )
    with files.atomic_write(path) as handle:
        handle.write(MAT_TEXT.ljust(116) + bytes(8) + struct.pack("<H", 0x0100) + b"IM" + tags)
        yield lambda piece: _write_piece(handle.write, piece, shape[:-1])


def _write_piece(write: Callable[[bytes], object], piece: np.ndarray, shape: tuple[int, ...]) -> None:
    if piece.shape != shape:
        raise ValueError(f"a slab of shape {piece.shape}, but {shape} is expected")
    write(piece.astype("<f8").tobytes(order="F"))


def _element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def wav_bytes(signal: np.ndarray, rate: int) -> bytes:
    """A signal between -1 and 1, shape (n_samples,), as a mono WAV file of 16 bits."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.round(np.clip(signal, -1, 1) * FULL_SCALE).astype("<i2").tobytes())
    return buffer.getvalue()


def mp4_bytes(
    pictures: Iterable[np.ndarray], size: tuple[int, int], *, fps: int, hold: int, n_frames: int
) -> bytes:
    """Pictures as an MP4 file: H.264 if the library can write it, else MPEG-4 part 2.

    Parameters
    ----------
    pictures : uint8, shape (height, width, 3), RGB; ``n_frames / hold`` pictures, rounded up.
    size : width and height of the pictures, even.
    fps : frame rate.
    hold : number of frames per picture.
    n_frames : number of frames of the video.
    """
    import av

    converter = av.video.reformatter.VideoReformatter()
    codec = next(name for name in MP4_CODECS if name in av.codecs_available)
    buffer = io.BytesIO()
    # bitexact: no library version in the file, so that the same pictures give the same bytes
    with av.open(buffer, "w", format="mp4", container_options={"fflags": "+bitexact"}) as file:
        stream = file.add_stream(codec, rate=fps, options=MP4_CODECS[codec])
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.gop_size = round(KEY_FRAMES_S * fps)
        for first, picture in zip(range(0, n_frames, hold), pictures, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture))
            frame = converter.reformat(frame, format="yuv420p", threads=1)
            frame.time_base = Fraction(1, fps)
            for number in range(first, min(first + hold, n_frames)):
                frame.pts = number
                file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return buffer.getvalue()

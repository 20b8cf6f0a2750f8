"""Sound from files: any usual format, rate and number of channels to one float32 array."""

from __future__ import annotations

import contextlib
import itertools
import os
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from eavctl.errors import SignalError

LONGEST_S = 4 * 3600.0  # a bound for memory: a small file can claim, or unpack to, days of sound
BLOCK = 1 << 20  # samples read at once, so that what a header claims is never allocated
SHOWN_BYTES = 12
TOLERANCE_S = 0.2  # codecs pad and trim ends by less

Source = str | os.PathLike[str] | BinaryIO


class RecordingWarning(UserWarning):
    """Something is wrong with a recording that can be used all the same."""


def read(source: Source, rate: int | None = None) -> tuple[np.ndarray, int]:
    """Read a recording's sound as mono.

    Formats that libsndfile knows (wav, flac, ogg, opus, mp3, aiff) are read by it, all others, and the
    sound of videos, by FFmpeg's libraries. Channels are averaged. A recording whose end is missing is
    read as far as it goes, with a `RecordingWarning`.

    Parameters
    ----------
    source : a file's path, or an open binary file with a ``name``.
    rate : Hz to resample to (soxr, high quality); None keeps the file's own.

    Returns
    -------
    float32 array, shape (n_samples,), full scale 1, and its rate in Hz.

    Raises
    ------
    SignalError : not a recording, without sound, silent, not finite, or longer than four hours.
    """
    if isinstance(source, str | os.PathLike):
        _check_file(source)
        name = os.fspath(source)
    else:
        name = str(getattr(source, "name", "stream"))
    try:
        signal, found = _read_sndfile(source, name)
    except _UnknownFormatError as reason:
        signal, found = _read_ffmpeg(source, name, str(reason))
    if not len(signal):
        raise SignalError(f"{name}: holds no samples")
    if not np.isfinite(signal).all():
        raise SignalError(f"{name}: some samples are not finite numbers")
    if not signal.any():
        raise SignalError(f"{name}: silent, every sample is 0")
    if rate is not None and rate != found:
        import soxr

        signal, found = soxr.resample(signal, found, rate, quality="HQ"), rate
        if not len(signal):
            raise SignalError(f"{name}: too short to be resampled to {rate} Hz")
    return signal, found


def segments(
    n_samples: int, rate: int, seconds: float, hop: float | None = None
) -> list[tuple[float, float]]:
    """Start and end, in seconds, of the whole segments of a recording, one every ``hop`` seconds.

    What is left at the end and shorter than a segment is not taken; a recording shorter than one segment
    is one by itself.
    """
    duration = n_samples / rate
    hop = hop or seconds
    count = int(np.floor((duration - seconds) / hop + 1e-9)) + 1
    if count < 1:
        return [(0.0, duration)]
    return [(i * hop, i * hop + seconds) for i in range(count)]


class _UnknownFormatError(Exception):
    """libsndfile cannot read it; the text says why."""


def _check_file(path: str | os.PathLike[str]) -> None:
    if not os.path.exists(path):
        raise SignalError(f"{path}: no such file")
    if os.path.isdir(path):
        raise SignalError(f"{path}: a folder, not a recording")
    if not os.path.getsize(path):
        raise SignalError(f"{path}: the file is empty")


def _read_sndfile(source: Source, name: str) -> tuple[np.ndarray, int]:
    import soundfile

    try:
        with soundfile.SoundFile(source) as file:
            blocks = (_mono(file.read(BLOCK, dtype="float32", always_2d=True)) for _ in itertools.count())
            signal = _joined(blocks, file.samplerate, name)
            # libsndfile's log of the header: sizes that the file does not bear out
            if "(should be" in file.extra_info:
                _warn_cut(name, len(signal) / file.samplerate)
            return signal, int(file.samplerate)
    except soundfile.LibsndfileError as error:
        raise _UnknownFormatError(error.error_string.rstrip(".")) from None


def _read_ffmpeg(source: Source, name: str, reason: str) -> tuple[np.ndarray, int]:
    import av

    if hasattr(source, "seek"):
        source.seek(0)
    start = _first_bytes(source)
    try:
        container = av.open(source if hasattr(source, "read") else os.fspath(source))
    except (av.FFmpegError, ValueError):
        raise SignalError(f"{name}: not a sound file ({reason}; first bytes are {start!r})") from None
    with container:
        if not container.streams.audio:
            raise SignalError(f"{name}: has no sound")
        stream = container.streams.audio[0]
        rate = int(stream.rate)
        signal = _joined(_decoded(container, av), rate, name)
        claimed = float(stream.duration * stream.time_base) if stream.duration else 0.0
        if len(signal) and len(signal) / rate < claimed - TOLERANCE_S:
            _warn_cut(name, len(signal) / rate)
        return signal, rate


def _decoded(container: Any, av: Any) -> Iterator[np.ndarray]:
    """Mono blocks, as far as the stream can be decoded."""
    planar = av.AudioResampler(format="fltp")
    with contextlib.suppress(av.FFmpegError):
        for frame in container.decode(audio=0):
            for part in planar.resample(frame):
                yield _mono(part.to_ndarray().T)


def _mono(block: np.ndarray) -> np.ndarray:
    """Mean of the channels of a block (n_samples, n_channels)."""
    return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)


def _joined(blocks: Iterator[np.ndarray], rate: int, name: str) -> np.ndarray:
    """All blocks, up to an empty one, as one array."""
    parts, total = [], 0
    for block in blocks:
        if not len(block):
            break
        parts.append(block)
        total += len(block)
        if total > LONGEST_S * rate:
            raise SignalError(f"{name}: longer than {LONGEST_S / 3600:.0f} hours; cut it first")
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _first_bytes(source: Any) -> bytes:
    if hasattr(source, "read"):
        start: bytes = source.read(SHOWN_BYTES)
        source.seek(0)
        return start
    with open(source, "rb") as handle:
        return handle.read(SHOWN_BYTES)


def _warn_cut(name: str, seconds: float) -> None:
    text = f"{name}: the end of the recording is missing; its first {seconds:.2f} s are used"
    warnings.warn(text, RecordingWarning, stacklevel=2)

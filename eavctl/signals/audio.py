"""Audio from files: any usual format, sampling rate and number of channels to one float32 array."""

from __future__ import annotations

import contextlib
import io
import os
import re
import struct
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from eavctl.errors import AbsentError, RecordingWarning, SignalError, SilentError

LONGEST_S = 4 * 3600.0  # bounds memory: a small file can claim, or unpack to, days of audio
MOST_SAMPLES = int(LONGEST_S) * 48000  # the same bound where the header's rate is wrong or very high
LOUDEST = 1e10  # times full scale; squares of larger values overflow float32 in the features
BLOCK = 1 << 20  # samples per read, so that the size that a header claims is never allocated
MOST_MENDED_BYTES = 1 << 30
SHOWN_BYTES = 12
TOLERANCE_S = 0.2  # codecs pad and trim the ends by less
ENDLESS_BYTES = 0x7FFFF000  # a size from here on in a WAV header means "unknown": the file was streamed
ENDLESS_FRAMES = 1 << 62  # libsndfile's value for an unknown length

WAVE_FORM = struct.Struct("<HHIIHH")  # codec, channels, rate, bytes per second, bytes per frame, bits

SIGNATURES = (b"RIFF", b"RF64", b"FORM", b"OggS", b"fLaC", b"ID3", b"\x1aE\xdf\xa3")  # first bytes
BOX_SIGNATURE = b"ftyp"  # of MP4 and related formats, from the fifth byte

Source = str | os.PathLike[str] | BinaryIO


def read(source: Source, rate: int | None = None) -> tuple[np.ndarray, int]:
    """Read the audio of a recording as mono.

    libsndfile reads the formats that it knows (wav, flac, ogg, opus, mp3, aiff); FFmpeg's libraries read
    all others and the audio of videos. Channels are averaged. A truncated or damaged recording is read as
    far as possible, with a `RecordingWarning`. Playlists are not read: FFmpeg would open any file that they
    name.

    Parameters
    ----------
    source : path of a file, or an open binary file, which is read into memory to its end; its ``name``, if
        it has one, appears in errors.
    rate : sampling rate in Hz to resample to (soxr, high quality); None keeps the rate of the file.

    Returns
    -------
    float32 array, shape (n_samples,), full scale 1, and its sampling rate in Hz.

    Raises
    ------
    SignalError : not a recording, no audio, silent, values that are not finite, or more than four hours
        (or than four hours' samples at 48 kHz).
    """
    if isinstance(source, str | os.PathLike):
        _check_file(source)
        name = os.fspath(source)
    else:
        name = str(getattr(source, "name", "stream"))
        source = _Content(source.read())
    signal, found = _read_wave(source) or _read_any(source, name)
    return checked(signal, found, rate, name)


def checked(signal: np.ndarray, found: int, rate: int | None, name: str) -> tuple[np.ndarray, int]:
    """Check a signal, and resample it; of a recording or of an array in memory.

    Parameters
    ----------
    signal : float32, shape (n_samples,), full scale 1.
    found, rate : its rate, and the one to resample to (None keeps it), Hz.
    name : for errors.

    Raises
    ------
    SignalError : empty, silent, not finite, or too short for the new rate.
    """
    _check_signal(signal, name)
    if rate is None or rate == found:
        return signal, found
    import soxr

    resampled = soxr.resample(signal, found, rate, quality="HQ")
    if not len(resampled):
        raise SignalError(f"{name}: too short to be resampled to {rate} Hz")
    return resampled, rate


def _read_wave(source: Source) -> tuple[np.ndarray, int] | None:
    """Read a short 16-bit WAV file, twice as fast as libsndfile and without importing it.

    Returns None for every other file, also for a WAV file with any inconsistent size.
    """
    with _opened(source, "") as file:
        content = file.read(2 * BLOCK)
        file.seek(0)
    if not re.match(rb"RIFF....WAVE", content, re.DOTALL):
        return None
    chunks = _riff_chunks(content)
    form, samples = chunks.get(b"fmt ", b""), chunks.get(b"data", b"")
    if len(form) != WAVE_FORM.size or not samples:
        return None
    codec, n_chans, rate, bytes_per_second, width, bits = WAVE_FORM.unpack(form)
    if (codec, bits, width, bytes_per_second) != (1, 16, 2 * n_chans, width * rate) or not n_chans * rate:
        return None
    if len(samples) % width:
        return None
    signal = np.frombuffer(samples, "<i2").astype(np.float32) / np.float32(1 << 15)
    return _mono(signal.reshape(-1, n_chans)), rate


def _riff_chunks(content: bytes) -> dict[bytes, bytes]:
    """Split a RIFF file into its chunks by name; empty if sizes are inconsistent or a name is repeated."""
    chunks: dict[bytes, bytes] = {}
    end, start = 8 + int.from_bytes(content[4:8], "little"), 12
    while start + 8 <= end == len(content):
        name, size = content[start : start + 4], int.from_bytes(content[start + 4 : start + 8], "little")
        if start + 8 + size > end or name in chunks:
            return {}
        chunks[name] = content[start + 8 : start + 8 + size]
        start += 8 + size + size % 2
    return chunks if start == end else {}


def _read_any(source: Source, name: str) -> tuple[np.ndarray, int]:
    try:
        return _read_sndfile(source, name)
    except _UnknownFormatError as reason:
        return _read_without_sndfile(source, name, str(reason))


class _Content(io.BytesIO):
    """Bytes in memory whose `seek` never raises: soundfile's callbacks would print the exception.

    Damaged headers make libsndfile seek out of bounds.
    """

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):  # out of bounds: libsndfile sees that the position is unchanged
            return self.tell()


class _UnknownFormatError(Exception):
    """The library cannot read the file; the message gives its reason."""


def _check_file(path: str | os.PathLike[str]) -> None:
    if not os.path.exists(path):
        raise SignalError(f"{path}: no such file")
    if os.path.isdir(path):
        raise SignalError(f"{path}: a folder, not a recording")
    if not os.path.getsize(path):
        raise SignalError(f"{path}: the file is empty")


def _check_signal(signal: np.ndarray, name: str) -> None:
    if not len(signal):
        raise SignalError(f"{name}: holds no samples")
    if not np.isfinite(signal).all():
        raise SignalError(f"{name}: some samples are not finite numbers")
    if not signal.any():
        raise SilentError(f"{name}: silent, every sample is 0")
    if max(signal.max(), -signal.min()) > LOUDEST:
        raise SignalError(f"{name}: some samples exceed {LOUDEST:g} times full scale")


def _read_sndfile(source: Source, name: str) -> tuple[np.ndarray, int]:
    import soundfile

    # As bytes: soundfile cannot encode a path that is not UTF-8.
    target = os.fsencode(source) if isinstance(source, str | os.PathLike) else source
    try:
        with soundfile.SoundFile(target) as file:
            signal = _concatenated(_blocks(file), file.samplerate, name)
            tolerated = TOLERANCE_S * file.samplerate if file.format == "MP3" else 0
            is_short = len(signal) < file.frames - tolerated and file.frames < ENDLESS_FRAMES
            if is_short or claims_more(file.extra_info):
                _warn_cut(name, len(signal) / file.samplerate)
            elif _is_lost(file):
                _warn_damaged(name, len(signal) / file.samplerate)
            return signal, int(file.samplerate)
    except soundfile.LibsndfileError as error:
        raise _UnknownFormatError(error.error_string.rstrip(".")) from None


def _blocks(file: Any) -> Iterator[np.ndarray]:
    """Mono blocks of an open `soundfile.SoundFile`; they end with an empty one or where damage begins."""
    size = max(BLOCK // file.channels, 1)
    while not _is_lost(file):
        yield _mono(file.read(size, dtype="float32", always_2d=True))


def _is_lost(file: Any) -> bool:
    """Whether libsndfile's position is beyond the end, as in some damaged Opus files."""
    return bool(file.seekable() and file.tell() > file.frames)


def claims_more(header_log: str) -> bool:
    """Whether, by libsndfile's log, the header claims more audio than the file holds."""
    claim = re.search(r"^ ?(?:data|SSND) : (\d+) \(should be", header_log, re.MULTILINE)
    return claim is not None and int(claim[1]) < ENDLESS_BYTES


def _read_without_sndfile(source: Source, name: str, reason: str) -> tuple[np.ndarray, int]:
    """Read a file that libsndfile cannot: with FFmpeg, or as a WAV file after repairing its header."""
    with _opened(source, name) as file:
        start = file.read(SHOWN_BYTES)
        mended = _mended_wav(file)
        with contextlib.suppress(_UnknownFormatError):
            if mended is None:
                file.seek(0)
                return _read_ffmpeg(file, name)
            signal, rate = _read_sndfile(mended, name)
            _warn(name, f"the sizes in its header are wrong; using the {len(signal) / rate:.2f} s found")
            return signal, rate
    if not start:
        raise SignalError(f"{name}: the file is empty")
    if start.startswith(SIGNATURES) or start[4:8] == BOX_SIGNATURE:
        raise SignalError(f"{name}: damaged, no audio can be decoded ({reason})")
    raise SignalError(f"{name}: not a sound file (first bytes are {start!r})")


@contextlib.contextmanager
def _opened(source: Source, name: str) -> Iterator[BinaryIO]:
    """Open a path; an already open file is rewound, and stays open afterwards."""
    if not isinstance(source, str | os.PathLike):
        source.seek(0)
        yield source
        return
    try:
        handle = open(source, "rb")  # noqa: SIM115  # errors of the caller's block must pass through
    except OSError as error:
        raise SignalError(f"{name}: cannot be opened ({error.strerror})") from None
    with handle:
        yield handle


def _mended_wav(file: BinaryIO) -> BinaryIO | None:
    """A WAV file of only the format and data chunks, where the sizes of other chunks hide the audio.

    None if the file is not WAV, too large, or has no data chunk of a possible size.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size > MOST_MENDED_BYTES or not re.match(rb"RIFF....WAVE", file.read(12), re.DOTALL):
        return None
    content = file.read()
    form = content.find(b"fmt ")
    data = content.find(b"data", form + 24)
    if form < 0 or data < 0:
        return None
    claimed = int.from_bytes(content[data + 4 : data + 8], "little")
    if not 0 < claimed <= len(content) - data - 8:
        return None
    chunks = content[form : form + 8 + int.from_bytes(content[form + 4 : form + 8], "little")]
    chunks += content[data : data + 8 + claimed]
    return io.BytesIO(b"RIFF" + (4 + len(chunks)).to_bytes(4, "little") + b"WAVE" + chunks)


def _read_ffmpeg(file: BinaryIO, name: str) -> tuple[np.ndarray, int]:
    import av

    try:
        # An open file and no protocols: neither content nor name can make FFmpeg open another file.
        container = av.open(file, options={"protocol_whitelist": "none"})
    except (av.FFmpegError, ValueError):
        raise _UnknownFormatError from None
    with container:
        if not container.streams.audio:
            raise AbsentError(f"{name}: has no sound")
        rate = int(getattr(container.streams.audio[0], "rate", 0) or 0)  # absent without a codec
        if not rate:
            raise SignalError(f"{name}: no decoder for its audio codec")
        errors: list[Exception] = []
        signal = _concatenated(_decoded(container, errors), rate, name)
        missing = _claimed_s(container) - len(signal) / rate
        if len(signal) and errors:
            _warn_damaged(name, len(signal) / rate)
        elif len(signal) and missing > (0 if container.format.name == "flac" else TOLERANCE_S):
            _warn_cut(name, len(signal) / rate)
        return signal, rate


def _claimed_s(container: Any) -> float:
    """Seconds of audio by the header, 0 if it gives none; the file's duration counts for a single stream."""
    stream = container.streams.audio[0]
    if stream.duration:
        return float(stream.duration * stream.time_base)
    is_single = len(container.streams) == 1 and container.format.name != "aac"  # raw AAC: only an estimate
    return container.duration / 1e6 if is_single and container.duration else 0.0


def _decoded(container: Any, errors: list[Exception]) -> Iterator[np.ndarray]:
    """Mono blocks of all that can be decoded; errors of decoding are appended to ``errors``."""
    import av

    planar = av.AudioResampler(format="fltp")
    packets = container.demux(container.streams.audio[0])
    with _collecting(errors):  # the end of the file can be missing
        for packet in packets:
            with _collecting(errors):
                for frame in packet.decode():
                    for block in planar.resample(frame):
                        yield _mono(block.to_ndarray().T)


@contextlib.contextmanager
def _collecting(errors: list[Exception]) -> Iterator[None]:
    import av

    try:
        yield
    except (av.FFmpegError, ValueError) as error:  # a ValueError: layout or rate change within the stream
        errors.append(error)


def _mono(block: np.ndarray) -> np.ndarray:
    """Mean of the channels of a block (n_samples, n_channels)."""
    return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)


def _concatenated(blocks: Iterator[np.ndarray], rate: int, name: str) -> np.ndarray:
    """All blocks before the first empty one, as one array."""
    parts, total = [], 0
    for block in blocks:
        if not len(block):
            break
        parts.append(block)
        total += len(block)
        if total > min(LONGEST_S * rate, MOST_SAMPLES):
            raise SignalError(f"{name}: longer than {LONGEST_S / 3600:.0f} hours; cut it first")
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _warn_damaged(name: str, seconds: float) -> None:
    _warn(name, f"damaged; using the {seconds:.2f} s that can be decoded")


def _warn_cut(name: str, seconds: float) -> None:
    _warn(name, f"the end of the recording is missing; using its first {seconds:.2f} s")


def _warn(name: str, text: str) -> None:
    warnings.warn(f"{name}: {text}", RecordingWarning, stacklevel=2)

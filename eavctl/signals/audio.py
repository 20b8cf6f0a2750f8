"""Sound from files: any usual format, rate and number of channels to one float32 array."""

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

from eavctl.errors import RecordingWarning, SignalError

LONGEST_S = 4 * 3600.0  # a bound for memory: a small file can claim, or unpack to, days of sound
MOST_SAMPLES = int(LONGEST_S) * 48000  # the same bound where the rate is a lie or very high
LOUDEST = 1e10  # times full scale; squares of more than this overflow float32 in what follows
BLOCK = 1 << 20  # samples read at once, so that what a header claims is never allocated
MOST_MENDED_BYTES = 1 << 30
SHOWN_BYTES = 12
TOLERANCE_S = 0.2  # codecs pad and trim ends by less
ENDLESS_BYTES = 0x7FFFF000  # from here on, a size in a WAV header says "not known yet": it was streamed
ENDLESS_FRAMES = 1 << 62  # libsndfile's word for it

WAVE_FORM = struct.Struct("<HHIIHH")  # kind, channels, rate, bytes a second and a frame, bits

SIGNATURES = (b"RIFF", b"RF64", b"FORM", b"OggS", b"fLaC", b"ID3", b"\x1aE\xdf\xa3")  # of sound files' starts
BOX_SIGNATURE = b"ftyp"  # of MP4 and its kin, from the fifth byte

Source = str | os.PathLike[str] | BinaryIO


def read(source: Source, rate: int | None = None) -> tuple[np.ndarray, int]:
    """Read a recording's sound as mono.

    Formats that libsndfile knows (wav, flac, ogg, opus, mp3, aiff) are read by it, all others, and the
    sound of videos, by FFmpeg's libraries. Channels are averaged. A recording that is cut or damaged is
    read as far as it goes, with a `RecordingWarning`. A playlist is no recording: it would make FFmpeg
    open whatever files it names.

    Parameters
    ----------
    source : a file's path, or an open binary file, which is read to its end into memory; its ``name``, if
        it has one, is used in errors.
    rate : Hz to resample to (soxr, high quality); None keeps the file's own.

    Returns
    -------
    float32 array, shape (n_samples,), full scale 1, and its rate in Hz.

    Raises
    ------
    SignalError : not a recording, without sound, silent, not finite, or longer than four hours (of 48 kHz).
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
    """A short WAV file of 16 bits, in half of libsndfile's time and without loading it.

    None for every other file, such as one of whose parts a single byte is missing.
    """
    with _opened(source, "") as file:
        content = file.read(2 * BLOCK)
        file.seek(0)
    if not re.match(rb"RIFF....WAVE", content, re.DOTALL):
        return None
    parts = _parts(content)
    form, samples = parts.get(b"fmt ", b""), parts.get(b"data", b"")
    if len(form) != WAVE_FORM.size or not samples:
        return None
    kind, n_chans, rate, bytes_a_second, width, bits = WAVE_FORM.unpack(form)
    if (kind, bits, width, bytes_a_second) != (1, 16, 2 * n_chans, width * rate) or not n_chans * rate:
        return None
    if len(samples) % width:
        return None
    signal = np.frombuffer(samples, "<i2").astype(np.float32) / np.float32(1 << 15)
    return _mono(signal.reshape(-1, n_chans)), rate


def _parts(content: bytes) -> dict[bytes, bytes]:
    """The parts of a RIFF file by their names; none where sizes do not fit, or a name comes twice."""
    parts: dict[bytes, bytes] = {}
    end, start = 8 + int.from_bytes(content[4:8], "little"), 12
    while start + 8 <= end == len(content):
        name, size = content[start : start + 4], int.from_bytes(content[start + 4 : start + 8], "little")
        if start + 8 + size > end or name in parts:
            return {}
        parts[name] = content[start + 8 : start + 8 + size]
        start += 8 + size + size % 2
    return parts if start == end else {}


def _read_any(source: Source, name: str) -> tuple[np.ndarray, int]:
    try:
        return _read_sndfile(source, name)
    except _UnknownFormatError as reason:
        return _read_otherwise(source, name, str(reason))


class _Content(io.BytesIO):
    """Bytes in which damaged headers may make libsndfile seek: its callbacks print what they raise."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):  # before the start, or beyond any file: stay, and it notices
            return self.tell()


class _UnknownFormatError(Exception):
    """libsndfile cannot read it; the text says why."""


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
        raise SignalError(f"{name}: silent, every sample is 0")
    if max(signal.max(), -signal.min()) > LOUDEST:
        raise SignalError(f"{name}: some samples are {LOUDEST:g} times full scale and more")


def _read_sndfile(source: Source, name: str) -> tuple[np.ndarray, int]:
    import soundfile

    # As bytes, since soundfile takes no text for a name that is not UTF-8.
    named = os.fsencode(source) if isinstance(source, str | os.PathLike) else source
    try:
        with soundfile.SoundFile(named) as file:
            signal = _joined(_blocks(file), file.samplerate, name)
            tolerated = TOLERANCE_S * file.samplerate if file.format == "MP3" else 0
            is_short = len(signal) < file.frames - tolerated and file.frames < ENDLESS_FRAMES
            if is_short or _claims_more(file.extra_info):
                _warn_cut(name, len(signal) / file.samplerate)
            elif _is_lost(file):
                _warn_damaged(name, len(signal) / file.samplerate)
            return signal, int(file.samplerate)
    except soundfile.LibsndfileError as error:
        raise _UnknownFormatError(error.error_string.rstrip(".")) from None


def _blocks(file: Any) -> Iterator[np.ndarray]:
    """Mono blocks of an open file of soundfile's; the last is empty, or lies where damage begins."""
    size = max(BLOCK // file.channels, 1)
    while not _is_lost(file):
        yield _mono(file.read(size, dtype="float32", always_2d=True))


def _is_lost(file: Any) -> bool:
    """Whether libsndfile counts itself beyond the end, as in some damaged Opus; it cannot read on."""
    return bool(file.seekable() and file.tell() > file.frames)


def _claims_more(header_log: str) -> bool:
    """Tell from libsndfile's log whether the header claims more sound than the file has."""
    claim = re.search(r"^ ?(?:data|SSND) : (\d+) \(should be", header_log, re.MULTILINE)
    return claim is not None and int(claim[1]) < ENDLESS_BYTES


def _read_otherwise(source: Source, name: str, reason: str) -> tuple[np.ndarray, int]:
    """Read what libsndfile cannot: by FFmpeg, or as a WAV file whose header is damaged."""
    with _opened(source, name) as file:
        start = file.read(SHOWN_BYTES)
        mended = _mended_wav(file)
        with contextlib.suppress(_UnknownFormatError):
            if mended is None:
                file.seek(0)
                return _read_ffmpeg(file, name)
            signal, rate = _read_sndfile(mended, name)
            _warn(name, f"the sizes in its header are wrong; the {len(signal) / rate:.2f} s found are used")
            return signal, rate
    if not start:
        raise SignalError(f"{name}: the file is empty")
    if start.startswith(SIGNATURES) or start[4:8] == BOX_SIGNATURE:
        raise SignalError(f"{name}: damaged, no sound can be read from it ({reason})")
    raise SignalError(f"{name}: not a sound file (first bytes are {start!r})")


@contextlib.contextmanager
def _opened(source: Source, name: str) -> Iterator[BinaryIO]:
    """Open a path; wind a file that is open already back to its start, and leave it open."""
    if not isinstance(source, str | os.PathLike):
        source.seek(0)
        yield source
        return
    try:
        handle = open(source, "rb")  # noqa: SIM115  # an error in the block below is not one of opening
    except OSError as error:
        raise SignalError(f"{name}: cannot be opened ({error.strerror})") from None
    with handle:
        yield handle


def _mended_wav(file: BinaryIO) -> BinaryIO | None:
    """Give a WAV file whose parts claim sizes that hide the sound with the sound's part alone."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size > MOST_MENDED_BYTES or not re.match(rb"RIFF....WAVE", file.read(12), re.DOTALL):
        return None
    content = file.read()
    form = content.find(b"fmt ")
    sound = content.find(b"data", form + 24)
    if form < 0 or sound < 0:
        return None
    claimed = int.from_bytes(content[sound + 4 : sound + 8], "little")
    if not 0 < claimed <= len(content) - sound - 8:
        return None
    parts = content[form : form + 8 + int.from_bytes(content[form + 4 : form + 8], "little")]
    parts += content[sound : sound + 8 + claimed]
    return io.BytesIO(b"RIFF" + (4 + len(parts)).to_bytes(4, "little") + b"WAVE" + parts)


def _read_ffmpeg(file: BinaryIO, name: str) -> tuple[np.ndarray, int]:
    import av

    try:
        # An open file and no protocols: so nothing in its content, or name, makes FFmpeg open another.
        container = av.open(file, options={"protocol_whitelist": "none"})
    except (av.FFmpegError, ValueError):
        raise _UnknownFormatError from None
    with container:
        if not container.streams.audio:
            raise SignalError(f"{name}: has no sound")
        rate = int(getattr(container.streams.audio[0], "rate", 0) or 0)  # absent without a codec
        if not rate:
            raise SignalError(f"{name}: its sound is of a kind that cannot be decoded")
        damaged: list[Exception] = []
        signal = _joined(_decoded(container, damaged), rate, name)
        missing = _claimed_s(container) - len(signal) / rate
        if len(signal) and damaged:
            _warn_damaged(name, len(signal) / rate)
        elif len(signal) and missing > (0 if container.format.name == "flac" else TOLERANCE_S):
            _warn_cut(name, len(signal) / rate)
        return signal, rate


def _claimed_s(container: Any) -> float:
    """How long the sound says it is, 0 if it does not; a whole file's length is that of its only stream."""
    stream = container.streams.audio[0]
    if stream.duration:
        return float(stream.duration * stream.time_base)
    alone = len(container.streams) == 1 and container.format.name != "aac"  # of bare AAC it is a guess
    return container.duration / 1e6 if alone and container.duration else 0.0


def _decoded(container: Any, damaged: list[Exception]) -> Iterator[np.ndarray]:
    """Mono blocks of what can be decoded; what cannot adds its error to ``damaged``."""
    import av

    planar = av.AudioResampler(format="fltp")
    packets = container.demux(container.streams.audio[0])
    with _noting(damaged):  # the file's end can be missing
        for packet in packets:
            with _noting(damaged):
                for frame in packet.decode():
                    for part in planar.resample(frame):
                        yield _mono(part.to_ndarray().T)


@contextlib.contextmanager
def _noting(damaged: list[Exception]) -> Iterator[None]:
    import av

    try:
        yield
    except (av.FFmpegError, ValueError) as error:  # a ValueError: layout or rate change on the way
        damaged.append(error)


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
        if total > min(LONGEST_S * rate, MOST_SAMPLES):
            raise SignalError(f"{name}: longer than {LONGEST_S / 3600:.0f} hours; cut it first")
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _warn_damaged(name: str, seconds: float) -> None:
    _warn(name, f"damaged; the {seconds:.2f} s that can be decoded are used")


def _warn_cut(name: str, seconds: float) -> None:
    _warn(name, f"the end of the recording is missing; its first {seconds:.2f} s are used")


def _warn(name: str, text: str) -> None:
    warnings.warn(f"{name}: {text}", RecordingWarning, stacklevel=2)

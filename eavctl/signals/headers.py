"""What the header of a recording says, without decoding it whole: for checks before anything is computed."""

from __future__ import annotations

import contextlib
import os
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eavctl.errors import AbsentError, RecordingWarning, SignalError
from eavctl.signals.endings import AUDIO_ENDINGS, is_idx, is_picture, split_ending

LOOKED_AT_S = 10.0  # of a recording's start, for silence and clipping
CLIPPED_PEAK = 0.5  # of full scale: quieter recordings that repeat their peak are of few bits
CLIPPED_SHARE = 1e-3  # of the samples
COARSE = ("PCM_U8", "PCM_S8", "ULAW", "ALAW")  # codes of so few levels that quiet peaks are held too
END_S = 1.0  # of a film, whose packets are read: a file that was cut off has none there
TRUNCATED_S = 0.2  # as `eavctl.signals.audio.TOLERANCE_S`: codecs pad and trim the ends by less


@dataclass(frozen=True)
class Header:
    """What the header of a recording says.

    Parameters
    ----------
    seconds : duration; None of trials, of pictures, and where the header does not say.
    rate : samples a second of audio and EEG, Hz; None of video.
    channels : names of EEG channels; of audio their number, as ``1``; of pictures and video empty.
    n_trials : of EEG in trials and of files of pictures; else None.
    is_clipped : of audio: many samples repeat the peak.
    """

    seconds: float | None = None
    rate: float | None = None
    channels: tuple[str, ...] = ()
    n_trials: int | None = None
    is_clipped: bool = False


def read_header(path: str | os.PathLike[str], modality: str) -> Header:
    """Read the header of a recording.

    Of audio, the first ten seconds are decoded too; audio that looks damaged there is read whole by
    `eavctl.signals.audio.read`, which knows why.

    Parameters
    ----------
    path : an existing file.
    modality : ``audio``, ``eeg`` or ``video``.

    Raises
    ------
    SilentError : every sample of the audio is 0.
    SignalError : not a recording of this modality, or damaged.

    Warns
    -----
    RecordingWarning : it can be used in part only.
    """
    name = os.fspath(path)
    if modality == "eeg":
        return _eeg(name)
    if modality == "audio":
        return _audio(name) if split_ending(name)[1] in AUDIO_ENDINGS else _film(name, "audio")
    if is_idx(name):
        from eavctl.signals.idx import IdxFile

        with IdxFile(name) as file:
            return Header(n_trials=file.n_pictures)
    if is_picture(name):
        from eavctl.signals.still import kind_of

        kind_of(name)
        return Header()
    return _film(name, "video")


def _audio(path: str) -> Header:
    """The header of a file that libsndfile or FFmpeg can read."""
    import soundfile

    from eavctl.signals import audio

    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            rate, n_chans, n_samples = int(file.samplerate), int(file.channels), int(file.frames)
            length = round(LOOKED_AT_S * rate)
            start = file.read(length, dtype="float32", always_2d=True)
            is_whole, is_coarse = not audio.claims_more(file.extra_info), file.subtype in COARSE
    except (soundfile.LibsndfileError, OSError, MemoryError):
        return _without_sndfile(path)
    is_short = len(start) < min(n_samples, length) - TRUNCATED_S * rate
    is_known = n_samples < audio.ENDLESS_FRAMES
    if is_short or not is_whole or not is_known or not start.any() or not np.isfinite(start).all():
        return replace(_read_whole(path), channels=(str(n_chans),))
    clipped = not is_coarse and is_clipped(start)
    return Header(n_samples / rate, float(rate), (str(n_chans),), is_clipped=clipped)


def is_clipped(signal: np.ndarray) -> bool:
    """Whether a loud signal stays at its highest or its lowest value for one sample in a thousand.

    A sample counts if the next one of its channel has the same value: a sine reaches its peak in single
    samples, a clipped one stays there.

    Parameters
    ----------
    signal : shape (n_samples, n_channels), full scale 1.
    """
    if len(signal) < 2:
        return False
    high, low = signal.max(), signal.min()
    peaks = [signal == peak for peak in (high, low) if abs(peak) >= CLIPPED_PEAK and high != low]
    held = sum(np.count_nonzero(is_peak[1:] & is_peak[:-1]) for is_peak in peaks)
    return bool(peaks and held >= CLIPPED_SHARE * signal.size)


def _without_sndfile(path: str) -> Header:
    try:
        return _film(path, "audio")
    except AbsentError:
        raise
    except SignalError:
        return _read_whole(path)  # it may mend the file, or says what is wrong with it


def _read_whole(path: str) -> Header:
    from eavctl.signals import audio

    signal, rate = audio.read(path)
    return Header(len(signal) / rate, float(rate), is_clipped=is_clipped(signal[:, None]))


def _film(path: str, modality: str) -> Header:
    from eavctl.signals.containers import open_container, open_file, pictures_of

    with open_file(path) as file, open_container(file, path) as container:
        streams = container.streams.audio if modality == "audio" else pictures_of(container)
        if not len(streams):
            raise AbsentError(f"{path}: has no {'sound' if modality == 'audio' else 'picture'}")
        stream = streams[0]
        seconds = float(stream.duration * stream.time_base) if stream.duration else None
        if seconds and _end_of(container, stream, seconds) < seconds - TRUNCATED_S:
            warnings.warn(f"{path}: the end of the recording is missing", RecordingWarning, stacklevel=2)
        if not seconds and container.duration:
            seconds = container.duration / 1e6
        if modality == "video":
            return Header(seconds)
        rate, n_chans = getattr(stream, "rate", 0), getattr(stream, "channels", 0)  # absent without a codec
        if not rate:
            raise SignalError(f"{path}: no decoder for its audio codec")
        return Header(seconds, float(rate), (str(n_chans),))


def _end_of(container: Any, stream: Any, seconds: float) -> float:
    """When the last packet of a stream ends, in seconds; 0 where none is found near the end."""
    import av

    first = stream.start_time or 0
    end = 0.0
    with contextlib.suppress(av.FFmpegError, ValueError):
        container.seek(first + int(max(seconds - END_S, 0) / stream.time_base), stream=stream)
        for packet in container.demux(stream):
            if packet.pts is not None:
                end = max(end, float((packet.pts - first + (packet.duration or 0)) * stream.time_base))
    return end


def _eeg(path: str) -> Header:
    from eavctl.signals.eeg import open_eeg

    with open_eeg(path) as file:
        return Header(file.duration, file.sfreq, file.ch_names, file.n_trials)

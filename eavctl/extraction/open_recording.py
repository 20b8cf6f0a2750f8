"""Open a recording of any modality, from a file or from arrays, and cut stretches for a feature set."""

from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol

import numpy as np

from eavctl.errors import SignalError, UsageError
from eavctl.registry import Entry, taken
from eavctl.signals.endings import is_idx, is_picture
from eavctl.signals.segments import first_of

if TYPE_CHECKING:
    from eavctl.signals.arrays import FrameArray, TimedFrames
    from eavctl.signals.eeg_file import EegFile
    from eavctl.signals.still import Still
    from eavctl.signals.video import VideoFile

    Film = VideoFile | FrameArray | TimedFrames | Still


class Signal(NamedTuple):
    """A recording, or a window of one, in memory.

    Parameters
    ----------
    data : audio: floats, shape (n_samples,), full scale 1. EEG: shape (n_chans, n_times), microvolt.
        Video: uint8, shape (n_frames, height, width, 3), RGB, equally spaced; or
        `eavctl.signals.arrays.TimedFrames`.
    rate : samples or frames a second.
    ch_names : names of the EEG channels.
    name : used in errors.
    margin : of EEG: seconds at the start of the data that precede the recording. They are filtered with it,
        so that the filter has settled when the recording begins, and are no part of it.
    """

    data: np.ndarray | TimedFrames
    rate: float
    ch_names: Sequence[str] = ()
    name: str = "window"
    margin: float = 0.0


Source = str | os.PathLike[str] | BinaryIO | Signal
"""A file's path, an open binary file with a ``name``, or arrays."""


class Stretch(NamedTuple):
    """A whole recording, or one trial of it, that can be cut.

    Parameters
    ----------
    name : used in errors.
    duration : seconds.
    rate : samples or frames a second.
    cut : what a feature set gets of a start and an end, in seconds. Either may lie `FRAME_S` outside of the
        recording: the data are then those of the nearest stretch of that length within it, completed by the
        last sample or frame where the recording itself is shorter.
    content : identifies the recording by its content, where it is one of many in a file that stand for
        themselves, as pictures do; None where the file's content does.
    """

    name: str
    duration: float
    rate: float
    cut: Callable[[float, float], Any]
    content: str | None = None


class StretchOf(Protocol):
    """An open recording: a function from the index of a trial to its stretch."""

    def __call__(self, trial: int | None = None) -> Stretch:
        """The trial of that index, from 0; None for all of a recording that has no trials.

        Raises
        ------
        SignalError : it cannot be used.
        """
        ...


def open_recording(
    source: Source, entry: Entry, settings: Mapping[str, Any]
) -> AbstractContextManager[StretchOf]:
    """Open a recording for a feature set of any modality.

    Parameters
    ----------
    source : arrays are resampled, filtered and checked by the code that does so for files.
    entry, settings : the registered feature set and all its settings.

    Raises
    ------
    SignalError : the recording cannot be used.
    UsageError : EEG or video as an open file, or arrays of a wrong shape or type.
    """
    if isinstance(source, Signal):
        _check(source, entry.facts["modality"])
    return _OPENERS[entry.facts["modality"]](source, entry, settings)


def _check(source: Signal, modality: str) -> None:
    if not 0 < source.rate < np.inf:
        raise UsageError(f"{source.name}: a rate of {source.rate} Hz; it must be above 0")
    if not 0 <= source.margin < np.inf:
        raise UsageError(f"{source.name}: a margin of {source.margin} s; it must be 0 or more")
    if source.margin and modality != "eeg":
        raise UsageError(f"{source.name}: {modality} with a margin of {source.margin} s; only EEG has one")


def channels_of(path: str | os.PathLike[str], settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the channels that the features of an EEG recording have.

    Raises
    ------
    SignalError : it cannot be read, or lacks some of them.
    """
    from eavctl.features import eeg_channels
    from eavctl.signals.eeg import open_eeg

    with open_eeg(path) as file:
        return eeg_channels.channels_of(file, settings)


def name_of(source: Source) -> str:
    """What errors call a source."""
    return str(source) if isinstance(source, str | os.PathLike) else str(getattr(source, "name", "stream"))


@contextlib.contextmanager
def _audio(source: Source, entry: Entry, settings: Mapping[str, Any]) -> Iterator[StretchOf]:
    from eavctl.signals import audio

    wanted = entry.facts["rate"]
    if isinstance(source, Signal):
        signal, rate = audio.checked(_mono(source), round(source.rate), wanted, source.name)
    else:
        signal, rate = audio.read(source, wanted)
    whole = sampled(name_of(source), signal, rate)
    yield lambda trial=None: whole


@contextlib.contextmanager
def _eeg(source: Source, entry: Entry, settings: Mapping[str, Any]) -> Iterator[StretchOf]:
    from eavctl.features.eeg_channels import channels_of, recorded

    with _eeg_file(source) as file:
        channels = channels_of(file, settings)  # a file that lacks one is refused as a whole, not by trial
        prepare = entry.facts["prepare"]

        @functools.lru_cache(maxsize=1)  # many epochs of one recording follow each other, or its one error
        def prepared(trial: int | None) -> Stretch | str:
            try:
                signal, dropouts = recorded(file, trial, channels, **taken(recorded, settings))
                n_times = signal.shape[1] - file.n_before
                filtered, rate = prepare(signal, file.sfreq, **taken(prepare, settings))
                # As many as without a margin, which need not be a whole number of resampled values.
                n_values = math.ceil(round(n_times * rate / file.sfreq, 6))
                whole = sampled(file.path, filtered[:, filtered.shape[1] - n_values :], rate)
            except SignalError as error:
                return str(error)  # the error itself would hold the signal

            def cut(start: float, end: float) -> np.ndarray:
                dropouts.check(start, end)
                return np.asarray(whole.cut(start, end))

            return whole._replace(cut=cut)

        def stretch_of(trial: int | None = None) -> Stretch:
            found = prepared(trial)
            if isinstance(found, str):
                raise SignalError(found)
            return found

        yield stretch_of


def _eeg_file(source: Source) -> EegFile:
    if isinstance(source, Signal):
        from eavctl.signals.arrays import EegArray

        return EegArray(source.name, _array(source), source.rate, source.ch_names, source.margin)
    from eavctl.signals.eeg import open_eeg

    return open_eeg(_path(source, "EEG"))


@contextlib.contextmanager
def _video(source: Source, entry: Entry, settings: Mapping[str, Any]) -> Iterator[StretchOf]:
    if not isinstance(source, Signal) and is_idx(os.fspath(_path(source, "video"))):
        with _pictures_of(os.fspath(_path(source, "video"))) as picture_of:
            yield picture_of
        return
    with _film(source) as film:
        whole = _filmed(name_of(source), film)
        yield lambda trial=None: whole


def _filmed(name: str, film: Film, content: str | None = None) -> Stretch:
    from eavctl.signals.video import VideoSpan

    def cut(start: float, end: float) -> VideoSpan:
        first = first_of(start, end - start, film.duration)
        return VideoSpan(film, first, first + (end - start))

    return Stretch(name, film.duration, film.fps, cut, content)


@contextlib.contextmanager
def _pictures_of(path: str) -> Iterator[StretchOf]:
    """The pictures of an idx file, each a video of one frame."""
    from eavctl.signals.idx import IdxFile, digest_of
    from eavctl.signals.still import Still, as_rgb

    with IdxFile(path) as file:

        def picture_of(trial: int | None = None) -> Stretch:
            if trial is None:
                raise SignalError(f"{path}: holds {file.n_pictures} pictures; a trial from 1 on names one")
            grey = file.picture(trial)
            return _filmed(path, Still(as_rgb(grey)), digest_of(grey))

        yield picture_of


def _film(source: Source) -> AbstractContextManager[Film]:
    if isinstance(source, Signal):
        from eavctl.signals.arrays import FrameArray, TimedFrames

        if isinstance(source.data, TimedFrames):
            return contextlib.nullcontext(source.data)
        return contextlib.nullcontext(FrameArray(source.name, source.data, source.rate))
    path = os.fspath(_path(source, "video"))
    if is_picture(path):
        from eavctl.signals.still import Still, read_picture

        return contextlib.nullcontext(Still(read_picture(path)))
    from eavctl.signals.video import open_video

    return open_video(path)


_OPENERS: dict[str, Callable[[Source, Entry, Mapping[str, Any]], AbstractContextManager[StretchOf]]] = {
    "audio": _audio,
    "eeg": _eeg,
    "video": _video,
}


def sampled(name: str, signal: np.ndarray, rate: float) -> Stretch:
    """A stretch of a signal whose last axis is time, shape (..., n_times)."""
    n_times = signal.shape[-1]

    def cut(start: float, end: float) -> np.ndarray:
        length = round(round((end - start) * rate, 6))  # half a sample is rounded alike in every segment
        first = first_of(round(start * rate), length, n_times)
        found = signal[..., first : first + length]
        if length <= n_times:
            return found
        beside = [(0, 0)] * (signal.ndim - 1)
        return np.pad(found, [*beside, (0, length - n_times)], mode="edge")

    return Stretch(name, n_times / rate, rate, cut)


def _mono(source: Signal) -> np.ndarray:
    data = _array(source)
    if data.ndim != 1 or data.dtype.kind != "f":
        raise UsageError(
            f"{source.name}: audio of shape {data.shape} and type {data.dtype}; give floats (n_samples,), "
            "full scale 1"
        )
    return np.asarray(data, np.float32)


def _array(source: Signal) -> np.ndarray:
    if not isinstance(source.data, np.ndarray):
        raise UsageError(f"{source.name}: data of type {type(source.data).__name__}; give an array")
    return source.data


def _path(source: Source, what: str) -> str | os.PathLike[str]:
    if isinstance(source, str | os.PathLike):
        return source
    raise UsageError(f"{what} cannot be read from stdin; name the file")

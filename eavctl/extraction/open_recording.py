"""Recordings of every modality, opened once and asked for the stretches that features are computed on."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from eavctl.errors import SignalError, UsageError
from eavctl.registry import Entry
from eavctl.signals.segments import first_of

Source = str | os.PathLike[str] | BinaryIO


class Stretch(NamedTuple):
    """A whole recording, or one trial of it, that can be cut.

    Parameters
    ----------
    duration : seconds.
    rate : samples or frames a second.
    cut : what a feature set gets of a start and an end, in seconds. Either may lie `FRAME_S` outside of the
        recording: the data are then those of the nearest stretch of that length within it, completed by the
        last sample or frame where the recording itself is shorter.
    """

    duration: float
    rate: float
    cut: Callable[[float, float], Any]


Take = Callable[[int | None], Stretch]
"""The trial of that index, from 0, or all of a recording that has no trials."""


def open_recording(source: Source, entry: Entry, settings: Mapping[str, Any]) -> AbstractContextManager[Take]:
    """Open a recording for a feature set of any modality.

    Parameters
    ----------
    source : a file's path, or an open binary file with a ``name``.
    entry, settings : the registered feature set and all its settings.

    Raises
    ------
    SignalError : the recording cannot be used.
    """
    return _OPENERS[entry.facts["modality"]](source, entry, settings)


def channels_of(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Names of the EEG channels of a recording.

    Raises
    ------
    SignalError : it cannot be read.
    """
    from eavctl.signals.eeg import open_eeg

    with open_eeg(path) as file:
        return file.ch_names


@contextlib.contextmanager
def _audio(source: Source, entry: Entry, settings: Mapping[str, Any]) -> Iterator[Take]:
    from eavctl.signals import audio

    signal, rate = audio.read(source, entry.facts["rate"])
    yield lambda trial: _sampled(signal, rate)


@contextlib.contextmanager
def _eeg(source: Source, entry: Entry, settings: Mapping[str, Any]) -> Iterator[Take]:
    from eavctl.signals.eeg import open_eeg
    from eavctl.signals.eeg_file import Dropouts

    with open_eeg(_path(source, "EEG")) as file:
        channels = settings["channels"] or file.ch_names
        file.places(channels)  # a file that lacks one is refused as a whole, not trial by trial
        filtering = {name: settings[name] for name in ("rate", "low", "high", "order")}

        @functools.lru_cache(maxsize=1)  # many epochs of one recording follow each other, or its one error
        def taken(trial: int | None) -> Stretch | str:
            try:
                signal = file.read(trial, channels)
                dropouts = Dropouts.of(signal, file.sfreq, channels)
                whole = _sampled(*entry.facts["prepare"](signal, file.sfreq, **filtering))
            except SignalError as error:
                return str(error)  # the error itself would hold the signal

            def cut(start: float, end: float) -> np.ndarray:
                dropouts.check(start, end)
                return np.asarray(whole.cut(start, end))

            return whole._replace(cut=cut)

        def take(trial: int | None) -> Stretch:
            found = taken(trial)
            if isinstance(found, str):
                raise SignalError(found)
            return found

        yield take


@contextlib.contextmanager
def _video(source: Source, entry: Entry, settings: Mapping[str, Any]) -> Iterator[Take]:
    from eavctl.signals.video import VideoSpan, open_video

    with open_video(_path(source, "video")) as file:

        def cut(start: float, end: float) -> VideoSpan:
            first = first_of(start, end - start, file.duration)
            return VideoSpan(file, first, first + (end - start))

        whole = Stretch(file.duration, file.fps, cut)
        yield lambda trial: whole


_OPENERS: dict[str, Callable[[Source, Entry, Mapping[str, Any]], AbstractContextManager[Take]]] = {
    "audio": _audio,
    "eeg": _eeg,
    "video": _video,
}


def _sampled(signal: np.ndarray, rate: float) -> Stretch:
    """A signal whose last axis is time."""
    n_times = signal.shape[-1]

    def cut(start: float, end: float) -> np.ndarray:
        length = round(round((end - start) * rate, 6))  # half a sample is rounded alike in every segment
        first = first_of(round(start * rate), length, n_times)
        found = signal[..., first : first + length]
        if length <= n_times:
            return found
        beside = [(0, 0)] * (signal.ndim - 1)
        return np.pad(found, [*beside, (0, length - n_times)], mode="edge")

    return Stretch(n_times / rate, rate, cut)


def _path(source: Source, what: str) -> str | os.PathLike[str]:
    if isinstance(source, str | os.PathLike):
        return source
    raise UsageError(f"{what} cannot be read from stdin; name the file")

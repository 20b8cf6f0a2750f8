"""EEG and video in memory, with the interface of the open files of `eavctl.signals.eeg` and `.video`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from eavctl.errors import UsageError
from eavctl.signals.eeg_file import EegFile
from eavctl.signals.eeg_names import clean_names

FRAME_ROUNDING = 1e-3  # of a frame: a time that is meant to be a frame's own can lie just before it
TIME_ROUNDING = 1e-6  # seconds; the same, of frames at any times


class EegArray(EegFile):
    """A continuous EEG signal in memory: its bad channels are found and interpolated as a file's are.

    Parameters
    ----------
    name : for errors.
    signal : shape (n_chans, n_times), microvolt; it is not changed.
    sfreq : Hz.
    ch_names : one a channel.
    margin : seconds at the start by which no channel is found bad.

    Raises
    ------
    UsageError : the signal is not of that shape, has another number of channels than of names, or is not
        longer than the margin.
    """

    def __init__(
        self, name: str, signal: np.ndarray, sfreq: float, ch_names: Sequence[str], margin: float = 0.0
    ) -> None:
        if signal.ndim != 2 or len(signal) != len(ch_names):
            raise UsageError(
                f"{name}: EEG of shape {signal.shape} with {len(ch_names)} channel names; give an array "
                "(n_chans, n_times) and a name for each channel"
            )
        super().__init__(name, clean_names(ch_names), sfreq)
        self.n_before = round(margin * sfreq)
        if 0 < signal.shape[1] <= self.n_before:
            raise UsageError(f"{name}: nothing follows its margin of {margin} s")
        self._signal = signal

    def _read(self, trial: int | None) -> np.ndarray:
        return np.array(self._signal, np.float64)  # a copy, in which bad channels are interpolated

    def close(self) -> None:
        """Do nothing: there is no file."""


class FrameArray:
    """Video frames in memory, equally spaced in time.

    Parameters
    ----------
    name : for errors.
    pictures : uint8, shape (n_frames, height, width, 3), RGB.
    fps : frames a second.

    Raises
    ------
    UsageError : the frames are not of that shape and type, or there is none.
    """

    def __init__(self, name: str, pictures: np.ndarray, fps: float) -> None:
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3 or not len(pictures):
            raise UsageError(
                f"{name}: video of shape {pictures.shape} and type {pictures.dtype}; give uint8 frames "
                "(n_frames, height, width, 3)"
            )
        self._pictures = pictures
        self.fps, self.duration = fps, len(pictures) / fps

    def frames(self, start: float, end: float, n: int) -> Iterator[np.ndarray]:
        """The frames shown at ``start + i * (end - start) / n`` seconds, i = 0 .. n - 1.

        Yields
        ------
        uint8 arrays, shape (height, width, 3), RGB.
        """
        seconds = start + np.arange(n) * (end - start) / n
        shown = np.floor(seconds * self.fps + FRAME_ROUNDING).astype(int)
        yield from self._pictures[shown.clip(0, len(self._pictures) - 1)]


class TimedFrames:
    """Video frames in memory, each shown from its time until that of the next.

    Before the first frame's time the first is shown, as in `eavctl.signals.video.VideoFile`.

    Parameters
    ----------
    name : for errors.
    times : in ascending order, in seconds from the start; the first may be negative.
    pictures : one a time, uint8, shape (height, width, 3), RGB; sizes may differ.
    duration : seconds.

    Raises
    ------
    UsageError : no frame, another number of frames than of times, times that do not ascend, or pictures of
        another shape or type.
    """

    def __init__(
        self, name: str, times: Sequence[float], pictures: Sequence[np.ndarray], duration: float
    ) -> None:
        if not pictures or len(times) != len(pictures):
            raise UsageError(
                f"{name}: video of {len(pictures)} frames at {len(times)} times; give one a frame"
            )
        self._times = np.asarray(times, np.float64)
        if not (np.isfinite(self._times).all() and (np.diff(self._times) >= 0).all()):
            raise UsageError(f"{name}: the times of its frames must ascend")
        for picture in pictures:
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                raise UsageError(
                    f"{name}: a frame of shape {picture.shape} and type {picture.dtype}; give uint8 "
                    "(height, width, 3)"
                )
        if not 0 < duration < np.inf:
            raise UsageError(f"{name}: a duration of {duration} s; it must be above 0")
        self._pictures = pictures
        self.fps, self.duration = len(pictures) / duration, duration

    def frames(self, start: float, end: float, n: int) -> Iterator[np.ndarray]:
        """The frames shown at ``start + i * (end - start) / n`` seconds, i = 0 .. n - 1.

        Yields
        ------
        uint8 arrays, shape (height, width, 3), RGB.
        """
        seconds = start + np.arange(n) * (end - start) / n
        shown = np.searchsorted(self._times, seconds + TIME_ROUNDING, side="right") - 1
        yield from (self._pictures[place] for place in shown.clip(0))

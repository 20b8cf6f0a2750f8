"""EEG and video in memory, with the interface of the open files of `eavctl.signals.eeg` and `.video`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from eavctl.errors import UsageError
from eavctl.signals.eeg_file import EegFile
from eavctl.signals.eeg_names import clean_names

FRAME_ROUNDING = 1e-3  # of a frame: a time that is meant to be a frame's own can lie just before it


class EegArray(EegFile):
    """A continuous EEG signal in memory: its bad channels are found and interpolated as a file's are.

    Parameters
    ----------
    name : for errors.
    signal : shape (n_chans, n_times), microvolt; it is not changed.
    sfreq : Hz.
    ch_names : one a channel.

    Raises
    ------
    UsageError : the signal is not of that shape, or has another number of channels than of names.
    """

    def __init__(self, name: str, signal: np.ndarray, sfreq: float, ch_names: Sequence[str]) -> None:
        if signal.ndim != 2 or len(signal) != len(ch_names):
            raise UsageError(
                f"{name}: EEG of shape {signal.shape} with {len(ch_names)} channel names; give an array "
                "(n_chans, n_times) and a name for each channel"
            )
        super().__init__(name, clean_names(ch_names), sfreq)
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

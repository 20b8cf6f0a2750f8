"""Continuous EEG recordings whose samples have time stamps, as streams leave them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from eavctl.errors import SignalError
from eavctl.signals import eeg_damage
from eavctl.signals.eeg_file import EegFile, listed, warn
from eavctl.signals.sample_grid import described, grid_of

SLOWEST = 20.0  # Hz


class StampedRecording(EegFile):
    """A continuous recording on the regular grid of its time stamps, see `eavctl.signals.sample_grid`.

    Samples without a stamp, or without a number in a channel, are missing.

    Parameters
    ----------
    path, ch_names : see `EegFile`.
    units_uv : unit of each channel in microvolt.
    stamps : of the samples in seconds, NaN where there is none.
    columns : the samples of each channel; they are freed when they are read.
    stated : the sampling rate that the device states, Hz.
    left_out : names of channels that are no EEG; they are told when the samples are read.

    Raises
    ------
    SignalError : the stamps give no rate of EEG, or the recording is too large.
    """

    def __init__(
        self,
        path: str,
        ch_names: Sequence[str],
        units_uv: Sequence[float],
        stamps: np.ndarray,
        columns: list[np.ndarray],
        *,
        stated: float | None = None,
        left_out: Sequence[str] = (),
    ) -> None:
        self._left_out = left_out
        self._units, self._columns = units_uv, columns
        self._kept = np.isfinite(stamps)
        for column in columns:
            self._kept &= np.isfinite(column)
        try:
            self._grid = grid_of(stamps[self._kept], stated)
        except SignalError as error:
            raise SignalError(f"{path}: {error}") from None
        if self._grid.sfreq < SLOWEST:
            raise SignalError(f"{path}: {self._grid.sfreq:g} samples a second by its time stamps: no EEG")
        eeg_damage.check_size(path, len(columns), self._grid.n_times)
        super().__init__(path, ch_names, self._grid.sfreq, gaps=self._grid.gaps)
        if self.gaps:
            warn(path, f"{described(self.gaps)}; segments with a gap are rejected")

    @property
    def duration(self) -> float:
        """Duration in seconds, with the gaps."""
        return self._grid.n_times / self.sfreq

    def places_of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Index, on the grid, of the first sample at each row of the stamps or after it, else of the last."""
        samples = np.searchsorted(np.flatnonzero(self._kept), rows)
        return np.asarray(self._grid.places[np.minimum(samples, len(self._grid.places) - 1)])

    @abstractmethod
    def _load(self) -> list[np.ndarray]:
        """The columns once more."""

    def _read(self, trial: int | None) -> np.ndarray:
        if self._left_out:
            warn(self.path, f"channels that are not used as EEG: {listed(self._left_out)}")
            self._left_out = ()
        columns, self._columns = self._columns or self._load(), []
        signal = np.empty((len(columns), self._grid.n_times))
        for row, unit in zip(signal, self._units, strict=True):
            row[:] = self._grid.spread(columns.pop(0)[self._kept])
            row *= unit
        return signal

    def close(self) -> None:
        """Free the samples."""
        self._columns = []

"""Trials of EEG in a MATLAB array, as the EAV data set publishes them."""

from __future__ import annotations

import itertools

import numpy as np

from eavctl.errors import SignalError
from eavctl.signals.eeg_file import EegFile
from eavctl.signals.mat_file import MatFile
from eavctl.signals.matlab import open_mat

# The .mat files carry no names. Assumed is the order of the amplifier's cap of 32 channels without TP9 and
# TP10, whose names begin the list in Lee et al., EEG dataset and OpenBMI toolbox for three BCI paradigms,
# GigaScience 8, 2019. It names columns, pairs channels for asymmetry, and tells which are near a bad one.
EAV_CHANNELS = (
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "FC5", "FC1", "FC2", "FC6", "T7", "C3", "Cz", "C4",
    "T8", "CP5", "CP1", "CP2", "CP6", "P7", "P3", "Pz", "P4", "P8", "PO9", "O1", "Oz", "O2", "PO10",
)  # fmt: skip
EAV_SFREQ = 500.0  # Hz; not in the files either
EAV_KEYS = ("seg", "seg1")
SHORTEST_TRIAL = 500  # samples, 1 s
KNOWN_ORDERS = ((0, 1, 2), (1, 2, 0))  # places of time, channel, trial: as published, and as others save it


class MatTrials(EegFile):
    """Trials in a MATLAB array."""

    def __init__(self, path: str) -> None:
        self._file = open_mat(path)
        try:
            self._name = _trial_array(self._file)
            shape = self._file.names[self._name]
            self._axes = _axes(shape, f"{path}: {self._name!r}")
        except SignalError:
            self._file.close()
            raise
        super().__init__(path, EAV_CHANNELS, EAV_SFREQ, shape[self._axes[2]])

    def _read(self, trial: int | None) -> np.ndarray:
        time_axis, channel_axis, trial_axis = self._axes
        slab = self._file.slab(self._name, int(trial or 0), trial_axis)
        is_by_channel = channel_axis < time_axis
        with np.errstate(invalid="ignore"):  # `read` tells what is not finite
            return np.ascontiguousarray(slab if is_by_channel else slab.T, dtype=np.float64)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _trial_array(file: MatFile) -> str:
    """Name of the array that holds the trials."""
    named = [key for key in EAV_KEYS if key in file.names]
    found = named or [name for name, shape in file.names.items() if len(shape) == 3]
    if len(found) == 1:
        return found[0]
    shapes = ", ".join(f"{name} {shape}" for name, shape in file.names.items()) or "no numeric array"
    raise SignalError(
        f"{file.path}: {'more than one' if found else 'no'} array of trials (seg or seg1: time x 30 channels "
        f"x trial); it holds {shapes}"
    )


def _axes(shape: tuple[int, ...], where: str) -> tuple[int, int, int]:
    """Which axes are time, channel and trial: 30 channels, and time by far the longest.

    Where lengths fit several ways, one of the known orders decides; EAV's own shape is (10000, 30, 200).
    """
    fitting = [
        (time, channel, trial)
        for time, channel, trial in itertools.permutations(range(3))
        if len(shape) == 3
        and shape[channel] == len(EAV_CHANNELS)
        and shape[time] >= max(SHORTEST_TRIAL, 2 * shape[trial])
        and shape[trial] > 0
    ]
    if len(fitting) > 1:
        fitting = [axes for axes in fitting if axes in KNOWN_ORDERS]
    if len(fitting) != 1:
        raise SignalError(
            f"{where} is of shape {shape}, in which time (at least {SHORTEST_TRIAL}, and the longest), "
            f"{len(EAV_CHANNELS)} channels and trials cannot be told apart; (10000, 30, 200) is expected"
        )
    return fitting[0]

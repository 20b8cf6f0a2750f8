"""Trials of EEG in a MATLAB array, in the layout of the EAV data set."""

from __future__ import annotations

import itertools

import numpy as np

from eavctl.errors import SignalError
from eavctl.signals.eeg_file import EegFile
from eavctl.signals.mat_file import MatFile
from eavctl.signals.matlab import open_mat

# The .mat files hold no channel names. The assumed order is that of the amplifier's 32-channel cap without
# TP9 and TP10, which begins the list in Lee et al., EEG dataset and OpenBMI toolbox for three BCI paradigms,
# GigaScience 8, 2019. It names columns, pairs channels for asymmetry, and gives positions for interpolation.
EAV_CHANNELS = (
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "FC5", "FC1", "FC2", "FC6", "T7", "C3", "Cz", "C4",
    "T8", "CP5", "CP1", "CP2", "CP6", "P7", "P3", "Pz", "P4", "P8", "PO9", "O1", "Oz", "O2", "PO10",
)  # fmt: skip
EAV_SFREQ = 500.0  # Hz; also missing in the files
EAV_KEYS = ("seg", "seg1")
SHORTEST_TRIAL = 500  # samples, 1 s
KNOWN_ORDERS = ((0, 1, 2), (1, 2, 0))  # axes of time, channel, trial: as published, and another common order


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
        with np.errstate(invalid="ignore"):  # `read` reports values that are not finite
            return np.ascontiguousarray(slab if is_by_channel else slab.T, dtype=np.float64)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _trial_array(file: MatFile) -> str:
    """Name of the array of trials: one of EAV's names, else the only array with three axes."""
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
    """Find the axes of time, channel and trial: 30 channels, and at least twice as many times as trials.

    If several assignments fit, one of the known orders decides. EAV's own shape is (10000, 30, 200).
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
            f"{where} is of shape {shape}; expected are time (at least {SHORTEST_TRIAL}, and the longest), "
            f"{len(EAV_CHANNELS)} channels and trials, such as (10000, 30, 200)"
        )
    return fitting[0]

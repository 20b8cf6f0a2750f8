"""One EAV subject's EEG as a good script does it: `loadmat`, `scipy.signal` trial by trial, a .npy file."""

from __future__ import annotations

import sys

import h5py
import numpy as np
from scipy.io import loadmat
from scipy.signal import butter, firwin, resample_poly, sosfiltfilt

SFREQ, RATE, DOWN = 500, 100, 5
LOW, HIGH, ORDER = 0.5, 45, 5
RINGING = 1769  # samples until the filter's impulse response stays below a thousandth of its maximum
SEGMENT = 5 * RATE
KEYS = ("seg", "seg1")
SPEAKING = 1  # the odd rows of the labels


def read(path: str) -> np.ndarray:
    """Time x channel x trial."""
    if h5py.is_hdf5(path):  # version 7.3, with the axes reversed
        with h5py.File(path) as file:
            return next(file[key][()].T for key in KEYS if key in file)
    content = loadmat(path)
    return next(content[key] for key in KEYS if key in content)


def main(eeg_path: str, labels_path: str, out: str) -> None:
    """Write the segments of the Speaking trials, float32, (n_segments, 30, 500)."""
    eeg = read(eeg_path)
    speaking = np.flatnonzero(loadmat(labels_path)["label"].argmax(axis=0) % 2 == SPEAKING)
    band_pass = butter(ORDER, (LOW, HIGH), "bandpass", fs=SFREQ, output="sos")
    low_pass = firwin(64 * DOWN + 1, 1 / DOWN, window=("kaiser", 8.0))
    segments = []
    for trial in speaking:
        filtered = sosfiltfilt(band_pass, eeg[:, :, trial].T, axis=1, padlen=RINGING)
        slower = resample_poly(filtered, 1, DOWN, axis=1, window=low_pass, padtype="antireflect")
        n_segments = slower.shape[1] // SEGMENT
        cut = slower[:, : n_segments * SEGMENT].reshape(-1, n_segments, SEGMENT)
        segments.append(cut.swapaxes(0, 1).astype(np.float32))
    np.save(out, np.concatenate(segments))


if __name__ == "__main__":
    main(*sys.argv[1:])

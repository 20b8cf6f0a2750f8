"""Covariances of one EAV subject's EEG as a good script does it: scipy trial by trial, then pyriemann."""

from __future__ import annotations

import sys

import numpy as np
from pyriemann.estimation import Covariances
from scipy.io import loadmat
from scipy.signal import butter, resample_poly, sosfiltfilt

SFREQ, UP, DOWN = 500, 32, 125  # to 128 Hz
SEGMENT = 5 * SFREQ * UP // DOWN
BANDS = ((4, 8), (8, 13), (13, 20), (20, 30), (30, 45))
KEYS = ("seg", "seg1")
SPEAKING = 1  # the odd rows of the labels


def main(eeg_path: str, labels_path: str, out: str) -> None:
    """Write the covariances of the Speaking trials' segments, float32, (n_segments, n_bands, 30, 30)."""
    content = loadmat(eeg_path)
    eeg = next(content[key] for key in KEYS if key in content)  # time x channel x trial
    speaking = np.flatnonzero(loadmat(labels_path)["label"].argmax(axis=0) % 2 == SPEAKING)
    rate = SFREQ * UP / DOWN
    filters = [butter(4, band, "bandpass", fs=rate, output="sos") for band in BANDS]
    estimator = Covariances(estimator="oas")
    found = []
    for trial in speaking:
        slower = resample_poly(eeg[:, :, trial].T, UP, DOWN, axis=1)
        matrices = []
        for sections in filters:
            filtered = sosfiltfilt(sections, slower, axis=1)
            n_segments = filtered.shape[1] // SEGMENT
            cut = filtered[:, : n_segments * SEGMENT].reshape(len(filtered), n_segments, SEGMENT)
            matrices.append(estimator.transform(cut.swapaxes(0, 1)))
        found.append(np.stack(matrices, axis=1))
    np.save(out, np.concatenate(found).astype(np.float32))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Outlying EEG channels: planted ones are found, and no good one of the real recordings."""

import numpy as np
import pytest

from eavctl.signals.eeg import open_eeg
from eavctl.signals.eeg_outliers import NOISY, UNCORRELATED, outlying

REAL = [*(f"S001R0{run}.edf" for run in range(3, 9)), "eeglab_data.set", "testbva.vhdr", "test.bdf"]


@pytest.fixture(scope="module")
def recordings_of(shared_data):
    found = {}
    for name in REAL:
        with open_eeg(shared_data / "eeg" / name) as file:
            found[name] = file.read_raw(), file.sfreq
    return found


def deviation(channel, sfreq):
    """Median over windows of a second."""
    length = round(sfreq)
    return np.median(channel[: len(channel) // length * length].reshape(-1, length).std(axis=1))


def pink(rng, n):
    return np.fft.irfft(np.fft.rfft(rng.normal(size=n)) / np.sqrt(1 + np.arange(n // 2 + 1)), n)


PLANTED = {
    "white noise": lambda own, level, time, rng: rng.normal(scale=level, size=len(own)),
    "pink noise": lambda own, level, time, rng: level * pink(rng, len(own)) / 0.1,
    "noise added": lambda own, level, time, rng: own + rng.normal(scale=4 * level, size=len(own)),
    "only the mains": lambda own, level, time, rng: (
        50 * np.sin(120 * np.pi * time) + rng.normal(size=len(own))
    ),
    "far too loud": lambda own, level, time, rng: 20 * own,
    "lost after a third": lambda own, level, time, rng: np.where(
        time < time[-1] / 3, own, rng.normal(scale=level, size=len(own))
    ),
}


def test_no_channel_of_a_good_recording_is_outlying(recordings_of):
    assert not [name for name, each in recordings_of.items() if outlying(*each)]


@pytest.mark.parametrize("seconds", [10, 20])
def test_few_channels_are_outlying_in_short_pieces_of_good_recordings(recordings_of, seconds):
    pieces = found = 0
    for signal, sfreq in (recordings_of[name] for name in REAL[:7]):
        length = round(seconds * sfreq)
        for start in range(0, signal.shape[1] - length + 1, length):
            pieces += len(signal)
            found += len(outlying(signal[:, start : start + length], sfreq))
    assert found < 0.002 * pieces


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("name", ["S001R03.edf", "S001R08.edf", "eeglab_data.set"])
def test_planted_channels_are_found_and_no_other(recordings_of, name, kind):
    signal, sfreq = recordings_of[name]
    time, rng = np.arange(signal.shape[1]) / sfreq, np.random.default_rng(0)
    for number in range(0, len(signal), 9):
        own = signal[number]
        hurt = signal.copy()
        hurt[number] = PLANTED[kind](own, deviation(own, sfreq), time, rng)
        assert list(outlying(hurt, sfreq)) == [number]


def test_the_fault_is_named(recordings_of):
    signal, sfreq = recordings_of["S001R03.edf"]
    hurt = signal.copy()
    hurt[5] *= 20
    hurt[7] = np.random.default_rng(0).normal(scale=30, size=hurt.shape[1])
    assert outlying(hurt, sfreq) == {5: NOISY, 7: UNCORRELATED}
    assert outlying(hurt, sfreq, without=[5]) == {7: UNCORRELATED}


def test_gain_offset_sign_and_order_do_not_matter(recordings_of):
    signal, sfreq = recordings_of["S001R03.edf"]
    hurt = signal.copy()
    hurt[7] = np.random.default_rng(0).normal(scale=30, size=hurt.shape[1])
    changed = -3 * hurt[::-1] + 1e4
    assert list(outlying(changed, sfreq)) == [len(hurt) - 1 - 7]


@pytest.mark.parametrize(
    "signal",
    [np.zeros((0, 5000)), np.zeros((30, 0)), np.ones((30, 5000)), np.eye(7, 5000), np.ones((30, 500))],
)
def test_what_cannot_be_compared_has_no_outliers(signal):
    assert set(outlying(signal, 160.0).values()) <= {UNCORRELATED}
    if len(signal) < 8 or signal.shape[1] < 1600:
        assert outlying(signal, 160.0) == {}

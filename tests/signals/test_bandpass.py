"""The band-pass beside scipy's: everywhere the same, the ends included; and what its formula says."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, filtfilt, iirnotch, sosfilt, sosfilt_zi, sosfiltfilt, tf2sos

from eavctl.signals import bandpass
from eavctl.signals.bandpass import causal, settling_s, zero_phase

REPOSITORY = Path(__file__).resolve().parents[2]


def drifting(n_chans=2, n_times=5000, seed=0):
    """Like EEG: an offset, slow drift far larger than the rest, and no end where it began."""
    white = np.random.default_rng(seed).normal(size=(n_chans, n_times))
    return 500 + 5 * white.cumsum(axis=1) + 20 * white


def recursive(signal, sfreq, low, high, order):
    """Continued while the impulse response is above a thousandth of its maximum."""
    sections = butter(order, (low, high), "bandpass", fs=sfreq, output="sos")
    response = np.abs(sosfilt(sections, np.eye(1, round(20 * sfreq / low) + 1)[0]))
    ringing = np.flatnonzero(response > 1e-3 * response.max())[-1]
    return sosfiltfilt(sections, signal, axis=1, padlen=min(ringing, signal.shape[1] - 1))


@pytest.mark.parametrize("n_times", [34, 801, 5000, 20011])
@pytest.mark.parametrize("sfreq", [500.0, 160.0, 249.876])
@pytest.mark.parametrize(
    ("low", "high", "order"), [(0.5, 45, 5), (0.5, 50, 1), (4, 8, 3), (1, 40, 4), (8, 30, 8), (0.1, 70, 2)]
)
def test_it_is_the_recursive_filter_to_rounding(n_times, sfreq, low, high, order):
    """Within 1e-8 of signals of some hundreds; a recursion loses as much where it rings for long."""
    signal = drifting(n_times=n_times)
    found = zero_phase(signal, sfreq, low, high, order)
    assert np.abs(found - recursive(signal, sfreq, low, high, order)).max() < 1e-8


@pytest.mark.parametrize("sfreq", [500.0, 160.0])
@pytest.mark.parametrize(("low", "high", "order"), [(0.5, 45, 5), (4, 8, 3), (8, 30, 8)])
def test_causal_is_the_recursive_filter_run_once(sfreq, low, high, order):
    signal = drifting()
    kept = signal.copy()
    sections = butter(order, (low, high), "bandpass", fs=sfreq, output="sos")
    settled = sosfilt_zi(sections)[:, None] * signal[:, :1]
    expected, _ = sosfilt(sections, signal, axis=1, zi=settled)
    assert np.abs(causal(signal, sfreq, low, high, order) - expected).max() < 1e-8
    assert np.array_equal(signal, kept)


def test_causal_has_3_db_at_its_edges_and_half_of_the_attenuation():
    sfreq, low, high, order = 500.0, 4.0, 30.0, 3
    once = causal(np.eye(1, 10001, 1000), sfreq, low, high, order)[0]
    twice = zero_phase(np.eye(1, 20001, 10000), sfreq, low, high, order)[0]
    at = np.array([1.0, low, 10.0, high, 60.0])
    forward, both = (
        np.abs(each @ np.exp(-2j * np.pi * np.outer(np.arange(len(each)), at) / sfreq))
        for each in (once, twice)
    )
    assert forward[[1, 3]] == pytest.approx(np.sqrt(0.5), abs=1e-6)
    assert forward**2 == pytest.approx(both, rel=1e-6)


@pytest.mark.parametrize(("low", "high", "order"), [(0.5, 45, 5), (1, 40, 4), (4, 8, 3), (0.1, 45, 2)])
def test_a_step_is_forgotten_to_a_millionth_after_the_settling_time_and_not_long_before(low, high, order):
    sfreq, seconds = 500.0, settling_s(low, high, order)
    step = np.ones((1, round(3 * seconds * sfreq)))
    step[:, 0] = 0
    left = np.abs(causal(step, sfreq, low, high, order)[0])
    assert left[round(1.1 * seconds * sfreq) :].max() < 1e-6
    assert left[round(0.7 * seconds * sfreq) :].max() > 1e-6


def test_two_poles_in_one_place():
    """An odd order, and edges whose ratio, as the bilinear transform bends them, is 3 + 2 sqrt(2)."""
    low, sfreq = 4.0, 500.0
    high = np.arctan(np.tan(np.pi * low / sfreq) * (3 + 2 * np.sqrt(2))) * sfreq / np.pi
    for edge in (high, high * (1 + 1e-9), high * (1 - 1e-7)):
        found = zero_phase(drifting(), sfreq, low, edge, 5)
        assert np.abs(found - recursive(drifting(), sfreq, low, edge, 5)).max() < 1e-7


def test_the_gain_is_that_of_butterworth():
    """Far from the ends a tone is multiplied by 1 / (1 + x^(2 order)): by 1/2, 6 dB down, at the edges."""
    sfreq, low, high, order = 500.0, 4.0, 30.0, 3
    bent = np.tan(np.pi * np.array([low, high]) / sfreq)
    for hz in (1.0, 3.0, low, 6.0, 10.0, 20.0, high, 60.0, 200.0):
        tone = np.sin(2 * np.pi * hz * np.arange(10000) / sfreq)[None]
        found = zero_phase(tone, sfreq, low, high, order)[0, 4000:6000]
        at = np.tan(np.pi * hz / sfreq)
        x = (at - bent.prod() / at) / (bent[1] - bent[0])
        assert np.abs(found - tone[0, 4000:6000] / (1 + x ** (2 * order))).max() < 1e-6


def test_a_scipy_that_keeps_its_kernel_elsewhere_gives_the_same(monkeypatch):
    assert bandpass._kernel() is not None
    expected = zero_phase(drifting(), 500.0, 0.5, 45.0, 5)
    monkeypatch.setattr(bandpass, "load_kernel", lambda *place: None)
    bandpass._kernel.cache_clear()
    try:
        assert bandpass._kernel() is None
        assert np.array_equal(zero_phase(drifting(), 500.0, 0.5, 45.0, 5), expected)
    finally:
        bandpass._kernel.cache_clear()


def test_filtering_imports_the_kernel_alone():
    code = (
        "import sys, numpy as np\n"
        "from eavctl.features.eeg_preparation import prepare\n"
        "signal = np.random.default_rng(0).normal(size=(2, 2000))\n"
        "prepare(signal, 500.0, rate=100, low=0.5, high=45.0, order=5)\n"
        "assert not {'scipy.signal', 'scipy.stats', 'mne'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_reversed_signal_gives_a_reversed_result():
    """But for the first pass beginning at one end and not at the other, which shows at the ends alone."""
    signal = drifting(n_times=20000)
    forward = zero_phase(signal, 500.0, 1.0, 40.0, 4)
    backward = zero_phase(signal[:, ::-1], 500.0, 1.0, 40.0, 4)[:, ::-1]
    assert np.abs(forward - backward)[:, 6000:-6000].max() < 1e-8


def test_the_input_is_left_as_it_was():
    signal = drifting()
    before = signal.copy()
    zero_phase(signal, 500.0, 0.5, 45.0, 5)
    assert np.array_equal(signal, before)


# --- notches


def cascade(sfreq, low, high, order, notch):
    """Sections of scipy's notches and of its band-pass."""
    notches = [tf2sos(*iirnotch(hz, 30, fs=sfreq)) for hz in notch]
    return np.concatenate([*notches, butter(order, (low, high), "bandpass", fs=sfreq, output="sos")])


@pytest.mark.parametrize("notch", [(50,), (50, 60.5), (16.7,)])
@pytest.mark.parametrize("sfreq", [500.0, 160.0])
@pytest.mark.parametrize(("low", "high", "order"), [(0.5, 45, 5), (8, 30, 4)])
def test_notches_are_those_of_scipy_in_one_pass_with_the_band(sfreq, low, high, order, notch):
    signal, sections = drifting(n_times=12000), cascade(sfreq, low, high, order, notch)
    response = np.abs(sosfilt(sections, np.eye(1, 60 * 500)[0]))
    ringing = np.flatnonzero(response > 1e-3 * response.max())[-1]
    both = sosfiltfilt(sections, signal, axis=1, padlen=min(ringing, signal.shape[1] - 1))
    once = sosfilt(sections, signal, axis=1, zi=sosfilt_zi(sections)[:, None] * signal[:, :1])[0]
    assert np.abs(zero_phase(signal, sfreq, low, high, order, notch) - both).max() < 1e-8
    assert np.abs(causal(signal, sfreq, low, high, order, notch) - once).max() < 1e-8


def test_away_from_the_ends_a_notch_is_filtfilt_of_iirnotch_before_the_band_pass():
    signal = drifting(n_times=20000)
    notched = filtfilt(*iirnotch(50, 30, fs=500.0), signal, axis=1)
    expected = zero_phase(notched, 500.0, 0.5, 45, 5)[:, 5000:-5000]
    assert np.abs(zero_phase(signal, 500.0, 0.5, 45, 5, [50])[:, 5000:-5000] - expected).max() < 1e-4


@pytest.mark.parametrize("run", [zero_phase, causal])
def test_a_notch_removes_the_mains_and_keeps_what_is_beside(run):
    time = np.arange(30 * 500) / 500.0

    def left(hz, notch):
        return run(np.sin(2 * np.pi * hz * time)[None], 500.0, 0.5, 100, 3, notch)[0, 5000:10000].std()

    for hz in (50, 100 / 3):
        assert left(hz, [50, 100 / 3]) < 1e-6 * left(hz, [])
    for hz in (10, 25, 45, 57):
        assert left(hz, [50, 100 / 3]) == pytest.approx(left(hz, []), rel=0.05)


@pytest.mark.parametrize(("low", "high", "notch"), [(0.5, 45, [50]), (8, 30, [16.7]), (8, 30, [5, 50])])
def test_a_step_is_forgotten_with_notches_too(low, high, notch):
    sfreq, seconds = 500.0, settling_s(low, high, 5, notch)
    assert seconds >= settling_s(low, high, 5)
    step = np.concatenate([np.zeros(1), np.ones(round((seconds + 20) * sfreq))])[None]
    response = np.abs(causal(step, sfreq, low, high, 5, notch)[0])
    assert response[round(seconds * sfreq) :].max() < 3e-6 * response.max()

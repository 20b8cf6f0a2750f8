"""Resampling beside scipy's, at the ends too, and what a low-pass must do."""

import numpy as np
import pytest
from scipy.signal import firwin, resample_poly

from eavctl.errors import UsageError
from eavctl.signals import resampling
from eavctl.signals.resampling import ratio, resampled

RATES = [(500, 100), (160, 100), (128, 200), (500, 200), (249.876, 100), (1000, 7.3), (100, 999), (500, 499)]


@pytest.mark.parametrize("n_times", [34, 100, 1601, 10000])
@pytest.mark.parametrize(("sfreq", "rate"), RATES)
def test_it_is_resample_poly_to_rounding(sfreq, rate, n_times):
    """Also of signals shorter than the low-pass, whose reflections are reflected again."""
    up, down = ratio(sfreq, rate)
    slower = max(up, down)
    signal = np.random.default_rng(0).normal(size=(3, n_times)).cumsum(axis=1)
    low_pass = firwin(64 * slower + 1, 1 / slower, window=("kaiser", 8.0))
    expected = resample_poly(signal, up, down, axis=1, window=low_pass, padtype="antireflect")
    found = resampled(signal, up, down)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-10


@pytest.mark.parametrize("n_times", [34, 1601, 10000])
@pytest.mark.parametrize(("sfreq", "rate"), RATES)
def test_causal_values_are_those_of_the_samples_before_them(sfreq, rate, n_times):
    """A value is the convolution with the minimum-phase low-pass, the first sample repeated before it."""
    up, down = ratio(sfreq, rate)
    signal = np.random.default_rng(0).normal(size=(1, n_times)).cumsum(axis=1)
    low_pass = resampling._minimum_phase(resampling._low_pass(max(up, down)) * up)
    before = len(low_pass) // up + 1
    continued = np.concatenate([np.full(before, signal[0, 0]), signal[0]])
    found = resampled(signal, up, down, is_causal=True)[0]
    assert len(found) == -(-n_times * up // down)
    for i in (0, len(found) // 3, len(found) - 1):
        last = i * down // up
        taps = i * down - np.arange(last, last - before, -1) * up  # of the samples, from the last one back
        taps = taps[taps < len(low_pass)]
        assert found[i] == pytest.approx(
            low_pass[taps] @ continued[last + before - np.arange(len(taps))], abs=1e-9
        )


@pytest.mark.parametrize("slower", [2, 5, 8, 25, 125])
def test_the_causal_low_pass_has_the_same_gain_and_delays_less(slower):
    linear = resampling._low_pass(slower)
    causal = resampling._minimum_phase(linear)
    n = 16 * len(linear)
    gains = [np.abs(np.fft.rfft(each, n)) for each in (linear, causal)]
    assert np.abs(gains[0] - gains[1]).max() < 2e-5
    ramp = np.arange(len(linear))
    assert ramp @ causal < 2.5 * slower < 0.1 * (ramp @ linear)  # group delay at 0 Hz, in samples


def test_a_line_stays_a_line():
    time = np.arange(1000.0)
    assert np.allclose(resampled(3 + time[None], 2, 5), 3 + np.arange(400) * 2.5, rtol=1e-5)


def test_the_same_rate_changes_nothing():
    signal = np.random.default_rng(0).normal(size=(2, 50))
    assert resampled(signal, *ratio(250, 250)) is signal


def test_too_far():
    with pytest.raises(UsageError, match="from 1 to 1e\\+06 Hz is not possible"):
        ratio(1, 1e6)

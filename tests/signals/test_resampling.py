"""Resampling beside scipy's, at the ends too, and what a low-pass must do."""

import numpy as np
import pytest
from scipy.signal import firwin, resample_poly

from eavctl.errors import UsageError
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


def test_a_line_stays_a_line():
    time = np.arange(1000.0)
    assert np.allclose(resampled(3 + time[None], 2, 5), 3 + np.arange(400) * 2.5, rtol=1e-5)


def test_the_same_rate_changes_nothing():
    signal = np.random.default_rng(0).normal(size=(2, 50))
    assert resampled(signal, *ratio(250, 250)) is signal


def test_too_far():
    with pytest.raises(UsageError, match="from 1 to 1e\\+06 Hz is not possible"):
        ratio(1, 1e6)

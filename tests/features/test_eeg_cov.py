"""Covariances in bands: of sines, and of a band-pass beside them."""

import numpy as np
import pytest

from eavctl.errors import SignalError, UsageError
from eavctl.extraction.recipe import Recipe
from eavctl.features.covariances import matrices_of
from eavctl.features.eeg_cov import eeg_cov, shrunk
from eavctl.features.eeg_preparation import FLOOR

SFREQ = 128.0
CHANNELS = ["C3", "Cz", "C4"]


def test_a_sine_has_its_power_in_its_band_and_its_phase_in_the_covariance():
    time = np.arange(int(8 * SFREQ)) / SFREQ
    phases = np.array([0, np.pi / 3, np.pi])
    signal = 10 * np.sin(2 * np.pi * 10 * time + phases[:, None])
    alpha, beta = matrices_of(eeg_cov(signal, SFREQ, channels=CHANNELS, bands=[[8, 13], [13, 30]]), 2)
    share = np.trace(alpha) / 3  # shrinkage keeps the trace
    assert share == pytest.approx(50, rel=0.01)
    assert np.trace(beta) < 1e-3 * np.trace(alpha)
    expected = np.cos(phases - phases[:, None])
    beside = ~np.eye(3, dtype=bool)
    ratio = alpha[beside] / alpha[0, 0] / expected[beside]
    np.testing.assert_allclose(ratio, ratio[0], rtol=0.02)  # all shrunk alike
    assert 0.9 < ratio[0] < 1


@pytest.mark.parametrize(("n", "p"), [(200, 40), (50, 40), (30, 4), (512, 2)])
def test_shrinkage_is_the_limit_of_the_iterated_oracle(n, p):
    """Chen et al. 2010 define OAS so: the oracle, with its own last estimate in place of the truth."""
    x = np.random.default_rng(0).normal(size=(n, p)) * np.geomspace(1, 5, p)
    sample = x.T @ x / n
    target = np.trace(sample) / p * np.eye(p)
    estimate = sample
    for _ in range(2000):
        product, square = np.trace(estimate @ sample), np.trace(estimate) ** 2
        up = (1 - 2 / p) * product + square
        share = up / ((n + 1 - 2 / p) * product + (1 - n / p) * square)
        estimate = (1 - min(share, 1)) * sample + min(share, 1) * target
    np.testing.assert_allclose(shrunk(sample, n), estimate + FLOOR * np.eye(p), rtol=1e-6, atol=1e-9)


def test_matrices_are_positive_definite_with_fewer_samples_than_channels():
    rng = np.random.default_rng(0)
    found = matrices_of(eeg_cov(rng.normal(size=(40, 130)), SFREQ), 5)
    assert np.linalg.eigvalsh(found).min() > 0


def test_columns_name_band_and_channels():
    columns = Recipe("eeg-cov", {"channels": CHANNELS, "bands": [[8, 13]]}).columns
    assert columns[:3] == ("8-13Hz_cov_C3-C3", "8-13Hz_cov_C3-Cz", "8-13Hz_cov_C3-C4")
    assert len(columns) == 6


def test_bands_outside_of_the_pass_band_and_short_segments_are_refused():
    with pytest.raises(UsageError, match="30 to 60 Hz"):
        Recipe("eeg-cov", {"bands": [[30, 60]]})
    with pytest.raises(SignalError, match="short"):
        eeg_cov(np.random.default_rng(0).normal(size=(3, 100)), SFREQ, channels=CHANNELS)


def test_repeated_bands_are_refused_because_their_columns_would_have_equal_names():
    for bands in ([[8, 13], [13, 20], [8, 13]], [[8, 13], [8.0000001, 13]]):
        with pytest.raises(UsageError, match="8-13"):
            Recipe("eeg-cov", {"bands": bands})


def test_a_band_without_a_frequency_of_the_segment_is_refused():
    """Its matrix would be a constant, whatever the signal is."""
    signal = np.random.default_rng(0).normal(size=(3, 256))  # 2 s, one frequency each 0.5 Hz
    with pytest.raises(SignalError, match=r"8\.1 to 8\.4 Hz"):
        eeg_cov(signal, SFREQ, channels=CHANNELS, bands=[[8.1, 8.4]])
    assert np.linalg.matrix_rank(matrices_of(eeg_cov(signal, SFREQ, bands=[[8.1, 8.6]]), 1)) == 3

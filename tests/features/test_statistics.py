"""Statistics of contours, beside scipy and numpy."""

import numpy as np
import pytest
from scipy import stats

from eavctl.features import statistics


@pytest.fixture
def contours():
    return np.random.default_rng(0).gamma(2.0, size=(5, 201))


def test_distribution_is_scipys(contours):
    found = dict(zip(statistics.SHAPE_NAMES, statistics.distribution(contours).T, strict=True))
    assert found["mean"] == pytest.approx(contours.mean(axis=1))
    assert found["std"] == pytest.approx(contours.std(axis=1))
    assert found["skewness"] == pytest.approx(stats.skew(contours, axis=1))
    assert found["kurtosis"] == pytest.approx(stats.kurtosis(contours, axis=1, fisher=False))
    for q in statistics.PERCENTILES:
        assert found[f"p{q}"] == pytest.approx(np.percentile(contours, q, axis=1))
    assert found["iqr"] == pytest.approx(stats.iqr(contours, axis=1))


def test_one_frame_is_enough():
    assert np.isfinite(statistics.distribution(np.array([[3.0]]))).all()
    assert np.isfinite(statistics.slope(np.array([[3.0]]))).all()
    assert np.isfinite(statistics.correlations(np.array([[3.0], [4.0]]))).all()


def test_slope_of_a_line_is_its_rise_over_half_the_clip():
    assert statistics.slope(np.array([[0.0, 1, 2, 3, 4], [4.0, 3, 2, 1, 0]])) == pytest.approx([2, -2])


def test_delta_of_a_ramp_is_its_step():
    ramp = np.arange(20.0)[None] * 3
    assert statistics.delta(ramp)[0, 2:-2] == pytest.approx(np.full(16, 3.0))


def test_correlations_are_numpys_and_constants_give_zero(contours):
    with_constant = np.vstack([contours, np.ones(201)])
    found = statistics.correlations(with_constant)
    expected = np.arctanh(np.corrcoef(contours)[np.triu_indices(5, 1)])
    rows, columns = np.triu_indices(6, 1)
    assert found[(rows < 5) & (columns < 5)] == pytest.approx(expected)
    assert found[columns == 5] == pytest.approx(np.zeros(5))


def test_delayed_correlations_find_the_delay():
    rng = np.random.default_rng(3)
    leader = np.convolve(rng.normal(size=500), np.ones(3), "same")
    follower = np.roll(leader, 12)
    contours, active = np.stack([leader, follower, np.ones(500)]), np.ones(500, bool)
    at = {delay: statistics.delayed_correlations(contours, active, delay) for delay in (1, 12, 25)}
    assert at[12][0, 1] > 2  # the follower repeats the leader: all but 1, before Fisher's transform
    assert max(abs(at[delay][0, 1]) for delay in (1, 25)) < 0.3
    assert abs(at[12][1, 0]) < 0.3  # and not the other way round
    assert (at[12][2] == 0).all()
    expected = np.arctanh(np.corrcoef(leader[:-25], follower[25:])[0, 1])
    assert at[25][0, 1] == pytest.approx(expected)


def test_delayed_correlations_leave_pauses_out():
    rng = np.random.default_rng(4)
    contours, active = rng.normal(size=(3, 400)), np.ones(400, bool)
    active[150:250] = False
    spoilt = np.where(active, contours, 1e3)
    found = [statistics.delayed_correlations(values, active, 12) for values in (contours, spoilt)]
    assert found[0] == pytest.approx(found[1])


@pytest.mark.parametrize("n_frames", [1, 11, 25, 30])
def test_delayed_correlations_of_short_contours_are_neutral(n_frames):
    contours = np.random.default_rng(5).normal(size=(3, n_frames))
    assert (statistics.delayed_correlations(contours, np.ones(n_frames, bool), 25) == 0).all()


def test_regression_slope_is_the_line_and_a_steady_driver_gives_zero():
    driver = np.random.default_rng(6).normal(size=300)
    contours = np.stack([3 * driver + 7, -0.5 * driver])
    assert statistics.regression_slopes(contours, driver, 0.0) == pytest.approx([3, -0.5])
    assert statistics.regression_slopes(contours, np.full(300, 4.0), 10.0) == pytest.approx([0, 0])


def test_upper_minus_lower_of_a_ramp():
    ramp = np.arange(101.0)
    assert statistics.upper_minus_lower(np.stack([ramp, -2 * ramp]), ramp) == pytest.approx([75, -150])
    assert statistics.upper_minus_lower(ramp[None], np.ones(101)) == pytest.approx([0])


@pytest.mark.parametrize("n_frames", [1, 2, 3, 4, 5, 98, 99, 100, 101])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_upper_minus_lower_is_that_beyond_the_quartiles(n_frames, dtype):
    rng = np.random.default_rng(n_frames)
    for driver in (rng.normal(size=n_frames), rng.integers(0, 6, n_frames)):
        driver, contours = driver.astype(dtype), rng.normal(size=(3, n_frames)).astype(dtype)
        low, high = np.percentile(driver.astype(float), [25, 75])
        upper, lower = contours[:, driver >= high], contours[:, driver <= low]
        expected = upper.mean(axis=1) - lower.mean(axis=1)
        assert statistics.upper_minus_lower(contours, driver) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("value", [0.1, -73.3, 1e6])
@pytest.mark.parametrize("n_frames", [1, 7, 351])
def test_a_constant_has_no_spread_and_no_shape(value, n_frames):
    contours = np.full((2, n_frames), value, np.float32)
    found = dict(zip(statistics.SHAPE_NAMES, statistics.distribution(contours).T, strict=True))
    for name in ("std", "skewness", "kurtosis", "iqr", "range"):
        assert (found[name] == 0).all(), name
    assert (found["mean"] == np.float32(value)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_values", [1, 2, 7, 100])
def test_medians_are_numpys(n_values, dtype):
    values = np.random.default_rng(n_values).normal(size=n_values).astype(dtype)
    assert statistics.median(values) == np.median(values)
    assert statistics.median(values).dtype == np.median(values).dtype

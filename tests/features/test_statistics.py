"""Statistics of contours, beside scipy and numpy."""

import numpy as np
import pytest
from scipy import stats

from eavctl.features import statistics
from eavctl.features.normalize import standardize_by_group


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


def test_standardising_by_group_takes_away_what_the_group_adds():
    rng = np.random.default_rng(1)
    x, groups = rng.normal(size=(40, 3)), np.repeat(["a", "b"], 20)
    shifted = x + np.where(groups == "a", 5.0, -3.0)[:, None] * [1, 2, 0]
    shifted[groups == "b"] *= 7
    assert standardize_by_group(shifted, groups) == pytest.approx(standardize_by_group(x, groups), abs=1e-5)


def test_standardising_constants_and_single_rows_gives_zeros():
    x = np.array([[1.0, 2.0], [1.0, 4.0], [9.0, 9.0]], np.float32)
    found = standardize_by_group(x, np.array(["a", "a", "b"]))
    assert found.tolist() == [[0, -1], [0, 1], [0, 0]]


def test_tensors_are_standardised_by_band_over_rows_and_time():
    x = np.random.default_rng(2).normal(3, 2, size=(4, 5, 50)).astype(np.float32)
    found = standardize_by_group(x, np.array(list("aabb")))
    assert found[:2].mean(axis=(0, 2)) == pytest.approx(np.zeros(5), abs=1e-5)
    assert found[:2].std(axis=(0, 2)) == pytest.approx(np.ones(5), abs=1e-5)

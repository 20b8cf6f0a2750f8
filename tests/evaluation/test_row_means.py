"""Means with intervals over clusters: beside counted scores, coverage on simulated scenes, and exchanges."""

import itertools

import numpy as np
import pytest

from eavctl.errors import DataError
from eavctl.evaluation.intervals import Clusters, paired_difference, score_intervals
from eavctl.evaluation.row_means import mean_difference, mean_interval


def scenes(of_row):
    of_row = np.asarray(of_row)
    return Clusters(of_row, int(of_row.max()) + 1, "clips", of_row)


def simulated(rng, n_scenes, rows_a_scene=3):
    """Overlaps of 0 to 1 in scenes that differ, and the mean of the population."""
    skills = rng.beta(4, 2, n_scenes)
    of_row = np.repeat(np.arange(n_scenes), rows_a_scene)
    return scenes(of_row), rng.beta(6 * skills[of_row] + 0.1, 6 * (1 - skills[of_row]) + 0.1)


def test_of_values_0_and_1_it_is_the_interval_of_accuracy():
    rng = np.random.default_rng(0)
    clusters = scenes(np.arange(120))
    right = (rng.random(120) < 0.7).astype(int)
    found = mean_interval(clusters, right)
    counted = score_intervals(clusters, np.zeros(120, int), 1 - right, 2)["accuracy"]
    assert found.value == pytest.approx(right.mean())
    assert (found.low, found.high) == pytest.approx((counted.low, counted.high), abs=0.01)


def test_it_covers_the_mean_of_the_population():
    rng = np.random.default_rng(1)
    true = simulated(rng, 200_000, 1)[1].mean()
    hits = []
    for _ in range(300):
        found = mean_interval(*simulated(rng, 20))
        hits.append(found.low <= true <= found.high)
    assert np.mean(hits) > 0.92


def test_rows_of_a_scene_are_not_independent():
    rng = np.random.default_rng(2)
    clusters, values = simulated(rng, 30)
    thrice = scenes(np.repeat(clusters.of_row, 3))
    one, copied = mean_interval(clusters, values), mean_interval(thrice, np.repeat(values, 3))
    assert (copied.low, copied.high) == pytest.approx((one.low, one.high), abs=1e-9)


def test_perfect_answers_are_not_certain():
    found = mean_interval(scenes(np.arange(30)), np.ones(30))
    assert found.value == found.high == 1
    assert 0.8 < found.low < 0.95


def test_seeds_that_differ_widen_the_interval():
    rng = np.random.default_rng(3)
    clusters, values = simulated(rng, 60)
    alike = np.stack([values] * 3)
    apart = np.clip(alike + np.array([[-0.2], [0.0], [0.2]]), 0, 1)
    near, far = mean_interval(clusters, alike), mean_interval(clusters, apart)
    assert near.high - near.low < 0.7 * (far.high - far.low)


def test_the_p_value_is_the_share_of_exchanges_at_least_as_far_apart():
    rng = np.random.default_rng(4)
    clusters = scenes(np.repeat(np.arange(8), 2))
    first, second = rng.random(16), rng.random(16)
    gains = (first - second).reshape(8, 2).sum(axis=1)
    sums = [abs(np.dot(signs, gains)) for signs in itertools.product([1, -1], repeat=8)]
    expected = np.mean(np.array(sums) >= abs(gains.sum()) - 1e-12)
    assert mean_difference(clusters, first, second).p_value == pytest.approx(expected)


def test_a_difference_is_that_of_the_paired_comparison_of_answers():
    rng = np.random.default_rng(5)
    clusters = scenes(np.arange(100))
    first, second = (rng.random((2, 100)) < [[0.8], [0.6]]).astype(int)
    found = mean_difference(clusters, first, second)
    counted = paired_difference(clusters, np.zeros(100, int), 1 - first, 1 - second, 1)
    assert found.interval.value == pytest.approx(counted.interval.value)
    assert (found.interval.low, found.interval.high) == pytest.approx(
        (counted.interval.low, counted.interval.high), abs=0.02
    )
    assert found.p_value == counted.p_value


def test_equal_models_do_not_differ_and_nothing_is_no_score():
    clusters, values = simulated(np.random.default_rng(6), 10)
    found = mean_difference(clusters, values, values)
    assert (found.interval.low, found.interval.high, found.p_value) == (0, 0, 1)
    with pytest.raises(DataError):
        mean_interval(Clusters(np.empty(0, int), 0, "clips", np.empty(0, int)), np.empty(0))

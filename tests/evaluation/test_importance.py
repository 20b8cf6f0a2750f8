"""What a classifier answers without some columns, against a loop over the donors written apart."""

import numpy as np
import pytest

from eavctl.evaluation.importance import VALUES_AT_ONCE, draw_donors, without


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_few_rows_are_all_donors_once(rng):
    donors = draw_donors(np.array(list("abacab")), rng, 6)
    assert sorted(donors) == list(range(6))


def test_donors_of_many_rows_have_the_shares_of_the_labels(rng):
    labels = np.repeat(["a", "b", "c"], [100, 50, 30])
    donors = draw_donors(labels, rng, 18)
    assert len(np.unique(donors)) == 18
    counts = dict(zip(*np.unique(labels[donors], return_counts=True), strict=True))
    for name, expected in (("a", 10), ("b", 5), ("c", 3)):
        assert abs(counts[name] - expected) <= 1


@pytest.mark.parametrize("columns", [[0], [1, 3], [0, 1, 2, 3]])
def test_the_mean_over_donors_is_that_of_a_slow_loop(rng, columns):
    x, weights = rng.normal(size=(7, 4)), rng.normal(size=(4, 3))

    def predict(rows):
        return softmax(rows @ weights)

    donors = draw_donors(np.array(list("aaabbbb")), rng, 5)
    expected = np.zeros((7, 3))
    for row in range(7):
        for donor in donors:
            changed = x[row].copy()
            changed[columns] = x[donor, columns]
            expected[row] += predict(changed[None])[0] / 5
    np.testing.assert_allclose(without(predict, x, np.array(columns), donors), expected, atol=1e-12)


def test_without_any_column_all_rows_have_the_same_probabilities(rng):
    x = rng.normal(size=(20, 3))
    found = without(softmax, x, np.arange(3), draw_donors(np.zeros(20), rng))
    np.testing.assert_allclose(found, np.tile(found[:1], (20, 1)), atol=1e-12)


def test_ignored_columns_change_nothing_at_all(rng):
    x = rng.normal(size=(30, 5))

    def predict(rows):
        return softmax(rows[:, [0, 2]])

    donors = draw_donors(np.zeros(30), rng)
    np.testing.assert_array_equal(without(predict, x, np.array([1, 3, 4]), donors), predict(x))


def test_donors_are_taken_a_few_at_a_time_where_rows_are_wide(rng, monkeypatch):
    x, sizes = rng.normal(size=(10, 4)), []
    monkeypatch.setattr("eavctl.evaluation.importance.VALUES_AT_ONCE", 80)
    assert VALUES_AT_ONCE > 80

    def predict(rows):
        sizes.append(len(rows))
        return softmax(rows)

    donors = draw_donors(np.zeros(10), rng, 8)
    few = without(predict, x, np.array([0]), donors)
    assert max(sizes) == 20
    monkeypatch.undo()
    np.testing.assert_allclose(without(softmax, x, np.array([0]), donors), few, atol=1e-12)

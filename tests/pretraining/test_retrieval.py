"""Recall at 1 beside a brute-force count."""

import numpy as np
import pytest

from eavctl.pretraining.retrieval import hits_at_1


def counted(queries, gallery):
    """One query at a time, one candidate at a time."""
    hits = []
    for i, query in enumerate(queries):
        cosines = [query @ each / np.sqrt((query @ query) * (each @ each)) for each in gallery]
        hits.append(float(all(cosines[i] > each for j, each in enumerate(cosines) if j != i)))
    return hits


@pytest.mark.parametrize(("n", "dim", "noise"), [(1, 2, 0.1), (5, 3, 1.0), (40, 4, 0.5), (300, 6, 0.3)])
def test_hits_are_those_of_a_brute_force_count(n, dim, noise):
    rng = np.random.default_rng(n)
    gallery = rng.normal(size=(n, dim))
    queries = 5 * gallery + noise * rng.normal(size=(n, dim))
    found = hits_at_1(queries, gallery)
    assert found.tolist() == counted(queries, gallery)
    assert n == 1 or 0 < found.mean() <= 1


def test_equal_rows_reach_chance():
    alike = np.ones((7, 3))
    assert hits_at_1(alike, alike).tolist() == pytest.approx([1 / 7] * 7)
    pairs = np.repeat(np.eye(3), 2, axis=0)
    assert hits_at_1(pairs, pairs).tolist() == [0.5] * 6


def test_rows_of_zeros_find_nothing_in_particular():
    found = hits_at_1(np.zeros((4, 2)), np.eye(4, 2) + 1)
    assert np.isfinite(found).all()
    assert found.tolist() == [0.25] * 4

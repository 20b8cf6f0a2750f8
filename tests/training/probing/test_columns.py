"""Columns of a linear probe: statistics of all training rows, and fewer columns that give the same."""

from __future__ import annotations

import numpy as np
import pytest

from eavctl.classifiers import linear
from eavctl.classifiers.streams import RowsOf
from eavctl.training.probing.columns import compact, standardised


def made(n_rows, n_columns, seed=0):
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(n_rows, n_columns)) * rng.uniform(0.1, 5, n_columns) + 3).astype(np.float32)
    y = rng.integers(0, 3, n_rows)
    x[:, :4] += y[:, None]
    return x, np.array(["a", "b", "c"])[y]


def proba(columns, labels, labelled, test):
    model = linear.fit(
        RowsOf(columns.x, labelled), labels[labelled], scaling=columns.scaling, penalties=(1e-3,)
    )
    return model.predict_proba(RowsOf(columns.x, test)[:])


def test_statistics_are_of_the_training_rows_labelled_or_not():
    x, _ = made(60, 5)
    train = np.arange(40)
    scaling = standardised(x, train).scaling
    np.testing.assert_allclose(scaling.mean, x[:40].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(scaling.scale, x[:40].std(axis=0), rtol=1e-5)
    far = x.copy()
    far[40:] += 100
    np.testing.assert_array_equal(standardised(far, train).scaling.mean, scaling.mean)


@pytest.mark.parametrize("n_labelled", [15, 40])
def test_coordinates_give_the_same_probabilities_as_all_columns(n_labelled):
    x, labels = made(60, 200)
    x[:, 7] = 2  # a column that does not vary
    train, test, labelled = np.arange(40), np.arange(40, 60), np.arange(n_labelled)
    full, few = standardised(x, train), compact(x, train)
    assert few.x.shape[1] < 40 < full.x.shape[1]
    np.testing.assert_allclose(
        proba(few, labels, labelled, test), proba(full, labels, labelled, test), atol=2e-3
    )


def test_few_columns_stay_as_they_are():
    x, _ = made(60, 30)
    assert compact(x, np.arange(40)).x is x

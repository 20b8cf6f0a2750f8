"""A logistic regression of one penalty: the weights that the whole fit finds."""

from __future__ import annotations

import numpy as np

from eavctl.classifiers import linear
from eavctl.classifiers.logistic import Scaling


def test_weights_are_those_of_a_fit_with_this_penalty_alone():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 12)
    x = (rng.normal(size=(36, 5)) + y[:, None]).astype(np.float32)
    model = linear.fit(x, np.array(["a", "b", "c"])[y], penalties=(1e-2,))
    coef, intercept = linear.solved(x, y, 1e-2)
    np.testing.assert_array_equal(coef, model.coef)
    np.testing.assert_array_equal(intercept, model.intercept)


def test_a_scaling_of_more_rows_is_taken_as_it_is():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 5)
    x = (rng.normal(size=(10, 3)) + y[:, None]).astype(np.float32)
    more = np.concatenate([x, rng.normal(size=(50, 3)).astype(np.float32) * 4])
    scaling = Scaling.of(more, np.arange(60), np.zeros(60, int), np.ones(60), map)
    coef, intercept = linear.solved(x, y, 1e-2, scaling=scaling)
    z = (x - scaling.mean) / scaling.scale
    unit = Scaling(
        np.zeros(3, np.float32), np.ones(3, np.float32), np.ones(3, bool), np.zeros((1, 3), np.float32)
    )
    expected, shift = linear.solved(z, y, 1e-2, scaling=unit)
    np.testing.assert_allclose(x @ coef.T + intercept, z @ expected.T + shift, atol=1e-3)

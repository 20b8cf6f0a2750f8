"""Patterns of linear scores, against the analytic answer of the textbook's example."""

import numpy as np
import pytest

from eavctl.classifiers import linear
from eavctl.classifiers.patterns import patterns, standard_patterns


def two_channels(n=4000, seed=0):
    """Haufe et al., section 2.1: channel 1 has signal and noise, channel 2 the noise alone."""
    rng = np.random.default_rng(seed)
    signal, noise = rng.normal(size=(2, n))
    return signal, np.column_stack([signal + noise, noise])


def test_the_channel_that_only_cancels_noise_has_a_weight_and_no_pattern():
    signal, x = two_channels()
    scores = x @ np.array([1.0, -1.0])  # the best weights: they recover the signal
    np.testing.assert_allclose(scores, signal)
    found = patterns(x, scores[:, None])[:, 0]
    covariance = np.cov(x.T, bias=True)
    weights = np.array([1.0, -1.0])
    analytic = covariance @ weights / (weights @ covariance @ weights)
    np.testing.assert_allclose(found, analytic, atol=1e-12)
    np.testing.assert_allclose(found, [1, 0], atol=0.05)  # the true pattern, but for chance


def test_a_fitted_model_has_the_same_pattern():
    signal, x = two_channels(1000)
    names = np.where(signal > 0, "yes", "no")
    model = linear.fit(x.astype(np.float32), names, penalties=(1e-4,))
    assert abs(model.coef[1, 1]) > 0.5 * abs(model.coef[1, 0])
    found = standard_patterns(x, model.decision_function(x))[:, 1]
    correlation = np.corrcoef(x[:, 0], model.decision_function(x)[:, 1])[0, 1]  # what it is for two classes
    assert found[0] == pytest.approx(correlation, abs=1e-6)
    assert found[0] > 0.6
    assert abs(found[1]) < 0.1


def test_several_scores_have_the_mixing_matrix():
    """With as many sources as scores, and noise in none, the patterns are the columns of the mixture."""
    rng = np.random.default_rng(1)
    sources, mixing = rng.normal(size=(500, 3)), rng.normal(size=(3, 5))
    np.testing.assert_allclose(patterns(sources @ mixing, sources), mixing.T, atol=1e-10)


def test_scores_of_a_softmax_depend_on_each_other():
    rng = np.random.default_rng(2)
    x, scores = rng.normal(size=(300, 4)), rng.normal(size=(300, 3))
    centred = scores - scores.mean(axis=1, keepdims=True)
    found = patterns(x, centred)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-10)


def test_constants_have_no_pattern():
    x, scores = np.ones((9, 2)), np.arange(9.0)[:, None]
    np.testing.assert_array_equal(standard_patterns(x, scores), 0)
    np.testing.assert_array_equal(standard_patterns(scores, np.ones((9, 1))), 0)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_standard_patterns_do_not_depend_on_units(factor):
    rng = np.random.default_rng(4)
    x, weights = rng.normal(size=(200, 3)), rng.normal(size=(3, 2))
    np.testing.assert_allclose(
        standard_patterns(x * factor, x @ weights), standard_patterns(x, 10 * x @ weights), atol=1e-9
    )

"""Probabilities that hold for classes as they come, and answers that serve the mean recall."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import optimize
from scipy.special import log_softmax

from eavctl.classifiers.calibration import (
    BIAS_DEVIATION,
    SCALE_DEVIATION,
    Calibration,
    balanced,
    decide,
    fit_calibration,
    fit_scale,
    members_of,
    nll,
    priors_of,
    softmax,
    uar,
)
from eavctl.errors import DataError
from eavctl.evaluation.metrics import classwise_calibration_error

SHARES = np.array([0.55, 0.3, 0.15])


def balanced_logits(n: int, seed: int = 0, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of classes of those shares, and the logits that a classifier of balanced weights has at best.

    A row is drawn from a Gaussian around its class's corner; the logits are those of Bayes for equal priors.
    """
    rng = np.random.default_rng(seed)
    y = rng.choice(3, n, p=SHARES)
    x = 1.2 * np.eye(3)[y] + rng.normal(size=(n, 3))
    return scale * 1.2 * x, y


@pytest.mark.parametrize("scale", [0.2, 1.0, 5.0])
def test_scale_and_biases_are_recovered(scale: float) -> None:
    """By Bayes the biases of balanced logits are the logarithms of the classes' shares."""
    logits, y = balanced_logits(20_000, scale=scale)
    found = fit_calibration(logits, y, np.bincount(y))
    assert found.scale == pytest.approx(1 / scale, rel=0.05)
    expected = np.log(SHARES) - np.log(SHARES).mean()
    assert found.bias == pytest.approx(expected, abs=0.06)
    new, truth = balanced_logits(20_000, seed=1, scale=scale)
    assert found(new).mean(axis=0) == pytest.approx(SHARES, abs=0.01)
    assert classwise_calibration_error(truth, found(new)) < 0.015
    assert classwise_calibration_error(truth, softmax(new / scale)) > 0.08  # temperature alone, as it was


def test_the_optimum_is_that_of_another_optimiser() -> None:
    """The same posterior written anew, over unscaled logits and without a gradient, from two other starts."""
    logits, y = balanced_logits(120)
    counts = np.array([300, 20, 80])
    found = fit_calibration(logits, y, counts)
    expected = np.log(counts) - np.log(counts).mean()
    size = np.sqrt(np.mean((logits - logits.mean(axis=1, keepdims=True)) ** 2))

    def loss(p: np.ndarray) -> float:
        likelihood = log_softmax(p[0] * logits + p[1:], axis=1)[np.arange(len(y)), y].sum()
        bias_deviation, scale_deviation = BIAS_DEVIATION, SCALE_DEVIATION
        priors = (((p[1:] - expected) / bias_deviation) ** 2).sum() + (p[0] * size / scale_deviation) ** 2
        return float(priors / 2 - likelihood)

    for start in (np.ones(4), np.array([0.1, 3.0, -1.0, 0.0])):
        other = optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-6})
        assert [found.scale, *found.bias] == pytest.approx(other.x.tolist(), abs=1e-4)


def test_without_rows_the_biases_are_those_of_the_shares() -> None:
    found = fit_calibration(np.empty((0, 3)), np.empty(0, int), np.array([80, 20, 0]))
    assert found.scale == 1
    assert found.bias.sum() == pytest.approx(0, abs=1e-5)
    assert np.exp(found.bias[0] - found.bias[1]) == pytest.approx(4, rel=1e-4)
    assert np.isfinite(found.bias[2])
    assert found.bias[2] < found.bias[1] - 2  # a class without rows is rarer than one of a few


def test_a_class_without_held_out_rows_keeps_about_its_share() -> None:
    """Twelve rows of two classes say little of the third, which had a fifth of the training rows."""
    logits, y = balanced_logits(60)
    kept = np.flatnonzero(y < 2)[:12]
    found = fit_calibration(logits[kept], y[kept], np.array([44, 20, 16]))
    assert 0.03 < found(np.zeros((1, 3)))[0, 2] < 0.25


def test_logits_that_tell_all_classes_apart_do_not_make_certain() -> None:
    y = np.arange(12) % 3
    proba = fit_calibration(100.0 * np.eye(3)[y], y, np.bincount(y))(100.0 * np.eye(3))
    assert 0.9 < proba.max() < 0.9999


def test_logits_that_tell_nothing_or_the_opposite_keep_their_order() -> None:
    y = np.arange(90) % 3
    for logits in (np.eye(3)[(y + 1) % 3], np.zeros((90, 3))):
        found = fit_calibration(logits, y, np.bincount(y))
        assert found.scale > 0
        assert found(logits) == pytest.approx(np.full((90, 3), 1 / 3), abs=0.02)
        assert (found(np.eye(3)).argmax(axis=1) == np.arange(3)).all()


def test_biases_only_help_the_likelihood_of_the_rows_they_are_fitted_on() -> None:
    logits, y = balanced_logits(300)
    found = fit_calibration(logits, y, np.bincount(y))
    assert nll(found(logits), y) < nll(softmax(logits), y)


def test_the_last_digits_of_logits_do_not_show() -> None:
    logits, y = balanced_logits(200)
    one, other = (fit_calibration(each, y, np.bincount(y)) for each in (logits, logits * (1 + 1e-15)))
    assert (one.scale, one.bias.tolist()) == (other.scale, other.bias.tolist())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_finite_have_no_probabilities(bad: float) -> None:
    with pytest.raises(DataError, match="not finite"):
        Calibration(1.0, np.zeros(3))(np.array([[0, 1, 2], [0, bad, 1]]))


def test_answers_by_the_rule_have_the_best_mean_recall() -> None:
    """No weighting of the classes answers with a better mean recall than dividing by their shares."""
    logits, y = balanced_logits(60_000)
    proba = softmax(logits + np.log(SHARES))
    best = uar(decide(proba, SHARES), y)
    assert best > uar(proba.argmax(axis=1), y) + 0.03
    for weights in np.random.default_rng(0).dirichlet(np.ones(3), 40):
        assert uar(decide(proba, weights), y) < best + 0.004


def test_equal_priors_give_the_likeliest_class() -> None:
    proba = np.random.default_rng(0).dirichlet(np.ones(4), 200)
    assert (decide(proba, np.full(4, 0.25)) == proba.argmax(axis=1)).all()
    assert balanced(proba, np.full(4, 0.25)) == pytest.approx(proba)


def test_a_class_that_was_never_trained_on_is_no_answer() -> None:
    assert decide(np.array([[0.1, 0.2, 0.7], [0.0, 0.0, 1.0]]), np.array([0.8, 0.2, 0.0])).tolist() == [1, 0]


def test_files_of_older_versions_have_biases_of_0_and_equal_priors() -> None:
    old = {"classes": ["a", "b"], "temperatures": [2.0, 0.5]}
    assert [(each.scale, each.bias.tolist()) for each in members_of(old)] == [(0.5, [0, 0]), (2, [0, 0])]
    assert priors_of(old).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    "damage",
    [
        {"biases": [[0.0, 0.0]]},
        {"biases": [[0.0], [0.0]]},
        {"priors": [1.0]},
        {"priors": [2.0, -1.0]},
        {"priors": [0.0, 0.0]},
        {"temperatures": [0.0, 1.0]},
    ],
)
def test_parts_that_do_not_fit_are_refused(damage: dict[str, list[float]]) -> None:
    meta = json.loads(json.dumps({"classes": ["a", "b"], "temperatures": [2.0, 0.5], **damage}))
    with pytest.raises(ValueError, match="."):
        (members_of(meta), priors_of(meta))


def test_on_several_data_sets_the_scale_is_between_theirs_and_the_biases_are_those_of_the_shares() -> None:
    """Two data sets of unequal shares and unequal scales; one row count is ten times the other's."""
    one, y_one = balanced_logits(4000, scale=0.5)
    other, y_other = balanced_logits(400, seed=1, scale=2.0)
    logits, y = np.concatenate([one, other]), np.concatenate([y_one, y_other])
    weights = np.repeat([1 / 4000, 1 / 400], [4000, 400])
    found = fit_calibration(logits, y, np.bincount(y), weights)
    expected = np.log(np.bincount(y))
    assert found.bias == pytest.approx(expected - expected.mean(), abs=1e-4)
    assert 0.5 < found.scale < 2.0
    twice = np.concatenate([np.arange(4000), np.tile(np.arange(4000, 4400), 10)])
    assert fit_calibration(logits[twice], y[twice], np.bincount(y), np.ones(8000)).scale == pytest.approx(
        found.scale, rel=1e-3
    )


def test_weights_of_one_scale_find_it() -> None:
    logits, y = balanced_logits(20_000, scale=3.0)
    found = fit_calibration(logits, y, np.bincount(y), np.ones(len(y)))
    assert found.scale == pytest.approx(1 / 3, rel=0.05)


def test_a_scale_is_found_whatever_the_bias_of_each_row_is() -> None:
    logits, y = balanced_logits(20_000, scale=3.0)
    bias = np.random.default_rng(0).normal(size=logits.shape)
    found = fit_scale(logits - 3.0 * bias, y, bias, np.ones(len(y)))
    assert found == pytest.approx(1 / 3, rel=0.05)

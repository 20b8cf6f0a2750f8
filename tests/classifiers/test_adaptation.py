"""Rows are adapted to a classifier: their scale by speaker and data set, their classes by the priors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from eavctl.classifiers.adaptation import BALANCE, DATASET, SPEAKER, Origin, adapt, balanced_means
from eavctl.classifiers.calibration import Calibration, softmax

EVEN = np.full(3, 1 / 3)


def skewed(n_rows: int = 60, seed: int = 0) -> np.ndarray:
    """Probabilities by which the first class is far too likely."""
    return softmax(np.random.default_rng(seed).normal([1.5, 0, -0.5], size=(n_rows, 3)))


def origin(n_rows: int, speakers: list[str] | None = None, datasets: list[str] | None = None) -> Origin:
    return Origin(
        np.array(datasets or ["here"] * n_rows), np.array(speakers or [""] * n_rows), np.arange(n_rows)
    )


@dataclass
class Constant:
    """Gives these probabilities whatever the features are, by decision values twice as large."""

    proba: np.ndarray
    priors: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    calibration = Calibration(0.5, np.zeros(3))

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(2 * np.log(self.proba))


@pytest.mark.parametrize("priors", [EVEN, np.array([0.5, 0.3, 0.2]), np.array([0.6, 0.4, 0])])
def test_the_mean_of_each_class_goes_a_stated_part_of_the_way_to_its_prior(priors: np.ndarray) -> None:
    before = skewed() * (priors > 0)
    before /= before.sum(axis=1, keepdims=True)
    after = balanced_means(before, priors)
    expected = BALANCE * priors + (1 - BALANCE) * before.mean(axis=0)
    np.testing.assert_allclose(after.mean(axis=0), expected, atol=1e-6)
    np.testing.assert_allclose(after.sum(axis=1), 1)


def test_one_factor_for_each_class_is_all_that_changes() -> None:
    before = skewed()
    odds = balanced_means(before, EVEN) / before
    ratios = odds / odds[:, :1]
    np.testing.assert_allclose(ratios, np.broadcast_to(ratios[0], ratios.shape), rtol=1e-9)
    assert ratios[0, 2] > ratios[0, 1] > 1


def test_probabilities_whose_means_are_the_priors_stay() -> None:
    before = skewed()
    np.testing.assert_allclose(balanced_means(before, before.mean(axis=0)), before, atol=1e-9)


def test_certain_probabilities_stay_finite() -> None:
    before = np.eye(3)[[0] * 19 + [1]]
    after = balanced_means(before, EVEN)
    assert np.isfinite(after).all()
    np.testing.assert_allclose(after.sum(axis=1), 1)


def test_each_data_set_is_balanced_by_itself() -> None:
    one, two = skewed(30, 1), skewed(30, 2)[:, ::-1]
    model = Constant(np.concatenate([one, two]), EVEN, np.zeros(2), np.ones(2))
    found = adapt(np.zeros((60, 2), np.float32), origin(60, datasets=["a"] * 30 + ["b"] * 30), model).proba
    expected = np.concatenate([balanced_means(one, EVEN), balanced_means(two, EVEN)])
    np.testing.assert_allclose(found, expected)


def test_rows_by_speaker_and_by_data_set_have_a_scale_each() -> None:
    proba, names = skewed(), ["a"] * 30 + [""] * 30
    model = Constant(proba, proba.mean(axis=0), np.zeros(2), np.ones(2))
    found = adapt(np.zeros((60, 2), np.float32), origin(60, names), model, {SPEAKER: 1.5, DATASET: 0.5}).proba
    shifts = np.log(found) - np.repeat([3.0, 1.0], 30)[:, None] * np.log(proba)
    shifts -= shifts[:, :1]
    np.testing.assert_allclose(shifts, np.broadcast_to(shifts[0], shifts.shape), atol=1e-9)


def test_rows_are_by_speaker_where_the_speaker_has_ten_recordings() -> None:
    names = ["a"] * 10 + ["b"] * 9 + [""] * 12
    assert origin(31, names).by.tolist() == [SPEAKER] * 10 + [DATASET] * 21
    in_two = origin(31, names, ["x"] * 5 + ["y"] * 26)  # of one name, and not one person
    assert in_two.by.tolist() == [DATASET] * 31
    few = Origin(np.array(["x"] * 12), np.array(["a"] * 12), np.arange(12) // 2)  # six of two segments
    assert few.by.tolist() == [DATASET] * 12
    assert origin(31, names).without_speakers().by.tolist() == [DATASET] * 31

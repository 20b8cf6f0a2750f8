"""Effect sizes of shortcuts against their closed forms and scipy's, and their permutation tests."""

import math

import numpy as np
import pytest
from scipy import stats

from eavctl.evaluation.findings.shortcuts import of_kinds, of_numbers


def test_kinds_that_are_the_classes_have_an_effect_of_one():
    labels = ["a", "b", "c"] * 10
    told = of_kinds(labels, labels)
    assert told.effect == pytest.approx(1.0)
    assert told.is_strong


def test_kinds_that_every_class_has_alike_have_none():
    labels = ["a"] * 10 + ["b"] * 10
    assert of_kinds(labels, [".wav", ".mp3"] * 10).effect == pytest.approx(0.0)


def test_the_effect_of_kinds_is_cramers_v():
    rng = np.random.default_rng(0)
    labels, kinds = rng.integers(0, 3, 200), rng.integers(0, 4, 200)
    table = np.zeros((3, 4))
    np.add.at(table, (labels, kinds), 1)
    expected = stats.contingency.association(table.astype(int), method="cramer")
    assert of_kinds(labels.astype(str), kinds.astype(str)).effect == pytest.approx(expected)


@pytest.mark.parametrize(
    ("labels", "kinds"), [([], []), (["a"], ["x"]), (["a", "a"], ["x", "y"]), (["a", "b"], ["x", "x"])]
)
def test_one_class_or_one_kind_tells_nothing(labels, kinds):
    assert not of_kinds(labels, kinds).is_strong
    assert not of_numbers(labels, list(range(len(labels)))).is_strong


def test_a_few_recordings_can_be_alike_by_chance():
    told = of_kinds(["a", "a", "b", "b"], ["x", "x", "y", "y"])
    assert told.effect == pytest.approx(1.0)
    assert not told.is_strong  # of the six ways to assign the labels, two are as extreme
    assert told.p == pytest.approx(1 / 3, abs=0.06)


def test_the_effect_of_numbers_is_epsilon_squared():
    rng = np.random.default_rng(1)
    labels = np.array(["a", "b", "c"])[rng.integers(0, 3, 100)]
    numbers = np.round(rng.normal(size=100), 1)  # with ties
    h = stats.kruskal(*(numbers[labels == name] for name in "abc")).statistic
    assert of_numbers(labels, numbers).effect == pytest.approx(h / (100 - 1))


def test_numbers_apart_are_strong_and_equal_ones_are_not():
    labels = ["a"] * 20 + ["b"] * 20
    assert of_numbers(labels, [*np.linspace(1, 2, 20), *np.linspace(3, 4, 20)]).is_strong
    assert of_numbers(labels, [2.0] * 40).effect == 0.0
    assert not math.isnan(of_numbers(labels, [2.0] * 40).p)


def test_p_values_hold_their_level_where_nothing_is_told():
    rng = np.random.default_rng(2)
    found = [of_kinds([*"abab"], rng.permutation([*"xyxy"]).tolist()).is_strong for _ in range(50)]
    assert not any(found)

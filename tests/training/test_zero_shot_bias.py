"""The constant that is taken from the scores of seen classes."""

import numpy as np
import pytest

from eavctl.classifiers.rows import Rows
from eavctl.training.zero_shot_bias import CONSTANTS, Answers, constant_of, corrected, divided

CLASSES = ("a", "b", "c", "d")


def answers(pretended: int, bias: float, n_each: int = 400, seed: int = 0) -> Answers:
    """Noisy scores of four classes, the pretended one behind the others by a bias."""
    rng = np.random.default_rng(seed + pretended)
    y = np.repeat(np.arange(4), n_each)
    scores = 3.0 * np.eye(4)[y] + rng.normal(size=(len(y), 4))
    scores[:, np.arange(4) != pretended] += bias
    return Answers(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)), y, pretended)


@pytest.mark.parametrize("bias", [-1.0, 0.0, 0.7, 2.5])
def test_the_constant_is_the_bias_that_was_planted(bias: float) -> None:
    """With equal classes, the best harmonic mean asks the pretended class for a little more than its due."""
    found = constant_of([answers(pretended, bias) for pretended in range(4)])
    unbiased = constant_of([answers(pretended, 0.0) for pretended in range(4)])
    assert found - unbiased == pytest.approx(bias, abs=0.05)
    assert 0 <= unbiased < 1.2


def test_a_score_that_tells_nothing_has_a_constant_within_the_range() -> None:
    y = np.repeat(np.arange(3), 5)
    flat = Answers(np.full((15, 3), np.log(1 / 3)), y, 1)
    assert CONSTANTS[0] <= constant_of([flat]) <= CONSTANTS[-1]


def test_the_correction_shifts_log_probabilities_of_all_classes_but_one() -> None:
    proba = np.random.default_rng(0).dirichlet(np.ones(5), 20)
    after = corrected(proba, 2, 0.8)
    np.testing.assert_allclose(after.sum(axis=1), 1)
    shift = np.log(after) - np.log(proba)
    shift -= shift[:, 2:3]
    np.testing.assert_allclose(shift, np.tile([-0.8, -0.8, 0, -0.8, -0.8], (20, 1)), atol=1e-12)
    np.testing.assert_allclose(corrected(proba, 2, 0.0), proba)


def rows_of(people: list[str] | None, labels: list[str], **others: np.ndarray) -> Rows:
    return Rows.of(np.zeros((len(labels), 2), np.float32), labels, people, CLASSES, **others)


def test_no_person_is_in_both_parts_and_no_copy_among_those_left_out() -> None:
    people = [f"p{n}" for n in range(7) for _ in range(8)]
    copies = np.tile([False] * 4 + [True] * 4, 7)
    parts = divided(rows_of(people, list(CLASSES) * 14, copies=copies))
    assert parts is not None
    kept, left_out = parts
    assert kept.groups is not None
    assert left_out.groups is not None
    assert not set(kept.groups) & set(left_out.groups)
    assert set(kept.groups) | set(left_out.groups) == set(people)
    assert len(set(kept.groups)) > len(set(left_out.groups)) >= 2
    assert left_out.copies is None or not left_out.copies.any()
    assert set(left_out.y.tolist()) == set(range(4))


def test_clips_are_divided_where_people_are_not_known_and_nothing_where_a_class_is_too_rare() -> None:
    labels = list(CLASSES) * 6
    units = np.repeat([f"clip {n}" for n in range(12)], 2)
    parts = divided(rows_of(None, sorted(labels), units=units))
    assert parts is not None
    assert parts[0].units is not None
    assert parts[1].units is not None
    assert not set(parts[0].units) & set(parts[1].units)
    people = ["p0"] * 12 + ["p1"] * 12
    assert divided(rows_of(people, ["a", "b", "c"] * 4 + list(CLASSES) * 3)) is None

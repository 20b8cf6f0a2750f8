from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as yardstick

from eavctl.errors import DataError
from eavctl.evaluation import metrics

CLASSES = ("angry", "calm", "sad")


def some(seed: int, n: int, classes: tuple[str, ...] = CLASSES) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.choice(classes, n), rng.dirichlet(np.ones(len(classes)), n)


@given(st.integers(0, 10_000), st.integers(3, 60))
@settings(max_examples=40, deadline=None)
def test_scores_are_scikit_learns(seed: int, n: int) -> None:
    labels, proba = some(seed, n)
    predicted = np.random.default_rng(seed + 1).choice(CLASSES, n)  # answers need not be the likeliest
    present = [c for c in CLASSES if c in labels]
    ours = metrics.score(labels, predicted, proba, CLASSES)
    p, r, f, s = yardstick.precision_recall_fscore_support(labels, predicted, labels=CLASSES, zero_division=0)
    for mine, theirs in ((ours.precision, p), (ours.recall, r), (ours.f1, f), (ours.support, s)):
        np.testing.assert_allclose(mine, theirs)
    np.testing.assert_array_equal(
        ours.confusion, yardstick.confusion_matrix(labels, predicted, labels=CLASSES)
    )
    kw = {"labels": present, "zero_division": 0}
    assert ours.uar == pytest.approx(yardstick.recall_score(labels, predicted, average="macro", **kw))
    assert ours.macro_f1 == pytest.approx(yardstick.f1_score(labels, predicted, average="macro", **kw))
    assert ours.weighted_f1 == pytest.approx(yardstick.f1_score(labels, predicted, average="weighted", **kw))
    assert ours.accuracy == pytest.approx(yardstick.accuracy_score(labels, predicted))
    assert ours.log_loss == pytest.approx(yardstick.log_loss(labels, proba, labels=CLASSES))
    one_hot = np.array(CLASSES)[None] == labels[:, None]
    assert ours.brier == pytest.approx(((proba - one_hot) ** 2).sum(axis=1).mean())


def test_perfect_and_useless_predictions() -> None:
    labels = np.array(["angry", "calm", "sad", "sad"])
    perfect = metrics.score(labels, labels, np.eye(3)[[0, 1, 2, 2]], CLASSES)
    assert (perfect.uar, perfect.macro_f1, perfect.accuracy, perfect.brier) == (1, 1, 1, 0)
    assert perfect.log_loss == perfect.calibration_error == perfect.classwise_calibration_error == 0
    assert np.copysign(1, perfect.log_loss) == 1  # -0.0 would be printed with its minus
    always_sad = metrics.score(labels, np.full(4, "sad"), np.eye(3)[[2, 2, 2, 2]], CLASSES)
    assert always_sad.uar == always_sad.chance == pytest.approx(1 / 3)
    assert always_sad.accuracy == always_sad.chance_accuracy == 0.5
    assert np.isfinite(always_sad.log_loss)


def test_classes_that_no_row_has_do_not_count() -> None:
    labels = np.array(["angry", "calm"])
    proba = np.array([[0.9, 0.05, 0.05], [0.1, 0.2, 0.7]])
    scores = metrics.score(labels, np.array(["angry", "sad"]), proba, CLASSES)
    assert scores.uar == 0.5
    assert scores.chance == 0.5


def test_labels_that_the_model_does_not_know_are_always_wrong() -> None:
    proba = np.array([[1.0, 0, 0], [1.0, 0, 0]])
    scores = metrics.score(["angry", "fear"], np.full(2, "angry"), proba, CLASSES)
    assert scores.classes == (*CLASSES, "fear")
    assert scores.uar == 0.5
    assert scores.support.tolist() == [1, 0, 0, 1]
    assert scores.mean_proba.tolist() == [1, 0, 0, 0]
    assert scores.classwise_calibration_error == pytest.approx((0.5 + 0 + 0 + 0.5) / 4)


def test_calibration_error_is_small_only_for_honest_confidence() -> None:
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(3) * 0.7, 50_000)
    truth = (proba.cumsum(axis=1) > rng.random((len(proba), 1))).argmax(axis=1)
    assert metrics.calibration_error(truth, proba) < 0.01
    overconfident = proba**4 / (proba**4).sum(axis=1, keepdims=True)
    assert metrics.calibration_error(truth, overconfident) > 0.1


def test_classwise_calibration_error_of_constant_probabilities() -> None:
    """Of 100 rows 15 are rare and all say 0.4: each class is off by 0.25 in its only bin."""
    truth = np.repeat([0, 1], [85, 15])
    proba = np.tile([0.6, 0.4], (100, 1))
    assert metrics.classwise_calibration_error(truth, proba) == pytest.approx(0.25)
    honest = np.tile([0.85, 0.15], (100, 1))
    assert metrics.classwise_calibration_error(truth, honest) == pytest.approx(0)


def test_classwise_calibration_error_is_that_of_the_paper() -> None:
    """Kull et al. 2019, equation of section 3, in loops; the bins are weighed by their rows."""
    rng = np.random.default_rng(3)
    truth, proba = rng.integers(0, 3, 500), rng.dirichlet(np.ones(3), 500)
    error = 0.0
    for c in range(3):
        for b in range(15):
            rows = [i for i in range(500) if b / 15 <= proba[i, c] < (b + 1) / 15]
            if rows:
                gap = np.mean(truth[rows] == c) - np.mean(proba[rows, c])
                error += len(rows) / 500 * abs(gap) / 3
    assert metrics.classwise_calibration_error(truth, proba) == pytest.approx(error)


def test_the_likeliest_class_can_be_right_and_the_rare_one_wrong() -> None:
    """Two kinds of rows, over- and underrated by as much, at one confidence: only by class it shows."""
    truth = np.array([0] * 8 + [1] * 2 + [0] * 4 + [1] * 6)
    proba = np.repeat([[0.7, 0.3], [0.3, 0.7]], 10, axis=0)
    assert metrics.calibration_error(truth, proba) == pytest.approx(0)
    assert metrics.classwise_calibration_error(truth, proba) == pytest.approx(0.1)


def test_stacks_are_scored_one_by_one() -> None:
    stack = np.random.default_rng(0).integers(0, 9, (5, 4, 3, 3))
    stack[0, 0] = 0
    for metric in (metrics.uar, metrics.macro_f1, metrics.accuracy):
        np.testing.assert_allclose(metric(stack), [[metric(one) for one in row] for row in stack])


def test_no_rows_no_score() -> None:
    with pytest.raises(DataError, match="no labelled rows"):
        metrics.score([], np.array([]), np.zeros((0, 3)), CLASSES)

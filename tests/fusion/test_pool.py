"""The pool of single models and a network: what it does without evidence, and what evidence does to it."""

import numpy as np
import pytest

from eavctl.classifiers.calibration import uar
from eavctl.fusion.pool import DOUBT, Pool, doubted, fit_pool

N_CLASSES = 4
EQUAL = np.full(N_CLASSES, 1 / N_CLASSES)


def drawn(n_models: int, n_rows: int, seed: int = 0) -> np.ndarray:
    """Probabilities by chance, (n_models, n_rows, n_classes)."""
    return np.random.default_rng(seed).dirichlet(np.ones(N_CLASSES), (n_models, n_rows))


def informed(y: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """The posterior of a noisy observation of the class, (n_rows, n_classes)."""
    logits = rng.normal(0, strength, (len(y), N_CLASSES))
    logits[np.arange(len(y)), y] += strength**2
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_doubt_bounds_what_one_model_can_say_and_priors_are_taken_out():
    priors = np.array([0.7, 0.1, 0.1, 0.1])
    assert doubted(priors[None], priors) == pytest.approx(EQUAL[None])
    sure = doubted(np.eye(N_CLASSES), EQUAL)
    assert sure.sum(axis=1) == pytest.approx(1)
    assert sure.min() == pytest.approx(DOUBT / N_CLASSES)


def test_without_a_network_equal_models_are_fused_between_their_two_means():
    said = doubted(drawn(3, 50), EQUAL)
    pool = Pool(np.ones(3), 0.0)
    present = np.ones((50, 3), dtype=bool)
    proba = pool(said, present, said[0], EQUAL)
    expected = np.exp(np.log(said).mean(axis=0)) ** 0.5 * said.mean(axis=0) ** 0.5
    assert proba == pytest.approx(expected / expected.sum(axis=1, keepdims=True))


def test_a_single_model_present_answers_as_it_does_alone_and_none_leaves_it_to_the_network():
    said, network = doubted(drawn(3, 2), EQUAL), doubted(drawn(1, 2, seed=1)[0], EQUAL)
    present = np.array([[False, True, False], [False, False, False]])
    proba = Pool(np.array([2.0, 0.0, 1.0]), 0.0)(said, present, network, EQUAL)
    assert proba[0] == pytest.approx(said[1, 0])  # though its weight is 0
    assert proba[1] == pytest.approx(network[1])


def test_values_of_missing_models_have_no_effect():
    said, network = doubted(drawn(3, 20), EQUAL), doubted(drawn(1, 20, seed=1)[0], EQUAL)
    present = np.random.default_rng(2).random((20, 3)) < 0.5
    pool = Pool(np.array([0.5, 1.5, 1.0]), 0.7, 1.3)
    other = np.where(present.T[:, :, None], said, doubted(drawn(3, 20, seed=3), EQUAL))
    assert np.array_equal(pool(said, present, network, EQUAL), pool(other, present, network, EQUAL))


def test_a_class_that_was_not_trained_has_the_probability_0():
    priors = np.array([0.5, 0.5, 0, 0])
    proba = Pool(np.ones(1), 0.5)(doubted(drawn(1, 5), EQUAL), np.ones((5, 1), bool), drawn(1, 5)[0], priors)
    assert not proba[:, 2:].any()
    assert proba.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("n_people", [1, 10])
def test_a_network_that_knows_nothing_loses_weight_the_more_people_show_it(n_people):
    rng = np.random.default_rng(5)
    y, people = rng.integers(N_CLASSES, size=400), np.arange(400) % n_people
    said = doubted(np.stack([informed(y, 1.2, rng), informed(y, 1.2, rng)]), EQUAL)
    noise = doubted(informed(rng.permutation(y), 2.0, rng), EQUAL)
    pool = fit_pool(said, np.ones((400, 2), bool), noise, y, EQUAL, people)
    assert pool.network < 0.1
    later = rng.integers(N_CLASSES, size=4000)
    said = doubted(np.stack([informed(later, 1.2, rng), informed(later, 1.2, rng)]), EQUAL)
    noise = doubted(informed(rng.permutation(later), 2.0, rng), EQUAL)
    present = np.ones((4000, 2), dtype=bool)
    pooled = uar(pool(said, present, noise, EQUAL).argmax(axis=1), later)
    late = uar(np.log(said).sum(axis=0).argmax(axis=1), later)
    assert pooled > late - 0.02


def test_a_network_that_knows_what_no_model_does_decides():
    rng = np.random.default_rng(6)
    y, people = rng.integers(N_CLASSES, size=400), np.arange(400) % 8
    said = doubted(np.stack([informed(rng.permutation(y), 1.0, rng) for _ in range(2)]), EQUAL)
    network = doubted(informed(y, 1.5, rng), EQUAL)
    present = np.ones((400, 2), dtype=bool)
    pool = fit_pool(said, present, network, y, EQUAL, people)
    start = Pool.start(np.ones(2, dtype=bool))
    answers = [each(said, present, network, EQUAL).argmax(axis=1) for each in (pool, start)]
    assert uar(answers[0], y) > uar(answers[1], y) + 0.05


def test_a_network_without_a_weight_gets_one_by_evidence_alone():
    rng = np.random.default_rng(9)
    y, present = rng.integers(N_CLASSES, size=400), np.ones((400, 2), dtype=bool)
    said = doubted(np.stack([informed(y, 1.0, rng) for _ in range(2)]), EQUAL)
    knows, repeats = doubted(informed(y, 1.5, rng), EQUAL), said.mean(axis=0)
    people = np.arange(400) % 8
    found = [fit_pool(said, present, each, y, EQUAL, people, weight=0).network for each in (knows, repeats)]
    assert Pool.start(present[0], weight=0).network == 0
    assert found[0] > 0.2
    assert found[1] < 0.1


def test_of_two_models_the_better_one_gets_more_weight_and_a_stream_without_one_gets_none():
    rng = np.random.default_rng(7)
    y = rng.integers(N_CLASSES, size=600)
    said = doubted(np.stack([informed(y, 1.5, rng), informed(y, 0.3, rng), drawn(1, 600)[0]]), EQUAL)
    present = np.tile([True, True, False], (600, 1))
    pool = fit_pool(said, present, doubted(drawn(1, 600)[0], EQUAL), y, EQUAL, np.arange(600) % 20)
    assert pool.singles[0] > pool.singles[1]
    assert pool.singles[2] == 0


def test_with_few_people_the_pool_stays_near_its_start():
    rng = np.random.default_rng(8)
    y = rng.integers(N_CLASSES, size=200)
    said = doubted(np.stack([informed(y, 1.5, rng), informed(y, 0.5, rng)]), EQUAL)
    network = doubted(informed(y, 1.0, rng), EQUAL)
    found = [fit_pool(said, np.ones((200, 2), bool), network, y, EQUAL, np.arange(200) % n) for n in (1, 50)]
    moved = [np.abs(pool.singles - 1).max() for pool in found]
    assert moved[0] < moved[1]


def test_a_pool_is_rebuilt_from_its_meta_and_hostile_weights_are_refused():
    pool = Pool(np.array([0.5, 0.0]), 0.25, 2.0)
    again = Pool.from_meta(pool.to_meta())
    assert (again.singles.tolist(), again.network, again.scale) == ([0.5, 0.0], 0.25, 2.0)
    for name, value in {"singles": [-1.0, 1.0], "network": float("nan"), "scale": float("inf")}.items():
        with pytest.raises(ValueError, match="weights"):
            Pool.from_meta({**pool.to_meta(), name: value})

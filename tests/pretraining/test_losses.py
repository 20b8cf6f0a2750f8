"""Each loss beside a slow loop over rows and columns, written apart from it, and its gradient beside
differences of that loop.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from eavctl.pretraining.losses.barlow_twins import barlow_twins
from eavctl.pretraining.losses.negative_cosine import negative_cosine
from eavctl.pretraining.losses.nt_xent import nt_xent
from eavctl.pretraining.losses.queued_info_nce import queued_info_nce
from eavctl.pretraining.losses.self_distillation import moved_centre, self_distillation
from eavctl.pretraining.losses.sinkhorn import sinkhorn
from eavctl.pretraining.losses.swapped_prediction import swapped_prediction
from eavctl.pretraining.losses.vicreg import vicreg

SHAPES = pytest.mark.parametrize(("n", "d"), [(2, 3), (3, 2), (7, 5)])
TEMPERATURES = pytest.mark.parametrize("temperature", [0.05, 0.5, 2.0])


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cosine(a: Tensor, b: Tensor) -> float:
    dot = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(float(x) ** 2 for x in a) * sum(float(y) ** 2 for y in b))


def softmax(row: Tensor, temperature: float) -> list[float]:
    powers = [math.exp(float(each) / temperature) for each in row]
    return [each / sum(powers) for each in powers]


def assert_same(
    fast: Callable[..., Tensor], slow: Callable[..., float], inputs: list[Tensor], n_free: int
) -> None:
    """Equal values, equal slopes in a direction of the first inputs, and no gradient to the others."""
    inputs = [each.clone().requires_grad_() for each in inputs]
    value = fast(*inputs)
    value.backward()
    with torch.no_grad():
        assert value.shape == ()
        assert value.item() == pytest.approx(slow(*inputs), rel=1e-9, abs=1e-12)
        for number, each in enumerate(inputs[:n_free]):
            assert each.grad is not None
            step = 1e-5 * drawn(*each.shape, seed=9)
            up, down = ([*inputs[:number], each + s * step, *inputs[number + 1 :]] for s in (1, -1))
            slope = (slow(*up) - slow(*down)) / 2
            assert float((each.grad * step).sum()) == pytest.approx(slope, rel=1e-4, abs=1e-10)
    assert all(each.grad is None for each in inputs[n_free:])


# NT-Xent


def slow_nt_xent(one: Tensor, other: Tensor, temperature: float) -> float:
    vectors, n = [*one, *other], len(one)
    total = 0.0
    for i in range(2 * n):
        others = [j for j in range(2 * n) if j != i]
        powers = {j: math.exp(cosine(vectors[i], vectors[j]) / temperature) for j in others}
        total -= math.log(powers[(i + n) % (2 * n)] / sum(powers.values()))
    return total / (2 * n)


@SHAPES
@TEMPERATURES
def test_nt_xent(n: int, d: int, temperature: float) -> None:
    inputs = [3 * drawn(n, d), drawn(n, d, seed=1)]
    assert_same(lambda *x: nt_xent(*x, temperature), lambda *x: slow_nt_xent(*x, temperature), inputs, 2)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_nt_xent_has_all_other_views_as_negatives(n: int) -> None:
    """Of equal vectors all 2N - 2 negatives are as near as the positive."""
    x = torch.ones(n, 3)
    assert nt_xent(x, x, 0.1).item() == pytest.approx(math.log(2 * n - 1), abs=1e-5)


# InfoNCE against a queue


def slow_queued(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> float:
    total = 0.0
    for q, k in zip(query, key, strict=True):
        positive = math.exp(cosine(q, k) / temperature)
        negatives = sum(math.exp(cosine(q, u) / temperature) for u in queue)
        total -= math.log(positive / (positive + negatives))
    return total / len(query)


@SHAPES
@TEMPERATURES
@pytest.mark.parametrize("n_queued", [1, 4])
def test_queued_info_nce(n: int, d: int, temperature: float, n_queued: int) -> None:
    inputs = [3 * drawn(n, d), drawn(n, d, seed=1), 2 * drawn(n_queued, d, seed=2)]
    assert_same(
        lambda *x: queued_info_nce(*x, temperature), lambda *x: slow_queued(*x, temperature), inputs, 1
    )


def test_an_empty_queue_gives_no_loss() -> None:
    assert queued_info_nce(drawn(3, 2), drawn(3, 2, seed=1), drawn(0, 2), 0.1).item() == 0


# Negative cosine


@SHAPES
def test_negative_cosine(n: int, d: int) -> None:
    def slow(prediction: Tensor, target: Tensor) -> float:
        return -sum(cosine(p, t) for p, t in zip(prediction, target, strict=True)) / len(prediction)

    assert_same(negative_cosine, slow, [3 * drawn(n, d), drawn(n, d, seed=1)], 1)


def test_the_loss_of_byol_is_the_squared_distance_of_unit_vectors() -> None:
    prediction, target = drawn(6, 4), drawn(6, 4, seed=1)
    one, other = (each / each.norm(dim=1, keepdim=True) for each in (prediction, target))
    distance = (one - other).square().sum(dim=1).mean()
    assert (2 + 2 * negative_cosine(prediction, target)).item() == pytest.approx(distance.item())


# VICReg


def slow_vicreg(one: Tensor, other: Tensor, weights: tuple[float, float, float]) -> float:
    n, d = one.shape
    a, b = one.tolist(), other.tolist()
    invariance = sum((a[i][j] - b[i][j]) ** 2 for i in range(n) for j in range(d)) / (n * d)
    variance = covariance = 0.0
    for z in (a, b):
        means = [sum(row[j] for row in z) / n for j in range(d)]
        for j, k in itertools.product(range(d), repeat=2):
            shared = sum((row[j] - means[j]) * (row[k] - means[k]) for row in z) / (n - 1)
            if j == k:
                variance += max(0.0, 1 - math.sqrt(shared + 1e-4)) / d / 2
            else:
                covariance += shared**2 / d
    return weights[0] * invariance + weights[1] * variance + weights[2] * covariance


@SHAPES
@pytest.mark.parametrize("weights", [(25, 25, 1), (0.5, 2, 3)])
def test_vicreg(n: int, d: int, weights: tuple[float, float, float]) -> None:
    def fast(*x: Tensor) -> Tensor:
        return vicreg(*x, invariance=weights[0], variance=weights[1], covariance=weights[2])

    inputs = [0.5 * drawn(n, d), 2 * drawn(n, d, seed=1)]
    assert_same(fast, lambda *x: slow_vicreg(*x, weights), inputs, 2)


def test_vicreg_has_a_gradient_where_a_column_is_constant() -> None:
    one = torch.zeros(4, 2, requires_grad=True)
    vicreg(one, drawn(4, 2).float()).backward()
    assert one.grad is not None
    assert one.grad.isfinite().all()


# Barlow Twins


def slow_barlow_twins(one: Tensor, other: Tensor, redundancy: float) -> float:
    n, d = one.shape

    def standardised(z: list[list[float]], j: int) -> list[float]:
        mean = sum(row[j] for row in z) / n
        deviation = math.sqrt(sum((row[j] - mean) ** 2 for row in z) / n + 1e-5)
        return [(row[j] - mean) / deviation for row in z]

    total = 0.0
    for j, k in itertools.product(range(d), repeat=2):
        columns = zip(standardised(one.tolist(), j), standardised(other.tolist(), k), strict=True)
        correlation = sum(x * y for x, y in columns) / n
        total += (1 - correlation) ** 2 if j == k else redundancy * correlation**2
    return total


@SHAPES
@pytest.mark.parametrize("redundancy", [5e-3, 0.5])
def test_barlow_twins(n: int, d: int, redundancy: float) -> None:
    def fast(*x: Tensor) -> Tensor:
        return barlow_twins(*x, redundancy=redundancy)

    inputs = [3 + 0.5 * drawn(n, d), 2 * drawn(n, d, seed=1)]
    assert_same(fast, lambda *x: slow_barlow_twins(*x, redundancy), inputs, 2)


def test_barlow_twins_is_near_0_for_equal_views_of_independent_columns() -> None:
    x = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=3)))
    assert barlow_twins(x, x).item() == pytest.approx(0, abs=1e-8)


# Sinkhorn and swapped prediction


@SHAPES
@pytest.mark.parametrize(("epsilon", "iterations"), [(0.05, 3), (0.5, 1), (1.0, 10)])
def test_sinkhorn(n: int, d: int, epsilon: float, iterations: int) -> None:
    scores = torch.tanh(drawn(n, d))
    shares = np.exp(scores.numpy() / epsilon)
    for _ in range(iterations):
        for k in range(d):
            shares[:, k] /= sum(shares[i, k] for i in range(n)) * d
        for i in range(n):
            shares[i] /= sum(shares[i, k] for k in range(d)) * n
    found = sinkhorn(scores, epsilon=epsilon, iterations=iterations)
    np.testing.assert_allclose(found.numpy(), n * shares, rtol=1e-9)


@pytest.mark.parametrize(("n", "k"), [(12, 3), (5, 8)])
def test_sinkhorn_margins(n: int, k: int) -> None:
    """Rows sum to 1 at once; columns approach equal shares."""
    scores = torch.tanh(drawn(n, k))
    scores[:, 0] += 1  # a prototype near to all rows

    def excess(iterations: int) -> float:
        shares = sinkhorn(scores, epsilon=0.5, iterations=iterations)
        torch.testing.assert_close(shares.sum(dim=1), torch.ones(n, dtype=torch.float64))
        return float((shares.sum(dim=0) * k / n - 1).abs().max())

    assert excess(3) < excess(1)
    assert excess(100) == pytest.approx(0, abs=1e-4)


def test_sinkhorn_never_overflows() -> None:
    shares = sinkhorn(100 * drawn(6, 4).float(), epsilon=1e-3)
    assert shares.isfinite().all()
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(6))


def test_no_gradient_reaches_assignments() -> None:
    assert not sinkhorn(drawn(4, 3).requires_grad_()).requires_grad


def slow_swapped(one: Tensor, other: Tensor, a: Tensor, b: Tensor, temperature: float) -> float:
    total = 0.0
    for scores, codes in ((one, b), (other, a)):
        for row, code in zip(scores, codes, strict=True):
            logs = [math.log(each) for each in softmax(row, temperature)]
            total -= sum(float(c) * log for c, log in zip(code, logs, strict=True))
    return total / (2 * len(one))


@SHAPES
@TEMPERATURES
def test_swapped_prediction(n: int, d: int, temperature: float) -> None:
    codes = [torch.softmax(drawn(n, d, seed=seed), dim=1) for seed in (2, 3)]
    inputs = [torch.tanh(drawn(n, d)), torch.tanh(drawn(n, d, seed=1)), *codes]
    assert_same(
        lambda one, other, a, b: swapped_prediction((one, other), (a, b), temperature),
        lambda *x: slow_swapped(*x, temperature),
        inputs,
        2,
    )


# Self-distillation


def slow_distillation(
    one: Tensor, other: Tensor, a: Tensor, b: Tensor, centre: Tensor, temperatures: tuple[float, float]
) -> float:
    total = 0.0
    for student, teacher in ((one, b), (other, a)):
        for row, target in zip(student, teacher, strict=True):
            shares = softmax(target - centre, temperatures[1])
            logs = [math.log(each) for each in softmax(row, temperatures[0])]
            total -= sum(share * log for share, log in zip(shares, logs, strict=True))
    return total / (2 * len(one))


@SHAPES
@pytest.mark.parametrize("temperatures", [(0.1, 0.04), (1.0, 0.5)])
def test_self_distillation(n: int, d: int, temperatures: tuple[float, float]) -> None:
    centre = 0.1 * drawn(d, seed=5)

    def fast(one: Tensor, other: Tensor, a: Tensor, b: Tensor) -> Tensor:
        student, teacher = temperatures
        return self_distillation(
            (one, other), (a, b), centre, student_temperature=student, teacher_temperature=teacher
        )

    inputs = [torch.tanh(drawn(n, d, seed=seed)) for seed in range(4)]
    assert_same(fast, lambda *x: slow_distillation(*x, centre, temperatures), inputs, 2)


def test_the_centre_is_a_running_mean_of_outputs() -> None:
    centre, batches = torch.zeros(3, dtype=torch.float64), [drawn(4, 3, seed=seed) for seed in range(3)]
    for batch in batches:
        centre = moved_centre(centre, batch, 0.7)
    expected = 0.3 * sum(0.7 ** (2 - number) * batch.mean(dim=0) for number, batch in enumerate(batches))
    torch.testing.assert_close(centre, expected)


def test_a_centre_removes_what_all_outputs_share() -> None:
    """Without it, an output that is large for every row gives all rows the same target."""
    outputs = torch.eye(4, dtype=torch.float64)
    outputs[:, 0] += 5
    centre = moved_centre(torch.zeros(4), outputs, 0)
    uncentred, centred = (torch.softmax((outputs - c) / 0.1, dim=1).argmax(dim=1) for c in (0, centre))
    assert uncentred.tolist() == [0, 0, 0, 0]
    assert centred.tolist() == [0, 1, 2, 3]

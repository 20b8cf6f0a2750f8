"""The teacher's moving average, and the schedule of its momentum."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from eavctl.pretraining.teacher import Teacher, cosine_momentum


def weights(module: nn.Module) -> list[Tensor]:
    return [each.detach().clone() for each in module.parameters()]


def moved(module: nn.Module, seed: int) -> nn.Module:
    """The module with other weights and buffers."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for each in [*module.parameters(), *module.buffers()]:
            each.copy_(10 * torch.rand(each.shape, generator=generator))
    return module


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.99, 1.0])
def test_weights_are_an_exponential_moving_average(momentum: float) -> None:
    student = nn.Linear(3, 2)
    teacher = Teacher(student)
    expected = weights(student)
    for seed in range(4):
        teacher.follow(moved(student, seed), momentum=momentum)
        expected = [
            momentum * mine + (1 - momentum) * theirs
            for mine, theirs in zip(expected, weights(student), strict=True)
        ]
    torch.testing.assert_close(weights(teacher), expected)


def test_without_momentum_it_is_the_student_with_its_buffers() -> None:
    student = moved(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), 1)
    teacher = Teacher(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)))
    teacher.follow(student, momentum=0)
    pairs = zip(teacher.state_dict().values(), student.state_dict().values(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


def test_it_has_no_gradient_and_shares_nothing_with_its_student() -> None:
    student, x = nn.Linear(3, 2), torch.ones(4, 3)
    teacher = Teacher(student, nn.ReLU())
    before = teacher(x)
    assert not before.requires_grad
    moved(student, 2)
    assert torch.equal(teacher(x), before)


@pytest.mark.parametrize("start", [0.0, 0.9, 0.996])
def test_momentum_rises_from_its_start_to_1(start: float) -> None:
    schedule = [cosine_momentum(start, step / 10) for step in range(11)]
    assert schedule[0] == pytest.approx(start)
    assert schedule[5] == pytest.approx((1 + start) / 2)
    assert schedule[-1] == pytest.approx(1)
    assert schedule == sorted(schedule)

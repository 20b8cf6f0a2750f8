"""What single pretraining methods do besides the contract of all."""

from __future__ import annotations

import copy

import pytest
import torch
from small_encoder import built, rows, train, views
from torch.nn.functional import cosine_similarity, normalize

WITH_TEACHER = ["moco", "byol", "dino"]
WITH_PROTOTYPES = ["swav", "dino"]


@pytest.mark.parametrize("name", WITH_TEACHER)
def test_a_teacher_starts_as_the_student_with_its_input_statistics(name: str) -> None:
    method = built(name).eval()
    method.fit_input(rows())
    assert method.encoder.mean.any()
    assert torch.equal(method.teacher(rows()), method.projector(method.encoder(rows())))


@pytest.mark.parametrize("name", WITH_TEACHER)
def test_a_teacher_moves_by_the_momentum_of_the_step(name: str) -> None:
    method = built(name, momentum=0.9)
    train(method, 1)
    before = [each.clone() for each in method.teacher.parameters()]
    train(method, 1, first=30, total=60)  # half of the way from 0.9 to 1
    student = [*method.encoder.parameters(), *method.projector.parameters()]
    expected = [0.95 * mine + 0.05 * theirs for mine, theirs in zip(before, student, strict=True)]
    torch.testing.assert_close(list(method.teacher.parameters()), expected)


@pytest.mark.parametrize("name", WITH_PROTOTYPES)
def test_prototypes_are_frozen_at_first(name: str) -> None:
    method = built(name, frozen=0.5)
    prototypes = method.prototypes.weight
    start = prototypes.detach().clone()
    train(method, 2, first=28, total=60)
    assert torch.equal(prototypes, start)
    train(method, 1, first=30, total=60)
    assert not torch.equal(prototypes, start)


@pytest.mark.parametrize("name", WITH_PROTOTYPES)
def test_lengths_of_prototypes_do_not_matter(name: str) -> None:
    prototypes = built(name).prototypes
    x = torch.randn(5, prototypes.weight.shape[1], generator=torch.Generator().manual_seed(0))
    before = prototypes(x)
    assert before.abs().max() <= 1 + 1e-6
    with torch.no_grad():
        prototypes.weight.mul_(torch.arange(1.0, len(prototypes.weight) + 1)[:, None])
    torch.testing.assert_close(prototypes(3 * x), before)


def test_the_queue_of_moco_holds_the_keys_of_the_teacher() -> None:
    method = built("moco", queue=200).eval()
    batch = views(method)
    keys = normalize(method.teacher(torch.cat(batch)))
    method.loss(batch)
    assert len(method.queue.rows) == 0
    method.after_step()
    torch.testing.assert_close(method.queue.rows, keys)


def test_the_queue_of_swav_balances_the_codes_of_a_batch() -> None:
    method = built("swav", queue=200)
    train(method, 1)
    method.eval()
    one, other = (view[:2] for view in views(method, 7))
    with_queue = method.loss((one, other))
    method.queue.n_filled.zero_()
    assert not torch.isclose(with_queue, method.loss((one, other)))


def test_the_centre_of_dino_is_a_running_mean_of_its_teacher() -> None:
    method = built("dino", centring=0.75).eval()
    batch = views(method)
    outputs = method.teacher(torch.cat(batch))
    method.loss(batch)
    method.after_step()
    torch.testing.assert_close(method.centre, 0.25 * outputs.mean(dim=0))


def test_of_all_methods_the_predictor_of_simsiam_has_a_constant_rate() -> None:
    method = built("simsiam")
    assert list(method.constant_rate()) == list(method.predictor.parameters())
    for name in ("simclr", "moco", "byol", "vicreg", "barlow", "swav", "dino"):
        assert list(built(name).constant_rate()) == []


def test_simsiam_standardises_projections_and_narrows_its_predictor() -> None:
    method = built("simsiam", out=16).train()
    projections = method.projector(method.encoder(rows()))
    torch.testing.assert_close(projections.mean(dim=0), torch.zeros(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(projections.std(dim=0, correction=0), torch.ones(16), atol=1e-2, rtol=0)
    assert method.predictor[0].out_features == 4


def test_the_gradient_of_simsiam_stops_at_its_targets() -> None:
    """It is the gradient against projections of a copy, which are constants."""
    method = built("simsiam").eval()
    fixed, (one, other) = copy.deepcopy(method), views(method)
    method.loss((one, other)).backward()
    with torch.no_grad():
        targets = fixed.projector(fixed.encoder(torch.cat([other, one])))
    predictions = fixed.predictor(fixed.projector(fixed.encoder(torch.cat([one, other]))))
    (-cosine_similarity(predictions, targets).mean()).backward()
    pairs = zip(method.encoder.parameters(), fixed.encoder.parameters(), strict=True)
    for mine, expected in pairs:
        torch.testing.assert_close(mine.grad, expected.grad)

"""What holds for every pretraining method of one table. A new one is picked up by its registration, which
states ``defaults``: the `TrainSettings` that suit it.
"""

from __future__ import annotations

import copy

import pytest
import torch
from small_encoder import DIM, SmallEncoder, built, rows, spread, train, views

from eavctl import registry
from eavctl.classifiers.training_loop import TrainSettings

METHODS = [name for name in registry.names("pretraining methods") if name != "clip"]  # of several tables


def test_the_eight_methods_are_there() -> None:
    assert {"simclr", "moco", "byol", "simsiam", "vicreg", "barlow", "swav", "dino"} <= set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_registration_states_defaults_of_the_training(name: str) -> None:
    entry = registry.get("pretraining methods", name)
    TrainSettings(**entry.facts["defaults"])
    method = entry.build(SmallEncoder())
    method.fit_input(rows())
    assert method.loss(views(method)).isfinite()


@pytest.mark.parametrize("name", METHODS)
def test_forward_is_the_encoder(name: str) -> None:
    method = built(name).eval()
    assert torch.equal(method(rows()), method.encoder(rows()))
    assert method(rows()).shape == (len(rows()), DIM)


@pytest.mark.parametrize("name", METHODS)
def test_gradient_reaches_all_but_the_teacher(name: str) -> None:
    method = built(name)
    train(method, 2)  # a queue is empty at first
    method.zero_grad()
    method.before_step(0.9)  # nothing is frozen any more
    method.loss(views(method)).backward()
    for parameter_name, parameter in method.named_parameters():
        assert (parameter.grad is None) == parameter_name.startswith("teacher."), parameter_name
    matrices = [parameter for parameter in method.encoder.parameters() if parameter.dim() > 1]
    assert all(matrix.grad.abs().max() > 1e-6 for matrix in matrices)


@pytest.mark.parametrize("name", METHODS)
def test_the_loss_treats_both_views_alike(name: str) -> None:
    method = built(name)
    train(method, 2)
    method.eval()
    one, other = views(method)
    torch.testing.assert_close(method.loss((one, other)), method.loss((other, one)))


@pytest.mark.parametrize("name", METHODS)
def test_a_few_steps_against_fixed_targets_lower_the_loss(name: str) -> None:
    method = built(name)
    train(method, 3)
    method.eval()
    batch, optimizer = views(method), torch.optim.AdamW(method.parameters(), lr=1e-3)
    first = method.loss(batch).item()
    for _ in range(10):
        optimizer.zero_grad()
        method.loss(batch).backward()
        optimizer.step()
    assert method.loss(batch).item() < first


@pytest.mark.parametrize("name", METHODS)
def test_the_loss_alone_moves_no_teacher_queue_or_centre(name: str) -> None:
    method = built(name)
    train(method, 2)
    method.eval()
    before = copy.deepcopy(method.state_dict())
    method.loss(views(method))
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())


@pytest.mark.parametrize("name", METHODS)
def test_it_does_not_collapse(name: str) -> None:
    method = built(name)
    method.fit_input(rows())
    train(method, 40)
    with torch.inference_mode():
        assert spread(method.eval()(rows())) > 0.5


@pytest.mark.parametrize("name", METHODS)
def test_training_continues_from_the_state_alone(name: str) -> None:
    method, resumed = built(name, seed=0), built(name, seed=5)
    method.fit_input(rows())
    train(method, 3)
    resumed.load_state_dict(method.state_dict())
    train(method, 3, first=3)
    train(resumed, 3, first=3)
    expected = method.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in resumed.state_dict().items())


@pytest.mark.parametrize("name", METHODS)
def test_views_draw_from_their_generator_only(name: str) -> None:
    method, state = built(name), torch.get_rng_state()
    first, again = views(method, 1), views(method, 1)
    assert len(first) == method.n_views
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", METHODS)
def test_a_batch_of_two_rows_has_a_finite_loss(name: str) -> None:
    method = built(name).train()
    method.fit_input(rows())
    assert method.loss(tuple(view[:2] for view in views(method))).isfinite()

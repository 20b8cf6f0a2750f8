"""What holds for every registered encoder. A new one is picked up by its registration:

``example_shape`` is the shape of one sample, ``example_settings`` (optional) makes a big network small,
``example_dtype="uint8"`` says that rows are bytes. ``modality`` is None where rows of any will do;
``features`` are the feature sets that it reads by default.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor

from eavctl import registry
from eavctl.encoders.choice import runs_by_layers

ENCODERS = registry.names("encoders")
TOKEN_ENCODERS = [name for name in ENCODERS if runs_by_layers(name)]
BATCH = 3


def build(name: str, seed: int = 0) -> Any:
    entry = registry.get("encoders", name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return entry.thing(tuple(entry.facts["example_shape"]), **entry.facts.get("example_settings", {}))


def batch(name: str, n: int = BATCH) -> Tensor:
    facts = registry.get("encoders", name).facts
    shape, generator = facts["example_shape"], torch.Generator().manual_seed(1)
    if facts.get("example_dtype") == "uint8":
        return torch.randint(256, (n, *shape), dtype=torch.uint8, generator=generator)
    return torch.randn(n, *shape, generator=generator)


@pytest.mark.parametrize("name", ENCODERS)
def test_registration_states_modality_and_example(name: str) -> None:
    facts = registry.get("encoders", name).facts
    assert facts["modality"] in ("audio", "eeg", "video", None)
    assert set(facts["features"]) <= set(registry.names("features"))
    json.dumps({"shape": facts["example_shape"], "settings": facts.get("example_settings", {})})


@pytest.mark.parametrize("name", ENCODERS)
def test_output_is_batch_by_embedding_dim(name: str) -> None:
    encoder = build(name).eval()
    output = encoder(batch(name))
    assert output.shape == (BATCH, encoder.embedding_dim)
    assert output.dtype == torch.float32
    assert torch.isfinite(output).all()


@pytest.mark.parametrize("name", ENCODERS)
def test_gradient_reaches_every_parameter(name: str) -> None:
    encoder = build(name).train()
    output = encoder(batch(name))
    (output * torch.randn(output.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
    unreached = [
        parameter_name
        for parameter_name, parameter in encoder.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    ]
    assert unreached == []


@pytest.mark.parametrize("name", ENCODERS)
def test_evaluation_is_deterministic_and_changes_no_state(name: str) -> None:
    encoder = build(name).eval()
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    x = batch(name)
    with torch.inference_mode():
        assert torch.equal(encoder(x), encoder(x))
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


@pytest.mark.parametrize("name", ENCODERS)
def test_a_sample_does_not_depend_on_its_batch(name: str) -> None:
    encoder = build(name).eval()
    x = batch(name)
    with torch.inference_mode():
        together = encoder(x)
        alone = torch.cat([encoder(row[None]) for row in x])
        among_others = encoder(torch.cat([x[:1], 5 * x[1:].flip(0)]))[:1]
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together[:1], among_others, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
def test_the_input_is_read(name: str) -> None:
    encoder = build(name).eval()
    x = batch(name)
    with torch.inference_mode():
        assert not torch.allclose(encoder(x)[0], encoder(x)[1])


@pytest.mark.parametrize("name", ENCODERS)
def test_input_statistics_live_in_the_state(name: str) -> None:
    fitted, other = build(name, seed=0).eval(), build(name, seed=5).eval()
    x = 7 + 3 * batch(name)
    with torch.no_grad():
        fitted.fit_input(x)
        other.load_state_dict(fitted.state_dict())
        assert torch.equal(fitted(x), other(x))


@pytest.mark.parametrize("name", ENCODERS)
def test_augmentation_draws_from_its_generator_only(name: str) -> None:
    encoder, x = build(name), batch(name)
    kept, state = x.clone(), torch.get_rng_state()

    def augmented(seed: int) -> Any:
        return encoder.augment(x, torch.Generator().manual_seed(seed))

    first = augmented(0)
    assert first.shape == x.shape
    assert torch.isfinite(first).all()
    assert torch.equal(first, augmented(0))
    assert torch.equal(x, kept)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ENCODERS)
def test_registered_settings_are_json(name: str) -> None:
    settings = registry.get("encoders", name).facts.get("example_settings", {})
    shape = registry.get("encoders", name).facts["example_shape"]
    through_json = json.loads(json.dumps({"shape": shape, "settings": settings}))
    registry.get("encoders", name).thing(through_json["shape"], **through_json["settings"])


# Encoders that run layer by layer


def by_layers(encoder: Any, x: Tensor, guests: Tensor | None = None) -> Tensor:
    """The embedding, with guests in the first layer and as they come out in the next ones."""
    tokens = encoder.tokens(x)
    for number in range(encoder.n_layers):
        tokens, guests = encoder.layer(number, tokens, guests, last=number == encoder.n_layers - 1)
    pooled: Tensor = encoder.pooled(tokens)
    return pooled


def guests_of(encoder: Any, n: int = BATCH) -> Tensor:
    return torch.randn(n, 2, encoder.width, generator=torch.Generator().manual_seed(4))


def test_some_encoders_run_layer_by_layer() -> None:
    assert set(TOKEN_ENCODERS) >= {"ast", "shallow-transformer", "vit"}


@pytest.mark.parametrize("name", TOKEN_ENCODERS)
def test_layer_by_layer_is_forward(name: str) -> None:
    encoder, x = build(name).eval(), batch(name)
    with torch.inference_mode():
        torch.testing.assert_close(by_layers(encoder, x), encoder(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TOKEN_ENCODERS)
def test_guests_come_out_changed_and_change_the_embedding(name: str) -> None:
    encoder, x = build(name).eval(), batch(name)
    guests = guests_of(encoder)
    with torch.inference_mode():
        _, came = encoder.layer(0, encoder.tokens(x), guests)
        assert came.shape == guests.shape
        assert not torch.allclose(came, guests, atol=1e-3)
        moved = (by_layers(encoder, x, guests) - encoder(x)).abs().amax(dim=1)
    assert (moved > 1e-4).all()


@pytest.mark.parametrize("name", TOKEN_ENCODERS)
def test_another_rows_guests_and_tokens_never_matter(name: str) -> None:
    encoder, x = build(name).eval(), batch(name)
    guests = guests_of(encoder)
    changed_x, changed_guests = x.clone(), guests.clone()
    changed_x[1] = x[2]
    changed_guests[1] *= -5
    kept = [0, 2]
    with torch.inference_mode():
        before, after = by_layers(encoder, x, guests), by_layers(encoder, changed_x, changed_guests)
        _, came = encoder.layer(0, encoder.tokens(x), guests)
        _, came_after = encoder.layer(0, encoder.tokens(changed_x), changed_guests)
    torch.testing.assert_close(before[kept], after[kept], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(came[kept], came_after[kept], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(before[1], after[1], atol=1e-4)

"""The law: exactly nothing at the start and without the others, and else the change that it says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from small_networks import ALL, AUDIO, CRITERION, EEG, VIDEO, batch, changed, network
from torch import Tensor

from eavctl import registry
from eavctl.errors import UsageError

Y = torch.tensor([0, 1, 2, 1])
LONE = [[True, True, True], [False, True, False], [False, False, True], [True, False, False]]


def spoken(names: tuple[str, ...] = ALL) -> Any:
    """A network whose laws say something."""
    model = network("law", names)
    for law in model.laws.values():
        torch.nn.init.normal_(law.cores, generator=torch.Generator().manual_seed(3))
    return model


def test_at_the_start_every_embedding_is_that_of_its_encoder() -> None:
    model, x = network("law"), batch()
    for one, other in zip(model.embedded(x), model.embed(x), strict=True):
        torch.testing.assert_close(one.values, other.values, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_a_change_of_zero_is_none_bit_for_bit(name: str) -> None:
    """Against the same layers with a change that was not made by a law."""
    model, x = network("law", (name, "mlp")), batch((name, "mlp"))
    rows = x.tensors[0]
    cores = model.laws["0"](torch.randn(4, 2, 96, dtype=torch.float64))
    found = model._embed_by_law(0, rows, cores)
    encoder = model.encoders[0]
    tokens = encoder.tokens(rows)
    for number in range(encoder.n_layers):
        tokens, _ = encoder.layer(
            number,
            tokens,
            last=number == encoder.n_layers - 1,
            change=lambda states: states.new_zeros(*states.shape[:2], 3 * states.shape[2]),
        )
    assert torch.equal(found, encoder.pooled(tokens))


def test_gradients_of_the_static_weights_at_the_start_are_those_without_a_law() -> None:
    model, x = network("law", (AUDIO, VIDEO)), batch((AUDIO, VIDEO))
    others = [p for name, p in model.named_parameters() if name.startswith(("encoders", "heads"))]
    with_law = torch.autograd.grad(model.loss(x, Y, CRITERION), others, allow_unused=True)
    logits = [head(each.values) for each, head in zip(model.embed(x), model.heads, strict=True)]
    loss = torch.stack([CRITERION(each, Y) for each in logits]).mean()
    without = torch.autograd.grad(loss, others, allow_unused=True)
    for one, other in zip(with_law, without, strict=True):
        if other is not None:
            torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-12)


def test_where_nobody_else_is_present_nothing_changes() -> None:
    model, x = spoken(), batch(present=LONE)
    heard, alone = model.embedded(x), model.embed(x)
    for stream, row in ((1, 1), (2, 2), (0, 3)):
        (place,) = (heard[stream].rows == row).nonzero()[:, 0].tolist()
        assert torch.equal(heard[stream].values[place], alone[stream].values[place])
        (first,) = (heard[stream].rows == 0).nonzero()[:, 0].tolist()
        assert (heard[stream].values[first] - alone[stream].values[first]).abs().max() > 1e-4
    with_one = batch(present=[[False, True, False]] * 4)
    assert torch.equal(model.embedded(with_one)[1].values, model.embed(with_one)[1].values)


def test_a_stream_hears_the_others_and_not_itself_in_its_law() -> None:
    model, x = spoken((AUDIO, "mlp")), batch((AUDIO, "mlp"))
    before, after = model.embedded(x)[0].values, model.embedded(changed_mlp(x))[0].values
    assert (before[2] - after[2]).abs().max() > 1e-6
    torch.testing.assert_close(before[[0, 1, 3]], after[[0, 1, 3]], rtol=0, atol=1e-12)


def changed_mlp(x: Any) -> Any:
    tensors = [tensor.clone() for tensor in x.tensors]
    tensors[1][2] = -3 * tensors[1][2] + 1
    return type(x)(tuple(tensors), x.present)


def materialised(model: Any, x: Any) -> Tensor:
    """The audio stream's embedding of row 0 by weights with the change added to them."""
    tokens = torch.stack([w(e.values) for e, w in zip(model.embed(x), model.words, strict=True)], dim=1)
    law = model.laws["0"]
    cores = law(tokens[:1], torch.tensor([[False, True]]))[0]
    encoder = registry.get("encoders", AUDIO).thing((64, 32), size="tiny").double().eval()
    encoder.load_state_dict(model.encoders[0].state_dict())
    for number, layer in enumerate(encoder.body.layers):
        weights = law.left @ cores[number] @ law.right.T
        for part, added in zip(("q_proj", "k_proj", "v_proj"), weights.chunk(3), strict=True):
            getattr(layer.attention, part).weight.data += added
    return encoder(x.tensors[0][:1])[0]


def test_changed_embeddings_are_those_of_materialised_weights() -> None:
    model, x = spoken((AUDIO, "mlp")), batch((AUDIO, "mlp"))
    torch.testing.assert_close(model.embedded(x)[0].values[0], materialised(model, x), rtol=0, atol=1e-9)


def test_the_torch_layer_takes_a_change_as_weights_do() -> None:
    encoder = network("law", (EEG, "mlp")).encoders[0]
    layer, width = encoder.layers[0], encoder.width
    states = torch.randn(2, 9, width, dtype=torch.float64)
    weight = 0.3 * torch.randn(3 * width, width, dtype=torch.float64)
    found = encoder._run_layer(0, states, None, 9, lambda normed: F.linear(normed, weight))
    layer.self_attn.in_proj_weight.data += weight
    torch.testing.assert_close(found, layer(states), rtol=0, atol=1e-9)


def test_one_sample_changes_no_other() -> None:
    model, x = spoken(), batch(present=[[True] * 3] * 4)
    before, after = model(x), model(changed(x, 1, 2))
    torch.testing.assert_close(before[[0, 1, 3]], after[[0, 1, 3]], rtol=0, atol=1e-12)
    assert (before[2] - after[2]).abs().max() > 1e-6


def test_someone_must_be_able_to_listen() -> None:
    with pytest.raises(UsageError, match="layer by layer"):
        network("law", ("mlp", "mlp"))

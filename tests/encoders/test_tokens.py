"""Layer by layer, pruned and with guests: the values are those of the whole layers, run in full."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from eavctl import registry
from eavctl.encoders.tokens import Tokens, mean_of_sequences

SHAPES = {"ast": (96, 32), "vit": (6, 40, 40, 3), "shallow-transformer": (6, 120)}
SETTINGS: dict[str, dict[str, Any]] = {
    "ast": {"size": "tiny"},
    "vit": {"size": "tiny"},
    "shallow-transformer": {"filters": 8, "kernel": 9, "layers": 3, "heads": 2, "dropout": 0.0},
}
NAMES = sorted(SHAPES)


def build(name: str) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = registry.get("encoders", name).thing(SHAPES[name], **SETTINGS[name])
    return encoder.double().eval()


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rows(name: str, n: int = 3) -> Tensor:
    x = normal(n, *SHAPES[name])
    if name == "vit":
        return (128 + 50 * x).clamp(0, 255)
    if name == "ast":
        x[1, 40:] = 0
    return x


def unpruned(encoder: Any, x: Tensor) -> Tensor:
    """The embedding of every layer run in full by the public classes themselves."""
    if hasattr(encoder, "body"):
        tokens = encoder.tokens(x)
        states = tokens.states
        for layer in encoder.body.layers:
            states = layer(states, tokens.mask)
        return encoder.pooled(Tokens(states, tokens.mask, tokens.n_sequences))
    states = encoder.tokens(x).states
    for layer in encoder.layers:
        states = layer(states)
    return encoder.pooled(Tokens(states))


def gradients(encoder: Any, embedding: Tensor) -> list[Tensor]:
    loss = (embedding * normal(*embedding.shape, seed=3)).sum()
    return list(torch.autograd.grad(loss, list(encoder.parameters())))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_forward_has_the_outputs_and_gradients_of_whole_layers(name: str, training: bool) -> None:
    encoder, x = build(name).train(training), rows(name)
    ours, theirs = encoder(x), unpruned(encoder, x)
    torch.testing.assert_close(ours, theirs)
    for mine, other in zip(gradients(encoder, ours), gradients(encoder, theirs), strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("name", ["ast", "vit"])
def test_forward_is_the_public_models(name: str) -> None:
    encoder, x = build(name), rows(name)
    if name == "ast":
        x[1, 40:] = normal(56, 32)  # the public model knows no padding
        expected = encoder.body((x - encoder.mean) / (2 * encoder.std)).pooler_output
    else:
        pictures = encoder.pictures(x[:, encoder.sampled_frames])
        hidden = encoder.body(pixel_values=pictures).last_hidden_state
        expected = hidden[:, 0].reshape(3, 5, -1).mean(dim=1)
    torch.testing.assert_close(encoder(x), expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_last_layer_computes_the_first_tokens_of_the_whole_layer(name: str) -> None:
    encoder = build(name)
    tokens, guests = encoder.tokens(rows(name)), normal(3, 2, encoder.width)
    whole, came = encoder.layer(1, tokens, guests)
    pruned, none = encoder.layer(1, tokens, guests, last=True)
    n = {"ast": 2, "vit": 1, "shallow-transformer": tokens.states.shape[1]}[name]
    assert none is None
    assert came.shape == guests.shape
    assert pruned.states.shape == (len(tokens.states), n, encoder.width)
    torch.testing.assert_close(pruned.states, whole.states[:, :n])
    torch.testing.assert_close(encoder.pooled(pruned), encoder.pooled(whole))


def test_guests_are_among_the_tokens_that_a_layer_reads() -> None:
    """The yardstick appends them by hand, sequence by sequence, with a mask that shows them to all."""
    for name in NAMES:
        encoder, guests = build(name), normal(3, 2, build(name).width)
        tokens = encoder.tokens(rows(name))
        layer = encoder.body.layers[0] if hasattr(encoder, "body") else encoder.layers[0]
        given, n = [], tokens.states.shape[1]
        for number, states in enumerate(tokens.states):
            heard = slice(None)
            if tokens.mask is not None:  # leave out what is masked instead of masking it
                heard = tokens.mask[number, 0, 0]
            together = torch.cat([states[heard], guests[number // tokens.n_sequences]])
            given.append(layer(together[None])[0])
        own, came = encoder.layer(0, tokens, guests)
        means = [
            torch.stack([row[-2:] for row in given[i * tokens.n_sequences : (i + 1) * tokens.n_sequences]])
            for i in range(3)
        ]
        torch.testing.assert_close(came, torch.stack([frames.mean(dim=0) for frames in means]))
        for number, row in enumerate(given):
            heard = slice(None) if tokens.mask is None else tokens.mask[number, 0, 0]
            torch.testing.assert_close(own.states[number, :n][heard], row[:-2])


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_leaks_between_the_rows_of_a_batch(name: str, last: bool) -> None:
    """The gradient of one row's outputs is zero in every other row, its tokens and its guests."""
    encoder = build(name)
    tokens = encoder.tokens(rows(name))
    states = tokens.states.detach().requires_grad_()
    guests = normal(3, 2, encoder.width).requires_grad_()
    own, came = encoder.layer(0, Tokens(states, tokens.mask, tokens.n_sequences), guests, last=last)
    for row in range(3):
        outputs = own.states.unflatten(0, (3, -1))[row].square().sum()
        if came is not None:
            outputs = outputs + came[row].square().sum()
        for slope in torch.autograd.grad(outputs, [states, guests], retain_graph=True):
            moved = slope.unflatten(0, (3, -1)).abs().flatten(1).sum(dim=1)
            assert moved[row] > 0
            assert (moved[[other for other in range(3) if other != row]] == 0).all()


def test_the_last_layer_of_ast_and_vit_prepares_few_queries() -> None:
    for name, n in (("ast", 2), ("vit", 1)):
        encoder, queries, keys = build(name), [], []
        attention = encoder.body.layers[-1].attention
        attention.q_proj.register_forward_pre_hook(lambda m, i, seen=queries: seen.append(i[0].shape[1]))
        attention.k_proj.register_forward_pre_hook(lambda m, i, seen=keys: seen.append(i[0].shape[1]))
        encoder(rows(name))
        assert queries == [n]
        assert keys == [encoder.tokens(rows(name)).states.shape[1]]


def test_a_clip_has_a_sequence_for_every_sampled_frame() -> None:
    encoder, x = build("vit"), rows("vit")
    tokens = encoder.tokens(x)
    assert tokens.n_sequences == 5
    assert tokens.states.shape == (15, 1 + 49, 64)
    alone = encoder.tokens(x[1:2])
    torch.testing.assert_close(tokens.states[5:10], alone.states)


def test_the_mean_is_over_the_sequences_of_a_row() -> None:
    values = torch.arange(6.0)[:, None]
    assert mean_of_sequences(values, 3).tolist() == [[1], [4]]
    assert mean_of_sequences(values, 1).tolist() == values.tolist()

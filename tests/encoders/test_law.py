"""The law against loops and materialised weights."""

import math

import pytest
import torch

from eavctl.encoders.law import Law

WIDTH, BLOCKS, TOKENS, N = 8, 3, 12, 5


@pytest.fixture
def law():
    torch.manual_seed(0)
    law = Law(WIDTH, BLOCKS, TOKENS, groups=4, reduction=2, rank=3).double()
    torch.nn.init.normal_(law.cores)
    return law


def tokens():
    return torch.randn(2, N, TOKENS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_a_new_law_changes_nothing():
    law = Law(WIDTH, BLOCKS, TOKENS)
    cores = law(torch.randn(2, N, TOKENS))
    assert torch.equal(law.change(torch.randn(2, 7, WIDTH), cores[:, 0]), torch.zeros(2, 7, 3 * WIDTH))


def test_its_core_alone_has_a_gradient_at_the_start():
    law = Law(WIDTH, BLOCKS, TOKENS)
    law.change(torch.randn(2, 7, WIDTH), law(torch.randn(2, N, TOKENS))[:, 1]).sum().backward()
    assert law.cores.grad[1].abs().sum() > 0
    assert law.left.grad.abs().sum() == 0


def test_the_groups_attend_as_a_loop_says(law):
    x, expected = tokens(), []
    for row in x:
        for block in range(BLOCKS):
            found = []
            for group in range(4):
                part = slice(3 * group, 3 * group + 3)
                weights = [
                    math.exp(law.blocks[block, part].detach().dot(t[part]).item() / math.sqrt(3)) for t in row
                ]
                found.append(sum(w / sum(weights) * t[part] for w, t in zip(weights, row, strict=True)))
            hidden = law.norm(torch.nn.functional.gelu(law.reduce(torch.cat(found))))
            expected.append((hidden @ law.cores[block]).reshape(3, 3))
    torch.testing.assert_close(law(x).flatten(0, 1), torch.stack(expected))


def test_a_change_is_that_of_materialised_weights(law):
    states = torch.randn(2, 7, WIDTH, dtype=torch.float64)
    core = law(tokens())[:, 2]
    weights = law.left @ core @ law.right.T
    assert weights.shape == (2, 3 * WIDTH, WIDTH)
    expected = torch.stack([x @ w.T for x, w in zip(states, weights, strict=True)])
    torch.testing.assert_close(law.change(states, core), expected, rtol=0, atol=1e-10)


def test_masked_tokens_never_matter(law):
    x, mask = tokens(), torch.ones(2, N, dtype=torch.bool)
    mask[0, 3:] = False
    other = x.clone()
    other[0, 3:] = torch.nan
    torch.testing.assert_close(law(other, mask)[0], law(x[:1, :3])[0])
    torch.testing.assert_close(law(other, mask)[1], law(x)[1])


def test_without_a_token_a_row_is_left_as_it_is(law):
    x, mask = tokens(), torch.ones(2, N, dtype=torch.bool)
    mask[1] = False
    cores = law(x, mask)
    assert torch.equal(cores[1], torch.zeros_like(cores[1]))
    cores.sum().backward()
    assert all(each.grad is None or torch.isfinite(each.grad).all() for each in law.parameters())


def test_gradients_are_those_of_differences(law):
    x = tokens().requires_grad_()
    states = torch.randn(2, 2, WIDTH, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t, s: law.change(s, law(t)[:, 1]), (x, states))

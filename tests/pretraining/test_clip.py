"""CLIP: its loss beside a slow loop, its scale, and that it brings two views of the same cause together."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from eavctl.classifiers.network import StreamBatch
from eavctl.encoders.mlp import Mlp
from eavctl.errors import UsageError
from eavctl.pretraining.losses.clip import clip
from eavctl.pretraining.methods.clip import FIRST_SCALE, LARGEST_SCALE, Clip
from eavctl.pretraining.retrieval import hits_at_1
from eavctl.pretraining.stream_encoders import StreamViews


def slow(one, other, scale):
    """The formula, one row at a time."""

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(
            sum(x * x for x in a) * sum(y * y for y in b)
        )

    n = len(one)
    s = [[scale * cosine(one[i], other[j]) for j in range(n)] for i in range(n)]
    total = 0.0
    for i in range(n):
        total += s[i][i] - math.log(sum(math.exp(s[i][j]) for j in range(n)))
        total += s[i][i] - math.log(sum(math.exp(s[j][i]) for j in range(n)))
    return -total / (2 * n)


@pytest.mark.parametrize(("n", "dim", "scale"), [(1, 3, 10.0), (2, 2, 1.0), (7, 5, 14.3), (12, 3, 0.5)])
def test_the_loss_is_that_of_a_slow_loop(n, dim, scale):
    one, other = np.random.default_rng(n).normal(size=(2, n, dim))
    found = clip(torch.from_numpy(one), torch.from_numpy(other), scale)
    assert found.item() == pytest.approx(slow(one.tolist(), other.tolist(), scale), abs=1e-9)


def test_the_loss_is_symmetric_and_lowest_for_partners():
    one, other = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 6, 4)))
    assert clip(one, other, 5.0).item() == pytest.approx(clip(other, one, 5.0).item())
    assert clip(one, 3 * one, 5.0) < clip(one, one.roll(1, dims=0), 5.0)


def streams(n_rows, seed=0):
    """Two streams that one hidden cause of each row gives, and a third that has nothing to do with it."""
    rng = np.random.default_rng(seed)
    cause = rng.normal(size=(n_rows, 3))
    mixing = np.random.default_rng(99)
    parts = [cause @ mixing.normal(size=(3, width)) for width in (6, 8)] + [rng.normal(size=(n_rows, 5))]
    tensors = tuple(torch.tensor(each, dtype=torch.float32) for each in parts)
    return StreamBatch(tensors, torch.ones(n_rows, len(tensors), dtype=torch.bool))


def method(x, **settings):
    torch.manual_seed(0)
    encoders = [Mlp(tuple(each.shape[1:]), units=16, dropout=0.1) for each in x.tensors]
    made = Clip(*encoders, **settings)
    made.fit_input(x)
    return made


def test_the_scale_starts_as_in_the_paper_and_is_bounded():
    made = method(streams(8))
    assert made.log_scale.exp().item() == pytest.approx(FIRST_SCALE)
    assert made.log_scale in set(made.parameters())
    with torch.no_grad():
        made.log_scale.fill_(10.0)
    made.after_step()
    assert made.log_scale.exp().item() == pytest.approx(LARGEST_SCALE)


def test_the_loss_is_the_mean_over_pairs_and_reaches_every_part():
    x = streams(10)
    made = method(x, dim=4).eval()
    views = made.augment(x, torch.Generator().manual_seed(0))
    loss = made.loss(views)
    tensors = views[0].tensors
    projected = [made.heads[i](made.encoders[i](each)) for i, each in enumerate(tensors)]
    pairs = [(0, 1), (0, 2), (1, 2)]
    wanted = [clip(projected[i], projected[j], FIRST_SCALE) for i, j in pairs]
    assert loss.item() == pytest.approx(torch.stack(wanted).mean().item(), rel=1e-5)
    loss.backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in made.parameters())


def test_each_stream_is_augmented_by_its_own():
    x = streams(4)
    made = method(x)
    made.encoders[0].augment = lambda t, generator: t + 1
    made.encoders[1].augment = lambda t, generator: 2 * t
    made.encoders[2].augment = lambda t, generator: t
    (view,) = made.augment(x, torch.Generator())
    for each, wanted in zip(view.tensors, (x.tensors[0] + 1, 2 * x.tensors[1], x.tensors[2]), strict=True):
        assert torch.equal(each, wanted)


def test_augmentations_replace_those_of_the_encoders_that_have_some():
    x = streams(4)
    made = method(x)
    made.encoders[1].augment = lambda t, generator: 2 * t
    made.view_by(StreamViews(("a", "b", "c"), (Plus(1.0), None, Plus(3.0))))
    (view,) = made.augment(x, torch.Generator())
    for each, wanted in zip(
        view.tensors, (x.tensors[0] + 1, 2 * x.tensors[1], x.tensors[2] + 3), strict=True
    ):
        assert torch.equal(each, wanted)
    assert StreamViews(("a", "b"), (Plus(1.0), None)).describe() == ["a plus 1.0"]


class Plus:
    """An augmentation."""

    def __init__(self, by):
        self.by = by

    def __call__(self, x, generator):
        return x + self.by

    def describe(self):
        return [f"plus {self.by}"]


def test_one_modality_has_no_other_to_agree_with():
    with pytest.raises(UsageError):
        Clip(Mlp((4,)))


def test_embeddings_of_all_streams_stand_beside_each_other():
    x = streams(5)
    made = method(x).eval()
    parts = [encoder(each) for encoder, each in zip(made.encoders, x.tensors, strict=True)]
    assert torch.equal(made(x), torch.cat(parts, dim=1))
    norms = made.project(x).reshape(5, 3, -1).norm(dim=2)
    assert norms.detach().numpy() == pytest.approx(1.0, abs=1e-5)


def test_rows_of_one_cause_find_each_other_and_others_do_not():
    x, held_out = streams(256), streams(64, seed=1)
    made = method(x, dim=8)
    optimizer = torch.optim.AdamW(made.parameters(), lr=3e-3)
    for _ in range(60):
        made.train()
        loss = made.loss(made.augment(x, torch.Generator().manual_seed(0)))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(made.parameters(), 1.0)
        optimizer.step()
        made.after_step()
    with torch.no_grad():
        one, other, third = made.eval().project(held_out).reshape(64, 3, -1).unbind(dim=1)
    assert hits_at_1(one.numpy(), other.numpy()).mean() > 0.5
    assert hits_at_1(other.numpy(), one.numpy()).mean() > 0.5
    assert hits_at_1(one.numpy(), third.numpy()).mean() < 0.15

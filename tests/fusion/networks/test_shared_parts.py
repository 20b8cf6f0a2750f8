"""What all fusion networks share: streams taken away in training, the contrastive term, input statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small_networks import AMBT, CRITERION, EEG, METHODS, batch, network

from eavctl.classifiers.network import StreamBatch
from eavctl.errors import UsageError
from eavctl.fusion.networks.base import CONTRAST_TEMPERATURE, drop_streams, info_nce

Y = torch.tensor([0, 1, 2, 1])
PAIR = ("mlp", EEG)


def drawn(present: torch.Tensor, share: float, seed: int = 0) -> torch.Tensor:
    return drop_streams(present, share, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("n_streams", [1, 2, 3, 5])
def test_the_share_asked_for_loses_streams_and_keeps_one(n_streams: int, share: float) -> None:
    whole = torch.ones(20000, n_streams, dtype=torch.bool)
    left = drawn(whole, share)
    lost = (~left).any(dim=1).double().mean()
    assert left.any(dim=1).all()
    assert abs(float(lost) - (share if n_streams > 1 else 0)) < 0.015
    each = (~left).double().mean(dim=0)
    assert float(each.max() - each.min()) < 0.02


def test_only_what_is_there_can_be_lost() -> None:
    generator = torch.Generator().manual_seed(1)
    present = torch.rand(5000, 3, generator=generator) < 0.5
    present = present[present.any(dim=1)]
    left = drawn(present, 0.8)
    assert not (left & ~present).any()
    assert left.any(dim=1).all()
    alone = present.sum(dim=1) == 1
    assert torch.equal(left[alone], present[alone])
    lost = (left != present).any(dim=1)[~alone].double().mean()
    assert abs(float(lost) - 0.8) < 0.03


def test_every_subset_is_met() -> None:
    left = drawn(torch.ones(4000, 3, dtype=torch.bool), 0.5)
    _, counts = np.unique(left.numpy(), axis=0, return_counts=True)
    assert len(counts) == 7
    assert counts.min() > 150


def test_augmentation_takes_streams_and_leaves_the_rows_of_the_caller_as_they_are() -> None:
    model, x = network("attention", PAIR, modality_dropout=0.9), batch(PAIR, n=50)
    before = [tensor.clone() for tensor in (*x.tensors, x.present)]
    one, other = (model.augment(x, torch.Generator().manual_seed(seed)) for seed in (0, 0))
    assert all(torch.equal(a, b) for a, b in zip((*x.tensors, x.present), before, strict=True))
    assert torch.equal(one.present, other.present)
    assert 30 <= int((~one.present).any(dim=1).sum()) <= 50
    assert not torch.equal(one.tensors[0], x.tensors[0])


def test_info_nce_is_the_cross_entropy_of_finding_the_partner() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 6, 5))
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (one, other)]
    powers = np.exp(unit[0] @ unit[1].T / CONTRAST_TEMPERATURE)
    there = -np.log(np.diag(powers) / powers.sum(axis=1)).mean()
    back = -np.log(np.diag(powers) / powers.sum(axis=0)).mean()
    found = info_nce(torch.from_numpy(one), torch.from_numpy(other))
    np.testing.assert_allclose(float(found), (there + back) / 2, rtol=1e-10)
    assert CONTRAST_TEMPERATURE == 0.07


def test_info_nce_of_partners_alike_is_small_and_of_one_row_nothing() -> None:
    x = torch.randn(8, 32, generator=torch.Generator().manual_seed(0))
    assert float(info_nce(x, 3 * x)) < 0.01
    assert float(info_nce(x, x.roll(1, 0))) > 1
    assert float(info_nce(x[:1], x[:1])) == 0
    assert float(info_nce(x[:0], x[:0])) == 0


@pytest.mark.parametrize("method", METHODS)
def test_the_contrastive_term_is_there_when_asked_for(method: str) -> None:
    names = (EEG, EEG)
    without, with_it = network(method, names), network(method, names, contrastive=0.5)
    assert not [name for name, _ in without.named_parameters() if name.startswith("contrasts")]
    x = batch(names)
    output = with_it.fuse(x)
    plain = with_it.cross_entropy(output, Y, CRITERION)
    pair = [project(each.values) for project, each in zip(with_it.contrasts, output.embeddings, strict=True)]
    torch.testing.assert_close(with_it.loss(x, Y, CRITERION), plain + 0.5 * info_nce(*pair))
    torch.testing.assert_close(
        without.loss(x, Y, CRITERION), without.cross_entropy(without.fuse(x), Y, CRITERION)
    )


def contrast(model: Any, x: StreamBatch) -> torch.Tensor:
    found: torch.Tensor = model._contrast(model.fuse(x).embeddings)
    return found


def test_rows_that_lack_a_stream_are_paired_with_nothing() -> None:
    names = (EEG, EEG)
    model = network("attention", names, contrastive=1.0)
    x = batch(names, n=5, present=[[True, True], [True, False], [True, True], [False, True], [True, True]])
    both = [0, 2, 4]
    whole = StreamBatch(tuple(tensor[both] for tensor in x.tensors), x.present[both])
    torch.testing.assert_close(contrast(model, x), contrast(model, whole))
    contrast(model, x).backward()
    for encoder in model.encoders:
        assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())
        assert any((p.grad != 0).any() for p in encoder.parameters())


def test_three_streams_are_compared_pair_by_pair() -> None:
    names = (EEG, EEG, EEG)
    model, x = network("attention", names, contrastive=1.0), batch(names)
    placed = [p(e.values) for p, e in zip(model.contrasts, model.fuse(x).embeddings, strict=True)]
    pairs = [info_nce(placed[a], placed[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    torch.testing.assert_close(contrast(model, x), sum(pairs) / 3)


def test_input_statistics_come_from_the_rows_that_have_the_stream() -> None:
    model = network("attention", PAIR)
    x = batch(PAIR, n=40, present=[[i % 2 == 0, i % 3 == 0] for i in range(40)])
    for stream in range(2):
        x.tensors[stream][~x.present[:, stream]] = torch.nan
    model.fit_input(x)
    expected = x.tensors[0][x.present[:, 0]].mean(dim=0)
    torch.testing.assert_close(model.encoders[0].mean, expected)
    assert model.encoders[1].mean.isfinite().all()


def test_input_statistics_stay_where_a_model_gave_them_or_nothing_can_be_seen() -> None:
    model = network("attention", PAIR)
    model.started = (True, False)
    before = [{n: b.clone() for n, b in encoder.named_buffers()} for encoder in model.encoders]
    model.fit_input(batch(PAIR, n=6, present=[[True, False]] * 6))
    for encoder, buffers in zip(model.encoders, before, strict=True):
        assert all(torch.equal(buffer, buffers[name]) for name, buffer in encoder.named_buffers())


@pytest.mark.parametrize(
    "wrong", [{"modality_dropout": 1.0}, {"modality_dropout": -0.1}, {"contrastive": -1}]
)
@pytest.mark.parametrize("method", AMBT)
def test_settings_out_of_range_are_refused(method: str, wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="modality_dropout"):
        network(method, (EEG, EEG), **wrong)

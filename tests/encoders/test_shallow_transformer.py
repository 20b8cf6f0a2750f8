"""``shallow-transformer``: published sizes, filters as published, attention that attends, it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from eavctl.classifiers.dnn import TrainSettings, fit
from eavctl.encoders.choice import settings_of_size
from eavctl.encoders.shallow_transformer import POOL, ShallowTransformer
from eavctl.encoders.tokens import Tokens
from eavctl.errors import DataError, UsageError

SHAPE = (6, 120)
SMALL: dict[str, Any] = {"filters": 8, "kernel": 9, "layers": 2, "heads": 2, "dropout": 0.1}


def encoder(shape: tuple[int, int] = SHAPE, **settings: Any) -> ShallowTransformer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ShallowTransformer(shape, **(SMALL | settings)).eval()


def eeg(n: int = 2, shape: tuple[int, int] = SHAPE) -> Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(1))


def reach(network: ShallowTransformer, x: Tensor, pool: int) -> Tensor:
    """How much each sample in time moves what one pool makes of all filters, shape (n_times,)."""
    x = x.clone().requires_grad_()
    network(x).unflatten(1, (-1, (network.positions.shape[0] - POOL) // 7 + 1))[:, :, pool].sum().backward()
    assert x.grad is not None
    return x.grad.abs().sum(dim=(0, 1))


def test_published_sizes() -> None:
    network = ShallowTransformer((30, 500))
    assert len(network.layers) == 12
    assert network.tokens(eeg(1, (30, 500))).states.shape == (1, 488, 40)
    assert network.embedding_dim == 2600
    assert network.pooled(Tokens(torch.randn(1, 488, 40))).shape == (1, 2600)


def test_tokens_are_the_filters_over_time_then_over_channels() -> None:
    """The published order: a convolution 1 x 13 of each channel, then a map of the channels for each."""
    network, x = encoder(), eeg()
    with torch.no_grad():
        network.fit_input(x)
    maps = F.conv2d(network.standardised(x)[:, None], network.temporal.weight[:, None])
    mapped = torch.einsum("bfct,fc->btf", maps, network.spatial.weight[:, :, 0])
    expected = mapped + network.temporal.bias + network.positions  # type: ignore[operator]
    torch.testing.assert_close(network.tokens(x).states, expected, rtol=1e-4, atol=1e-5)


def test_without_layers_a_pool_hears_its_own_samples_alone() -> None:
    heard = reach(encoder(layers=0), eeg(), pool=0)
    within = POOL + SMALL["kernel"] - 1
    assert (heard[:within] > 0).all()
    assert (heard[within:] == 0).all()


def test_attention_reaches_every_sample_from_every_pool() -> None:
    network = encoder(layers=1)
    for pool in (0, 5, 11):
        assert (reach(network, eeg(), pool) > 0).all()


def test_attention_chooses_by_content() -> None:
    """What a far token does to a place depends on the place's own content, which no average would show."""
    network = encoder(layers=1)
    tokens = eeg(1, (112, 8))[0]
    moved, here, both = tokens.clone(), tokens.clone(), tokens.clone()
    moved[100:] = tokens[100:].flip(1)
    here[3] *= -1
    both[100:] = tokens[100:].flip(1)
    both[3] *= -1
    with torch.inference_mode():
        plain, far, near, all_of_it = network.layers[0](torch.stack([tokens, moved, here, both]))[:, 3]
    assert (far - plain).abs().max() > 1e-4
    assert not torch.allclose(far - plain, all_of_it - near, rtol=0.05)


def test_the_order_of_tokens_counts_through_the_positions_alone() -> None:
    network = encoder()
    tokens, order = eeg(1, (112, 8)), torch.randperm(112, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        layers = [tokens, tokens[:, order]]
        for layer in network.layers:
            layers = [layer(values) for values in layers]
        torch.testing.assert_close(layers[0][:, order], layers[1], rtol=1e-4, atol=1e-5)
        x = torch.zeros(1, *SHAPE)  # every token the same but for its position
        assert (network.tokens(x).states.std(dim=1) > 0).all()


def test_embedding_is_the_log_of_power() -> None:
    """Ten times the amplitude is log(100) more, whatever the filter, when statistics are held."""
    network = encoder(layers=0)
    tokens = eeg(2, (112, 8))
    with torch.inference_mode():
        difference = network.pooled(Tokens(10 * tokens)) - network.pooled(Tokens(tokens))
    torch.testing.assert_close(difference, torch.full_like(difference, np.log(100)), rtol=1e-3, atol=1e-3)


def test_silence_has_a_finite_embedding_and_gradient() -> None:
    network = encoder().train()
    network(torch.zeros(2, *SHAPE)).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def change(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A 10 Hz rhythm in noise, in the first or in the second half, the same mixture of channels each time."""
    rng = np.random.default_rng(seed)
    mixture = np.random.default_rng(99).normal(size=(SHAPE[0], 1))
    y = np.arange(n) % 2
    time = np.arange(SHAPE[1])
    on = (time[None] < SHAPE[1] // 2) == (y[:, None] == 0)
    rhythm = np.sin(2 * np.pi * 10 * time / 100 + rng.uniform(0, 2 * np.pi, size=(n, 1)))
    x = 10 * (rng.standard_normal((n, *SHAPE)) + 0.7 * (rhythm * on)[:, None] * mixture)
    return x.astype(np.float32), np.array(["early", "late"])[y]


def test_learns_when_a_rhythm_sounds() -> None:
    settings = TrainSettings(epochs=15, lr=5e-3, dropout=0.1, patience=15, device="cpu")
    model = fit(*change(160, 0), encoder="shallow-transformer", encoder_settings=SMALL, settings=settings)
    x, labels = change(100, seed=1)
    assert (model.predict(x) == labels).mean() > 0.8


@pytest.mark.parametrize("hz", [7.0, 23.0, 41.0])
def test_stride_leaves_the_power_even_of_what_folds_back(hz: float) -> None:
    """Tokens every 5 samples of 100 Hz cannot follow 23 or 41 Hz, yet have the power of every filter."""
    shape = (6, 500)
    dense, sparse = (encoder(shape, layers=0, stride=stride) for stride in (1, 5))
    sparse.spatial.load_state_dict(dense.spatial.state_dict())
    sparse.temporal.load_state_dict(dense.temporal.state_dict())
    time = torch.arange(500) / 100
    rhythm = torch.sin(2 * torch.pi * hz * time) * torch.linspace(0.5, 2, 6)[:, None]
    with torch.inference_mode():
        every, fifth = (
            network.tokens(rhythm[None]).states - network.positions for network in (dense, sparse)
        )
        assert fifth.shape == (1, 99, 8)
        torch.testing.assert_close(fifth, every[:, ::5], rtol=1e-4, atol=1e-5)
        powers = [(values - values.mean(dim=1)).square().mean(dim=1) for values in (every, fifth)]
    torch.testing.assert_close(powers[0], powers[1], rtol=0.05, atol=0)


@pytest.mark.parametrize("stride", [2, 3, 5, 8, 50])
def test_pools_keep_their_length_in_samples(stride: int) -> None:
    """As nearly as whole tokens can; a pool is one token where the stride is longer than it."""
    shape = (6, SMALL["kernel"] - 1 + POOL)  # the shortest row there may be
    network = encoder(shape, layers=0, stride=stride)
    assert network(eeg(2, shape)).shape == (2, network.embedding_dim)
    assert abs(network.pool.kernel_size[0] * stride - POOL) <= max(stride / 2, stride - POOL)


def test_the_tiny_size_has_a_twentieth_of_the_work_of_base() -> None:
    """Multiplications of the layers: of the maps, and of the tables of attention."""

    def work(size: str) -> int:
        settings = settings_of_size("shallow-transformer", size)
        with torch.device("meta"):
            network = ShallowTransformer((30, 500), **settings)
        n, width = network.positions.shape
        return network.n_layers * (12 * n * width**2 + 2 * n**2 * width)

    assert work("tiny") < work("base") / 20


@pytest.mark.parametrize("stride", [0, -5])
def test_a_stride_below_one_is_refused(stride: int) -> None:
    with pytest.raises(UsageError, match="stride must be 1 or more"):
        ShallowTransformer((30, 500), stride=stride)


def test_heads_that_do_not_divide_the_filters_are_refused() -> None:
    with pytest.raises(UsageError, match="3 heads do not divide 40 filters"):
        ShallowTransformer((30, 500), heads=3)


@pytest.mark.parametrize("shape", [(30,), (2, 30, 500), (30, 46)])
def test_other_shapes_are_refused_with_what_to_do(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="at least 47 samples"):
        ShallowTransformer(shape)

"""``scnn``: published size, neighbours in the vector, standardised input, it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eavctl.classifiers.dnn import TrainSettings, fit
from eavctl.encoders.scnn import Scnn
from eavctl.errors import DataError

SMALL: dict[str, Any] = {"channels": [16, 8, 8, 8]}


def encoder(**settings: Any) -> Scnn:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Scnn((180,), **settings).eval()


def vectors(n: int = 3) -> Tensor:
    return torch.randn(n, 180, generator=torch.Generator().manual_seed(1))


def test_published_convolutions() -> None:
    network = encoder()
    filters = [layer.weight.shape for layer in network.convolutions if isinstance(layer, nn.Conv1d)]
    assert filters == [(256, 1, 5), (128, 256, 5), (128, 128, 5), (128, 128, 5)]
    assert network.embedding_dim == 128 * 22
    assert network(vectors()).shape == (3, 128 * 22)


def test_an_output_depends_only_on_its_neighbourhood() -> None:
    x = vectors().requires_grad_()
    encoder()(x).unflatten(1, (128, 22))[:, :, 10].sum().backward()
    assert x.grad is not None
    heard = torch.nonzero(x.grad.abs().sum(dim=0)).flatten()
    # Four places to either side through the last two convolutions, of 8 features each, and two and two more.
    assert heard.min() >= 8 * 6 - 4
    assert heard.max() < 8 * 15 + 4
    assert len(heard) > 40


def test_embedding_ignores_the_features_units() -> None:
    x = vectors(20)
    scale, offset = torch.logspace(-4, 4, 180), torch.linspace(-3, 3, 180)
    plain, scaled = encoder(), encoder()
    with torch.no_grad():
        plain.fit_input(x)
        scaled.fit_input(x * scale + offset * scale)
        torch.testing.assert_close(plain(x), scaled(x * scale + offset * scale), rtol=1e-3, atol=1e-4)


def test_a_constant_feature_divides_by_no_zero() -> None:
    x = vectors()
    x[:, 7] = 4
    network = encoder()
    with torch.no_grad():
        network.fit_input(x)
    assert network.std[7] == 1
    assert torch.isfinite(network(x)).all()


def test_augmentation_is_noise_in_the_features_units() -> None:
    x = vectors(500) * torch.linspace(1, 100, 180)
    network = encoder()
    network.fit_input(x)
    noise = (network.augment(x, torch.Generator().manual_seed(0)) - x) / network.std
    assert noise.std() == pytest.approx(0.1, rel=0.05)
    assert noise.mean().abs() < 0.01


def problem(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three classes, each a bump elsewhere in the vector, of features in very different units."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    bumps = np.exp(-0.5 * ((np.arange(180) - np.array([30, 90, 150])[:, None]) / 6) ** 2)
    x = (rng.standard_normal((n, 180)) + 1.2 * bumps[y]) * np.logspace(-3, 3, 180)
    return x.astype(np.float32), np.array(["low", "middle", "high"])[y]


def test_learns_where_a_bump_is() -> None:
    settings = TrainSettings(epochs=12, dropout=0.1, patience=12, device="cpu")
    model = fit(*problem(150, seed=0), encoder="scnn", encoder_settings=SMALL, settings=settings)
    x, labels = problem(150, seed=1)
    assert (model.predict(x) == labels).mean() > 0.75


@pytest.mark.parametrize("shape", [(64, 300), (7,), ()])
def test_other_shapes_are_refused_with_what_to_do(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="--features means180"):
        Scnn(shape)

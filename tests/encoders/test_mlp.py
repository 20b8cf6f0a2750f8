"""``mlp``: standardised and compressed input, outliers that do not decide, it learns from few rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from eavctl.classifiers.dnn import TrainSettings, fit
from eavctl.encoders.mlp import Mlp
from eavctl.errors import DataError


def encoder(n_features: int = 20, **settings: Any) -> Mlp:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Mlp((n_features,), **settings).eval()


def rows(n: int = 50, n_features: int = 20) -> Tensor:
    return torch.randn(n, n_features, generator=torch.Generator().manual_seed(1))


def fitted(x: Tensor) -> Mlp:
    network = encoder(x.shape[1])
    with torch.no_grad():
        network.fit_input(x)
    return network


def test_the_hidden_layer_reads_the_compressed_deviations() -> None:
    x = 100 + 7 * rows()
    network, seen = fitted(x), []
    network.hidden.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    network(x)
    values = x.numpy()
    expected = np.arcsinh((values - values.mean(axis=0)) / values.std(axis=0))
    np.testing.assert_allclose(seen[0].numpy(), expected, rtol=1e-4, atol=1e-4)


def test_units_of_the_features_do_not_matter() -> None:
    x, scale, offset = rows(), torch.logspace(-3, 3, 20), torch.linspace(-50, 50, 20)
    changed = x * scale + offset * scale
    torch.testing.assert_close(fitted(x)(x), fitted(changed)(changed), rtol=1e-3, atol=1e-3)


def test_a_constant_feature_of_any_size_divides_by_no_zero() -> None:
    x = rows()
    x[:, 3], x[:, 4] = 0, 1e6 / 3
    network = fitted(x)
    assert network.std[3:5].tolist() == [1, 1]
    assert network(x).abs().max() < 100


def test_a_value_a_million_deviations_out_moves_the_embedding_no_more_than_a_few_would() -> None:
    x = rows()
    network, far, further = fitted(x), x[:1].clone(), x[:1].clone()
    far[0, 0], further[0, 0] = 1e3, 1e6
    with torch.inference_mode():
        here, there, beyond = network(x[:1]), network(far), network(further)
    assert (beyond - there).abs().max() < 1.5 * (there - here).abs().max()


def test_noise_is_a_tenth_of_each_features_deviation() -> None:
    x = rows(4000) * torch.linspace(1, 40, 20)
    network = fitted(x)
    noise = network.augment(x, torch.Generator().manual_seed(0)) - x
    torch.testing.assert_close(noise.std(dim=0), 0.1 * x.std(dim=0), rtol=0.1, atol=0)


def test_learns_from_fewer_rows_than_features() -> None:
    rng = np.random.default_rng(0)
    direction = rng.normal(size=600)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        y = rng.integers(0, 2, n)
        x = rng.standard_t(3, size=(n, 600)) + 0.3 * np.outer(2 * y - 1, direction)
        return x.astype(np.float32), np.array(["low", "high"])[y]

    settings = TrainSettings(epochs=10, device="cpu")
    model = fit(*draw(120), encoder="mlp", settings=settings)
    x, labels = draw(200)
    assert (model.predict(x) == labels).mean() > 0.9


@pytest.mark.parametrize("shape", [(30, 500), (), (5, 56, 56, 3)])
def test_other_rows_are_refused_with_what_to_do(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="functionals"):
        Mlp(shape)

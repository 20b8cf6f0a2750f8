"""``eegnet``: equal to the textbook's order of layers, exact moments, filters within their norm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from eavctl.classifiers.dnn import TrainSettings, fit
from eavctl.encoders.choice import settings_of_size
from eavctl.encoders.eegnet import EegNet, MeanPool, lag_moments, mixed_and_filtered, same_padding
from eavctl.errors import DataError

SHAPE = (6, 120)
SMALL: dict[str, Any] = {"f1": 4, "d": 2, "f2": 12, "kernel": 40, "dropout": 0.0}


class Textbook(nn.Module):
    """EEGNet layer by layer as in table 2 of Lawhern et al. 2018, without dropout."""

    def __init__(self, n_chans: int, f1: int, d: int, f2: int, kernel: int) -> None:
        super().__init__()
        self.temporal = nn.Conv2d(1, f1, (1, kernel), bias=False)
        self.norm1 = nn.BatchNorm2d(f1)
        self.spatial = nn.Conv2d(f1, f1 * d, (n_chans, 1), groups=f1, bias=False)
        self.norm2 = nn.BatchNorm2d(f1 * d)
        self.depthwise = nn.Conv2d(f1 * d, f1 * d, (1, 16), groups=f1 * d, bias=False)
        self.pointwise = nn.Conv2d(f1 * d, f2, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(f2)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.norm1(self.temporal(self.same(x[:, None], self.temporal)))
        maps = F.avg_pool2d(F.elu(self.norm2(self.spatial(maps))), (1, 4))
        maps = self.norm3(self.pointwise(self.depthwise(self.same(maps, self.depthwise))))
        return F.avg_pool2d(F.elu(maps), (1, 8)).flatten(1)

    @staticmethod
    def same(x: Tensor, layer: nn.Conv2d) -> Tensor:
        surplus = layer.kernel_size[1] - 1
        return F.pad(x, (surplus // 2, surplus - surplus // 2))


def pairs(network: EegNet, textbook: Textbook) -> list[tuple[Tensor, Tensor]]:
    """Parameters that mean the same."""
    separable = network.separable
    norms = [(network.temporal_norm, textbook.norm1), (network.spatial_norm, textbook.norm2)]
    norms.append((separable[3], textbook.norm3))  # type: ignore[arg-type]
    return [
        (network.temporal, textbook.temporal.weight),
        (network.spatial, textbook.spatial.weight),
        (separable[1].weight, textbook.depthwise.weight),  # type: ignore[list-item]
        (separable[2].weight, textbook.pointwise.weight),  # type: ignore[list-item]
        *(
            (getattr(ours, name), getattr(theirs, name))
            for ours, theirs in norms
            for name in ("weight", "bias")
        ),
    ]


def both(shape: tuple[int, int] = SHAPE, **settings: Any) -> tuple[EegNet, Textbook]:
    """The same network twice, in float64, with random weights everywhere."""
    settings = SMALL | settings
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = EegNet(shape, **settings)
        textbook = Textbook(shape[0], *(settings[name] for name in ("f1", "d", "f2", "kernel")))
        with torch.no_grad():
            for ours, theirs in pairs(network, textbook):
                ours.add_(0.1 * torch.randn(ours.shape))
                theirs.copy_(ours.reshape(theirs.shape))
    return network.double(), textbook.double()


def eeg(n: int, shape: tuple[int, int] = SHAPE) -> Tensor:
    """Slow drifts with an offset, like EEG, and unlike what makes rounding harmless."""
    x = torch.randn(n, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return 0.3 * x.cumsum(dim=2) + x + 0.5


def assert_same_step(
    network: EegNet, textbook: Textbook, x: Tensor, reference: Tensor, **close: float
) -> None:
    """Outputs, gradients of a random loss, and running statistics agree."""
    found, expected = network(x), textbook(reference)
    torch.testing.assert_close(found.double(), expected, **close)
    weights = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    largest = max(float(theirs.grad.abs().max()) for _, theirs in pairs(network, textbook))  # type: ignore[union-attr]
    for ours, theirs in pairs(network, textbook):
        assert ours.grad is not None
        assert theirs.grad is not None
        difference = (ours.grad.double().reshape(theirs.shape) - theirs.grad).abs().max()
        assert difference <= close["rtol"] * largest
    torch.testing.assert_close(
        network.temporal_norm.running_mean.double(), textbook.norm1.running_mean, **close
    )
    torch.testing.assert_close(
        network.temporal_norm.running_var.double(), textbook.norm1.running_var, **close
    )


@pytest.mark.parametrize("kernel", [40, 41, 1, 2, 200])
@pytest.mark.parametrize("training", [True, False])
def test_outputs_and_gradients_are_the_textbooks(kernel: int, training: bool) -> None:
    network, textbook = both(kernel=kernel)
    for _ in range(2):  # statistics to evaluate with
        network(eeg(5)), textbook(eeg(5))
    network.train(training), textbook.train(training)
    assert_same_step(network, textbook, eeg(5), eeg(5), rtol=1e-9, atol=1e-9)


def test_in_float32_it_is_the_textbook_of_float64_to_rounding() -> None:
    """At the published size, of EEG that is nearly all slow drift, in training and in evaluation."""
    network, textbook = both((30, 500), f1=8, d=8, f2=64, kernel=300)
    x = eeg(8, (30, 500))
    assert_same_step(network.float(), textbook, x.float(), x, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(network.eval()(x.float()).double(), textbook.eval()(x), rtol=1e-4, atol=1e-4)


def test_gradient_of_the_input_is_the_textbooks() -> None:
    network, textbook = both()
    ours, theirs = eeg(3).requires_grad_(), eeg(3).requires_grad_()
    network(ours).square().sum().backward()
    textbook(theirs).square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("n_times", [20, 50])
@pytest.mark.parametrize("kernel", [1, 2, 7, 32, 70])
def test_moments_are_those_of_all_windows(n_times: int, kernel: int) -> None:
    x = eeg(3, (4, n_times))
    windows = F.pad(x, same_padding(kernel)).unfold(-1, n_times, 1).transpose(-1, -2).reshape(-1, kernel)
    mean, covariance = lag_moments(x, kernel)
    torch.testing.assert_close(mean, windows.mean(dim=0))
    expected = torch.cov(windows.T, correction=0).reshape(kernel, kernel)
    torch.testing.assert_close(covariance, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kernel", [1, 4, 5, 50])
def test_mixtures_are_filtered_as_by_a_convolution_that_keeps_the_length(kernel: int) -> None:
    x, mixtures, filters = eeg(2, (6, 30)), eeg(3, (2, 6)), eeg(1, (3, kernel))[0]
    mixed = torch.einsum("fmc,bct->bmft", mixtures, x).flatten(0, 1)
    expected = F.conv1d(F.pad(mixed, same_padding(kernel)), filters[:, None], groups=3).view(2, 2, 3, 30)
    torch.testing.assert_close(mixed_and_filtered(x, mixtures, filters), expected.transpose(1, 2))


@pytest.mark.parametrize(("size", "kernel", "d", "f2"), [("tiny", 50, 2, 16), ("base", 300, 8, 64)])
def test_published_sizes(size: str, kernel: int, d: int, f2: int) -> None:
    """EEGNet-8,2 with half a second at 100 Hz, and the network published for EAV."""
    network = EegNet((30, 500), **settings_of_size("eegnet", size))
    assert network.temporal.shape == (8, kernel)
    assert network.spatial.shape == (8 * d, 30)
    assert network.embedding_dim == f2 * 15
    assert network.eval()(torch.zeros(2, 30, 500)).shape == (2, f2 * 15)


def test_spatial_filters_end_each_step_within_a_norm_of_one() -> None:
    network = EegNet(SHAPE, **SMALL)
    directions = F.normalize(torch.randn(8, 6, generator=torch.Generator().manual_seed(0)))
    norms = torch.tensor([0.0, 0.2, 0.9, 0.999, 1.1, 2.0, 50.0, 1e4])[:, None]
    with torch.no_grad():
        network.spatial.copy_(directions * norms)
    before = network.spatial.detach().clone()
    network.after_step()
    torch.testing.assert_close(network.spatial.detach(), directions * norms.clamp(max=1))
    assert torch.equal(network.spatial[:4], before[:4])
    assert network.spatial.requires_grad


def test_training_keeps_the_norm() -> None:
    x, labels = alpha(32, seed=0)
    model = fit(x, labels, encoder="eegnet", encoder_settings=SMALL, settings=TrainSettings(epochs=2, lr=0.5))
    assert torch.linalg.vector_norm(model.state_dict()["0.encoder.spatial"], dim=1).max() <= 1 + 1e-6


def test_input_is_standardised_channel_by_channel() -> None:
    x = eeg(10).float() * torch.tensor([1.0, 5, 20, 0.5, 3, 0])[:, None] + 7
    network = EegNet(SHAPE, **SMALL)
    network.fit_input(x)
    standard = network.standardised(x)
    torch.testing.assert_close(standard.mean(dim=(0, 2)), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(standard[:, :5].std(dim=(0, 2)), torch.ones(5), atol=1e-2, rtol=0)
    assert torch.equal(network.std[5], torch.ones(1))  # a flat channel keeps its unit


def test_augmentation_shifts_a_little_and_loses_few_channels() -> None:
    x = 20 * eeg(40).float() + 7
    network = EegNet(SHAPE, **SMALL)
    network.fit_input(x)
    varied = network.augment(x, torch.Generator().manual_seed(0))
    lost = (varied == network.mean).all(dim=2)
    assert 0 < lost.float().mean() < 0.15
    shifted = torch.stack([x.roll(s, dims=2) for s in range(-12, 13)]) - network.mean
    likeness = F.cosine_similarity(varied - network.mean, shifted, dim=3)  # (n_shifts, n_rows, n_chans)
    assert (likeness.amax(dim=0)[~lost] > 0.9).all()
    assert len(likeness.sum(dim=2).argmax(dim=0).unique()) > 10


def alpha(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise; in half of the rows a 10 Hz source of random phase, the same mixture of channels each time."""
    rng = np.random.default_rng(seed)
    mixture = np.random.default_rng(99).normal(size=(SHAPE[0], 1))
    y = np.arange(n) % 2
    phase = rng.uniform(0, 2 * np.pi, size=(n, 1, 1))
    source = np.sin(2 * np.pi * 10 * np.arange(SHAPE[1]) / 100 + phase) * mixture
    x = 10 * (rng.standard_normal((n, *SHAPE)) + 0.5 * y[:, None, None] * source)
    return x.astype(np.float32), np.array(["rest", "alpha"])[y]


def test_learns_a_rhythm_of_any_phase() -> None:
    settings = TrainSettings(epochs=20, lr=5e-3, dropout=0.1, patience=20, device="cpu")
    model = fit(*alpha(160, seed=0), encoder="eegnet", encoder_settings=SMALL, settings=settings)
    x, labels = alpha(100, seed=1)
    assert (model.predict(x) == labels).mean() > 0.8


@pytest.mark.parametrize("shape", [(30,), (2, 30, 500), (30, 31)])
def test_other_shapes_are_refused_with_what_to_do(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="--features eeg-epochs"):
        EegNet(shape)


@pytest.mark.parametrize("n_times", [32, 35, 3])
def test_pooling_is_torchs(n_times: int) -> None:
    x = eeg(2, (6, n_times))
    torch.testing.assert_close(MeanPool(4)(x), F.avg_pool1d(x, 4) if n_times > 3 else x[..., :0])

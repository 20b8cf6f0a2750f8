"""An epoch of training EEGNet, compared with its layers in the published order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.measure import RUNS, Result, calls
from eavctl.classifiers.network import Criterion, Network
from eavctl.encoders.eegnet import EegNet, same_padding

ROWS, SHAPE, BATCH, N_CLASSES = 280, (30, 500), 32, 5
F1, D, F2, KERNEL, DROPOUT = 8, 8, 64, 300, 0.5
SMALL_ROWS, SMALL_SHAPE, SMALL_KERNEL = 8, (6, 100), 20
NEAR = 1e-4  # of the largest gradient: both are float32
BESIDE = "temporal before spatial convolution, as published, in a plain loop"


class Textbook(nn.Module):
    """EEGNet as in table 2 of Lawhern et al. 2018, with a head: (batch, n_chans, n_times) to logits."""

    def __init__(self, shape: tuple[int, int], kernel: int) -> None:
        super().__init__()
        n_chans, n_times = shape
        self.temporal = nn.Conv2d(1, F1, (1, kernel), bias=False)
        self.norm1 = nn.BatchNorm2d(F1)
        self.spatial = nn.Conv2d(F1, F1 * D, (n_chans, 1), groups=F1, bias=False)
        self.norm2 = nn.BatchNorm2d(F1 * D)
        self.depthwise = nn.Conv2d(F1 * D, F1 * D, (1, 16), groups=F1 * D, bias=False)
        self.pointwise = nn.Conv2d(F1 * D, F2, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(F2)
        self.pad1, self.pad2 = (nn.ZeroPad2d((*same_padding(length), 0, 0)) for length in (kernel, 16))
        self.rest1 = nn.Sequential(nn.ELU(), nn.AvgPool2d((1, 4)), nn.Dropout(DROPOUT))
        self.rest2 = nn.Sequential(nn.ELU(), nn.AvgPool2d((1, 8)), nn.Dropout(DROPOUT), nn.Flatten())
        self.head = nn.Linear(F2 * (n_times // 32), N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (batch, n_classes)."""
        x = self.norm1(self.temporal(self.pad1(x[:, None])))
        x = self.rest1(self.norm2(self.spatial(x)))
        x = self.rest2(self.norm3(self.pointwise(self.depthwise(self.pad2(x)))))
        logits: Tensor = self.head(x)
        return logits

    @torch.no_grad()
    def after_step(self) -> None:
        """Limit the norm of the spatial filters to 1."""
        self.spatial.weight.copy_(torch.renorm(self.spatial.weight, p=2, dim=0, maxnorm=1))


def measure(small: bool = False) -> list[Result]:
    """Measure with one thread and with two."""
    threads = torch.get_num_threads()
    results = []
    try:
        for n in (1,) if small else (1, 2):
            torch.set_num_threads(n)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                results.append(_result(n, small))
    finally:
        torch.set_num_threads(threads)
    return results


def _result(threads: int, small: bool) -> Result:
    n_rows, shape, kernel = (SMALL_ROWS, SMALL_SHAPE, SMALL_KERNEL) if small else (ROWS, SHAPE, KERNEL)
    encoder = EegNet(shape, f1=F1, d=D, f2=F2, kernel=kernel, dropout=DROPOUT)
    ours, theirs = Network(encoder, N_CLASSES, 0.0), Textbook(shape, kernel)
    x, y = torch.randn(n_rows, *shape), torch.randint(N_CLASSES, (n_rows,))
    apart = _apart(ours, theirs, x[:BATCH], y[:BATCH])
    taken = calls(_epoch(ours, x, y), _epoch(theirs, x, y), 0 if small else RUNS)
    what = f"EEGNet, one epoch of {n_rows} x {shape[0]} x {shape[1]}, {threads} thread"
    note = f"the same gradients within {apart:.0e} of the largest"
    return Result(what + "s" * (threads > 1), BESIDE, *taken, goal=5, note=note)


def _epoch(network: Any, x: Tensor, y: Tensor) -> Callable[[], None]:
    """Run forward pass, loss, backward pass and optimiser step for all batches."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    criterion = Criterion(torch.ones(N_CLASSES), 0.0)

    def epoch() -> None:
        network.train()
        for rows, labels in zip(x.split(BATCH), y.split(BATCH), strict=True):
            optimizer.zero_grad(set_to_none=True)
            criterion(network(rows), labels).backward()
            optimizer.step()
            network.after_step()

    return epoch


def _apart(ours: Network, theirs: Textbook, x: Tensor, y: Tensor) -> float:
    """The largest difference of logits and gradients with the same weights and without dropout.

    Raises
    ------
    AssertionError : they are not equal.
    """
    pairs = _pairs(ours, theirs)
    with torch.no_grad():
        for one, other in pairs:
            other.copy_(one.reshape(other.shape))
    networks = (ours, theirs)
    dropouts = [layer for each in networks for layer in each.modules() if isinstance(layer, nn.Dropout)]
    shares = [layer.p for layer in dropouts]
    for layer in dropouts:
        layer.p = 0.0
    logits = [network.train()(x) for network in networks]
    for each in logits:
        nn.functional.cross_entropy(each, y).backward()
    found = [(logits[0].detach(), logits[1].detach())] + [
        (one.grad.reshape(other.shape), other.grad) for one, other in pairs
    ]
    largest = max(float(other.abs().max()) for _, other in found[1:])
    apart = max(float((one - other).abs().max()) for one, other in found) / largest
    assert apart < NEAR, apart
    for layer, share in zip(dropouts, shares, strict=True):
        layer.p = share
    return apart


def _pairs(ours: Network, theirs: Textbook) -> list[tuple[Any, Any]]:
    """Pairs of equivalent parameters."""
    encoder: Any = ours.encoder
    separable = encoder.separable
    layers = [
        (encoder.temporal_norm, theirs.norm1),
        (encoder.spatial_norm, theirs.norm2),
        (separable[3], theirs.norm3),
        (ours.head[1], theirs.head),
    ]
    return [
        (encoder.temporal, theirs.temporal.weight),
        (encoder.spatial, theirs.spatial.weight),
        (separable[1].weight, theirs.depthwise.weight),
        (separable[2].weight, theirs.pointwise.weight),
        *((getattr(a, name), getattr(b, name)) for a, b in layers for name in ("weight", "bias")),
    ]

"""A training step of AMBT, tiny, beside its three encoders alone: seconds, and the memory of a process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.measure import RUNS, Result, calls, command_once
from eavctl.classifiers.network import Criterion, Network, StreamBatch
from eavctl.encoders.choice import settings_of_size
from eavctl.fusion.networks.model import Design, StreamDesign

BATCH, N_CLASSES = 16, 5
STEPS_FOR_MEMORY = 3
FRAMES_5_S = 498  # of the 1024 that a row of fbank has; the others are padding
STREAMS = tuple(
    StreamDesign(name, encoder, settings_of_size(encoder, "tiny"), shape)
    for name, encoder, shape in (
        ("eeg", "shallow-transformer", (30, 500)),
        ("audio", "ast", (1024, 128)),
        ("video", "vit", (25, 56, 56, 3)),
    )
)


def rows() -> tuple[StreamBatch, Tensor]:
    """A batch of 5 s of all three."""
    generator = torch.Generator().manual_seed(0)
    sound = torch.randn(BATCH, 1024, 128, generator=generator)
    sound[:, FRAMES_5_S:] = -10
    pictures = torch.randint(256, (BATCH, 25, 56, 56, 3), dtype=torch.uint8, generator=generator)
    eeg = torch.randn(BATCH, 30, 500, generator=generator)
    y = torch.randint(N_CLASSES, (BATCH,), generator=generator)
    return StreamBatch((eeg, sound, pictures), torch.ones(BATCH, 3, dtype=torch.bool)), y


def stepper(network: Any, x: Any, y: Tensor) -> Callable[[], None]:
    """What one training step does, but for augmentation, which is the same for both."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    criterion = Criterion(torch.ones(N_CLASSES), 0.0)

    def step() -> None:
        network.train()
        loss = network.loss(x, y, criterion)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        network.after_step()

    return step


def alone() -> Callable[[], None]:
    """A step of each of the three encoders with a head."""
    x, y = rows()
    steps = [
        stepper(Network(stream.build(), N_CLASSES, 0.4), tensor, y)
        for stream, tensor in zip(STREAMS, x.tensors, strict=True)
    ]

    def step() -> None:
        for each in steps:
            each()

    return step


def ambt(method: str) -> Callable[[], None]:
    """A step of the fusion network with all modalities present."""
    return stepper(Design(method, STREAMS).build(N_CLASSES), *rows())


STEPS = {"alone": alone, "ambt-mean": lambda: ambt("ambt-mean"), "ambt-concat": lambda: ambt("ambt-concat")}


def measure(small: bool = False) -> list[Result]:
    """A step of each fusion network beside one of its three encoders, on one thread."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if small:
            return [_result("ambt-mean", 0, 1)]
        return [_result(method, RUNS, STEPS_FOR_MEMORY) for method in ("ambt-mean", "ambt-concat")]
    finally:
        torch.set_num_threads(n_threads)


def _result(method: str, runs: int, n_steps: int) -> Result:
    taken = calls(STEPS[method](), STEPS["alone"](), runs)
    peaks = (peak_mb(name, n_steps) for name in (method, "alone"))
    ours, theirs = (replace(each, peak_mb=peak) for each, peak in zip(taken, peaks, strict=True))
    what = f"{method}, tiny: a training step, batch {BATCH}"
    return Result(what, "its three encoders alone", ours, theirs)


def peak_mb(name: str, n_steps: int) -> float:
    """Peak resident memory, MB, of a process that makes a few steps."""
    peak = command_once(["python", "-m", "benchmarks.fusion", name, str(n_steps)]).peak_mb
    assert peak is not None
    return peak


if __name__ == "__main__":
    torch.set_num_threads(1)
    run = STEPS[sys.argv[1]]()
    for _ in range(int(sys.argv[2])):
        run()

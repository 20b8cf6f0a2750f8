"""A training step of a grounding network whose weights a phrase changes, tiny, beside the static network."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.measure import RUNS, Result, calls, command_once
from eavctl.classifiers.network import CPU, as_batch
from eavctl.grounding.examples import Examples
from eavctl.grounding.network import GroundNet
from eavctl.grounding.objective import Grounding
from eavctl.grounding.vocabulary import Vocabulary

BATCH, SIDE = 64, 64
STEPS_FOR_MEMORY = 3
STATIC = "late"  # the phrase reaches the heads alone
PHRASES = (
    "the woman on the left",
    "the small red circle left of the square",
    "the person with glasses next to the man in blue",
    "leftmost face",
)


def examples() -> Examples:
    """Noise with phrases; what a step costs does not depend on what is in the pictures."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (BATCH, SIDE, SIDE, 3), np.uint8)
    boxes = rng.uniform(0.2, 0.5, (BATCH, 4)).astype(np.float32)
    masks = rng.integers(0, 256, (BATCH, SIDE, SIDE // 8), np.uint8)
    phrases = [PHRASES[row % len(PHRASES)] for row in range(BATCH)]
    return Examples(pictures, phrases, boxes, np.ones(BATCH, bool), masks)


def stepper(fusion: Any) -> Callable[[], None]:
    """What one training step does."""
    data = examples()
    vocabulary = Vocabulary.of(data.phrases)
    x: Any = as_batch(data.rows(vocabulary).streams, CPU)
    y = torch.zeros(BATCH, dtype=torch.long)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = GroundNet(vocabulary, fusion=fusion).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    objective, generator = Grounding(CPU), torch.Generator().manual_seed(0)

    def step() -> None:
        loss = objective.loss(network, network.augment(x, generator), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()

    return step


def measure(small: bool = False) -> list[Result]:
    """A step by the law, and one by FiLM, beside one of the static network, on one thread."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        runs, n_steps = (0, 1) if small else (RUNS, STEPS_FOR_MEMORY)
        return [_result(fusion, runs, n_steps) for fusion in (("law",) if small else ("law", "film"))]
    finally:
        torch.set_num_threads(n_threads)


def _result(fusion: str, runs: int, n_steps: int) -> Result:
    taken = calls(stepper(fusion), stepper(STATIC), runs)
    peaks = (peak_mb(name, n_steps) for name in (fusion, STATIC))
    ours, theirs = (replace(each, peak_mb=peak) for each, peak in zip(taken, peaks, strict=True))
    what = f"grounding by {fusion}, tiny: a training step, batch {BATCH}"
    return Result(what, "the static network", ours, theirs)


def peak_mb(fusion: str, n_steps: int) -> float:
    """Peak resident memory, MB, of a process that makes a few steps."""
    peak = command_once(["python", "-m", "benchmarks.grounding", fusion, str(n_steps)]).peak_mb
    assert peak is not None
    return peak


if __name__ == "__main__":
    torch.set_num_threads(1)
    run = stepper(sys.argv[1])
    for _ in range(int(sys.argv[2])):
        run()

"""SimCLR on 2,615 pictures of 28 x 28, compared with the textbook: whole processes, two threads each."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks import reference_simclr
from benchmarks.measure import Result, commands
from eavctl.encoders.convnet import ConvNet
from eavctl.pretraining.methods.simclr import SimClr

N_PICTURES, EPOCHS, SIDE = 2615, 30, reference_simclr.SIDE
THREADS = {"OMP_NUM_THREADS": "2"}
SAME_LOSS = 1e-4
VIEWS = "crop:scale=0.7,flip,jitter:strength=0.4:p=0.8,blur"  # as the reference has them
# The convolutions and the linear layer, by their numbers in `convnet` and in the reference.
LAYERS = {"convolutions.0": "0", "convolutions.3": "3", "convolutions.6": "6", "linear": "10"}


def measure(small: bool = False) -> list[Result]:
    """Pretrain both ways in processes, from the same file of pictures."""
    n_pictures, epochs, runs = (64, 1, 0) if small else (N_PICTURES, EPOCHS, 1)
    difference = largest_difference()
    if difference > SAME_LOSS:
        raise AssertionError(f"the losses of the same views and weights differ by {difference:.2g}")
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder), n_pictures)
        table, out = f"{folder}/images.parquet", f"{folder}/encoder.pt"
        eavctl = ("python", "-m", "eavctl")
        extract = (*eavctl, "extract", folder, "-o", table, "--force")
        run = (*eavctl, "pretrain", table, "-o", out, "--force", "--epochs", str(epochs))
        same = ("--method", "simclr", "--augment", VIEWS)
        temperature = ("--method-set", f"temperature={reference_simclr.TEMPERATURE}")
        ours = (*run, *same, *temperature)
        theirs = ("python", "-m", "benchmarks.reference_simclr", folder, str(epochs))
        commands(extract, extract, 0)
        mine, other = commands(ours, theirs, runs, environment=THREADS)
    what = f"pretraining by SimCLR, {n_pictures} pictures, {epochs} epochs"
    note = f"losses of the same views and weights differ by {difference:.1g}"
    return [Result(what, "Pillow, picture by picture, and a DataLoader", mine, other, 10, note=note)]


def write_pictures(folder: Path, n: int) -> None:
    """Write gratings of ten directions as an idx file."""
    rng = np.random.default_rng(0)
    angle = np.pi * rng.integers(0, 10, n)[:, None, None] / 10
    y, x = np.mgrid[:SIDE, :SIDE]
    phase = rng.uniform(0, 2 * np.pi, (n, 1, 1))
    waves = np.sin(0.8 * (x * np.cos(angle) + y * np.sin(angle)) + phase)
    pictures = np.clip(128 + 80 * waves + 20 * rng.normal(size=waves.shape), 0, 255).astype(np.uint8)
    header = bytes([0, 0, 8, 3]) + np.array(pictures.shape, ">u4").tobytes()
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + pictures.tobytes(), mtime=0))


def largest_difference() -> float:
    """Largest difference of the losses of both over three steps from the same weights on the same views."""
    torch.manual_seed(0)
    reference = reference_simclr.network()
    method = SimClr(ConvNet((SIDE, SIDE, 1)), temperature=reference_simclr.TEMPERATURE)
    _copy(reference, method)
    views = [255 * torch.rand(32, SIDE, SIDE, 1) for _ in range(2)]
    one = torch.optim.SGD(method.parameters(), lr=0.1)
    other = torch.optim.SGD(reference.parameters(), lr=0.1)
    differences = []
    for _ in range(3):
        ours = method.loss((views[0], views[1]))
        theirs = reference_simclr.nt_xent(reference(torch.cat(views).permute(0, 3, 1, 2)))
        differences.append(abs(ours.item() - theirs.item()))
        for loss, optimizer in ((ours, one), (theirs, other)):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return max(differences)


def _copy(reference: nn.Sequential, method: SimClr) -> None:
    """Give the method the weights of the reference."""
    encoder, head = (part.state_dict() for part in reference)
    named = {
        f"{ours}.{part}": encoder[f"{theirs}.{part}"]
        for ours, theirs in LAYERS.items()
        for part in ("weight", "bias")
    }
    method.encoder.load_state_dict({**method.encoder.state_dict(), **named})
    method.projector.load_state_dict(head)

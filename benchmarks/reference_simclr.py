"""SimCLR by the textbook: a Dataset that augments picture by picture, a DataLoader, and the usual loop.

    python -m benchmarks.reference_simclr FOLDER EPOCHS

FOLDER holds ``train-images-idx3-ubyte.gz``. Prints the mean loss of each epoch.
"""

from __future__ import annotations

import gzip
import math
import random
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image, ImageEnhance, ImageFilter
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

BATCH, LR, WEIGHT_DECAY, TEMPERATURE = 256, 1e-3, 1e-2, 0.2
MEAN, STD = 0.2860, 0.3530  # of Fashion-MNIST
HEADER_BYTES, SIDE = 16, 28


def view(picture: Image.Image) -> Tensor:
    """A random view of a picture, standardised (1, height, width)."""
    area, ratio = random.uniform(0.7, 1), math.exp(random.uniform(-0.28, 0.28))
    width, height = (min(SIDE, round(SIDE * math.sqrt(area * part))) for part in (ratio, 1 / ratio))
    left, top = random.randint(0, SIDE - width), random.randint(0, SIDE - height)
    box = (left, top, left + width, top + height)
    picture = picture.crop(box).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    if random.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if random.random() < 0.8:
        picture = ImageEnhance.Brightness(picture).enhance(random.uniform(0.6, 1.4))
        picture = ImageEnhance.Contrast(picture).enhance(random.uniform(0.6, 1.4))
    if random.random() < 0.5:
        picture = picture.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2)))
    values = np.asarray(picture, np.float32)[None] / 255
    return torch.from_numpy((values - MEAN) / STD)


class Views(Dataset[tuple[Tensor, Tensor]]):
    """Two random views of each picture."""

    def __init__(self, pictures: np.ndarray) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        picture = Image.fromarray(self.pictures[index])
        return view(picture), view(picture)


def network() -> nn.Sequential:
    """The encoder, and its projection head."""
    encoder = nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(1152, 256)),
    )
    head = nn.Sequential(nn.Linear(256, 512, bias=False), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 128))
    return nn.Sequential(encoder, head)


def nt_xent(z: Tensor) -> Tensor:
    """NT-Xent of the projections of one view, then of the other: each against 2N-2 of other pictures."""
    z = F.normalize(z, dim=1)
    similarities = (z @ z.T / TEMPERATURE).fill_diagonal_(-torch.inf)
    n = len(z) // 2
    return F.cross_entropy(similarities, torch.cat([torch.arange(n, 2 * n), torch.arange(n)]))


def main(folder: str, epochs: int) -> None:
    """Train, and print the losses."""
    torch.manual_seed(0)
    content = gzip.decompress(Path(folder, "train-images-idx3-ubyte.gz").read_bytes())
    pictures = np.frombuffer(content, np.uint8, offset=HEADER_BYTES).reshape(-1, SIDE, SIDE)
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    loader = DataLoader(Views(pictures), BATCH, shuffle=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
    for epoch in range(1, epochs + 1):
        losses = []
        for views in loader:
            loss = nt_xent(model(torch.cat(views)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch}, loss {sum(losses) / len(losses):.3f}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

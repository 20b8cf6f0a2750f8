"""SimCLR by the textbook: a Dataset that augments picture by picture, a DataLoader, and the usual loop.

    python -m benchmarks.reference_simclr FOLDER EPOCHS TEMPERATURE

FOLDER holds ``train-images-idx3-ubyte.gz``. Prints as JSON the seconds that the training took, without
imports and reading, and the mean loss of each epoch.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

BATCH, LR, WEIGHT_DECAY = 256, 1e-3, 1e-5
MEAN, STD = 0.1307, 0.3081
HEADER_BYTES, SIDE = 16, 28


class Views(Dataset[tuple[Tensor, Tensor]]):
    """Two random views of each picture."""

    def __init__(self, pictures: np.ndarray) -> None:
        from torchvision import transforms

        self.pictures = pictures
        self.view = transforms.Compose(
            [
                transforms.RandomResizedCrop(SIDE, scale=(0.7, 1.0)),
                transforms.RandomHorizontalFlip(),
                transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
                transforms.RandomGrayscale(p=0.2),
                transforms.GaussianBlur(3, (0.1, 2.0)),
                transforms.ToTensor(),
                transforms.Normalize((MEAN,), (STD,)),
            ]
        )

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        picture = Image.fromarray(self.pictures[index])
        return self.view(picture), self.view(picture)


def network() -> nn.Sequential:
    """The encoder, and its projection head."""
    encoder = nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(1152, 256)),
    )
    head = nn.Sequential(nn.Linear(256, 512), nn.LayerNorm(512), nn.ReLU(), nn.Linear(512, 128))
    return nn.Sequential(encoder, head)


def nt_xent(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """NT-Xent of two views' projections (batch, n_values): each against the 2N-2 of other pictures."""
    z = F.normalize(torch.cat([a, b]), dim=1)
    similarities = z @ z.T / temperature
    similarities.fill_diagonal_(-torch.inf)
    n = len(a)
    partners = torch.cat([torch.arange(n, 2 * n), torch.arange(n)])
    return F.cross_entropy(similarities, partners)


def pictures_of(folder: Path) -> np.ndarray:
    """The training pictures, uint8 (n_pictures, height, width)."""
    content = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(content, np.uint8, offset=HEADER_BYTES).reshape(-1, SIDE, SIDE).copy()


def main(folder: str, epochs: int, temperature: float) -> None:
    """Train, and print what it took."""
    torch.manual_seed(0)
    views = Views(pictures_of(Path(folder)))
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    start = time.perf_counter()
    loader = DataLoader(views, BATCH, shuffle=True, drop_last=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
    means = []
    for _ in range(epochs):
        losses = []
        for a, b in loader:
            loss = nt_xent(model(a), model(b), temperature)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        means.append(sum(losses) / len(losses))
    json.dump({"seconds": time.perf_counter() - start, "losses": means}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))

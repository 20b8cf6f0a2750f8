"""Train a network by the textbook: a Dataset of one sound file a clip, a DataLoader, and the usual loop.

    python -m benchmarks.reference_dataloader FOLDER EPOCHS

Prints as JSON how many seconds it took, without and with two processes that load, and how many parameters
the network has.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import librosa
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

RATE, N_MELS, N_FRAMES = 16000, 64, 300
BATCH, LR, WEIGHT_DECAY, CLIP, NOISE = 32, 1e-3, 1e-2, 1.0, 0.05


class Clips(Dataset[tuple[Tensor, int]]):
    """Log-mel spectrograms of sound files in folders named by class."""

    def __init__(self, files: list[Path], classes: list[str], noise: float) -> None:
        self.files, self.classes, self.noise = files, classes, noise

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        y, _ = librosa.load(self.files[index], sr=RATE)
        if self.noise:
            y = y + self.noise * np.abs(y).max() * torch.randn(len(y)).numpy()
        mel = librosa.feature.melspectrogram(
            y=y, sr=RATE, n_fft=512, win_length=400, hop_length=160, n_mels=N_MELS
        )
        db = librosa.power_to_db(mel, ref=np.max)[:, :N_FRAMES]
        padded = np.pad(db, ((0, 0), (0, N_FRAMES - db.shape[1])), constant_values=-80)
        return torch.from_numpy(padded), self.classes.index(self.files[index].parent.name)


class CnnLstm(nn.Module):
    """The layers of eavctl's ``cnn-lstm`` and of its head, in the usual order."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, 32, 3, stride=(1, 3), padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d((4, 1)),
        )
        self.dropout = nn.Dropout(0.3)
        self.lstm = nn.LSTM(64 * (N_MELS // 8), 128, batch_first=True, bidirectional=True)
        self.attention = nn.Linear(256, 1, bias=False)
        self.normalize = nn.LayerNorm(256)
        self.head = nn.Sequential(nn.Dropout(0.4), nn.Linear(256, n_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, n_classes) of spectrograms (batch, n_mels, n_frames)."""
        maps = self.convolutions((x[:, None] + 40) / 20)
        states, _ = self.lstm(self.dropout(maps.flatten(1, 2).transpose(1, 2)))
        weights = torch.softmax(self.attention(states), dim=1)
        logits: Tensor = self.head(self.normalize((weights * states).sum(dim=1)))
        return logits


def train(files: list[Path], classes: list[str], epochs: int, workers: int) -> nn.Module:
    """Train on four files in five and watch the loss on the others."""
    order = torch.randperm(len(files)).tolist()
    held_out = len(files) // 5
    validation, training = ([files[i] for i in part] for part in (order[:held_out], order[held_out:]))
    loaders = (
        DataLoader(Clips(training, classes, NOISE), BATCH, shuffle=True, num_workers=workers),
        DataLoader(Clips(validation, classes, 0.0), BATCH, num_workers=workers),
    )
    network = CnnLstm(len(classes))
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        network.train()
        for x, y in loaders[0]:
            loss = F.cross_entropy(network(x), y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimizer.step()
        scheduler.step()
        network.eval()
        with torch.inference_mode():
            for x, y in loaders[1]:
                F.cross_entropy(network(x), y)
    return network


def main() -> None:
    """Train once on a few files, which loads what is loaded on first use, then on all, with the clock on."""
    files = sorted(Path(sys.argv[1]).glob("*/*.wav"))
    classes = sorted({file.parent.name for file in files})
    torch.manual_seed(0)
    network = train(files[::10], classes, 1, 0)
    told: dict[str, float] = {"parameters": sum(each.numel() for each in network.parameters())}
    for name, workers in (("plain", 0), ("workers", 2)):
        start = time.perf_counter()
        train(files, classes, int(sys.argv[2]), workers)
        told[name] = time.perf_counter() - start
    print(json.dumps(told))


if __name__ == "__main__":
    main()

"""Small fusion networks of real encoders, and batches for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from eavctl import registry
from eavctl.classifiers.network import Criterion, StreamBatch
from eavctl.classifiers.streams import Streams

EEG, AUDIO, VIDEO = "shallow-transformer", "ast", "vit"
ALL = (EEG, AUDIO, VIDEO)
AMBT = ("ambt-mean", "ambt-concat")
METHODS = ("attention", "channel-attention", *AMBT, "law")
SHAPES: dict[str, tuple[int, ...]] = {EEG: (4, 64), AUDIO: (64, 32), VIDEO: (2, 24, 24, 3), "mlp": (6,)}
SETTINGS: dict[str, dict[str, Any]] = {
    EEG: {"filters": 8, "kernel": 5, "layers": 2, "heads": 2},
    AUDIO: {"size": "tiny"},
    VIDEO: {"size": "tiny", "frames": 2},
    "mlp": {"units": 12},
}
CRITERION = Criterion(torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64), 0.1)


def network(method: str, names: tuple[str, ...] = ALL, seed: int = 0, **settings: Any) -> Any:
    """A network of three classes, in double precision, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoders = [registry.get("encoders", name).thing(SHAPES[name], **SETTINGS[name]) for name in names]
        entry = registry.get("fusion networks", method)
        made = entry.thing(encoders, [False] * len(names), 3, **settings)
    return made.double().eval()


def values(name: str, n: int, seed: int) -> Tensor:
    x = torch.randn(n, *SHAPES[name], dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (128 + 40 * x).clamp(0, 255) if name == VIDEO else x


def batch(names: tuple[str, ...] = ALL, n: int = 4, seed: int = 1, present: Any = None) -> StreamBatch:
    there = torch.ones(n, len(names), dtype=torch.bool) if present is None else torch.tensor(present)
    return StreamBatch(tuple(values(name, n, seed + i) for i, name in enumerate(names)), there)


def changed(x: StreamBatch, stream: int, row: int) -> StreamBatch:
    """The batch with another value in one row of one stream."""
    tensors = [tensor.clone() for tensor in x.tensors]
    tensors[stream][row] = tensors[stream][row].flip(0, 1) * 0.7 + 1
    return StreamBatch(tuple(tensors), x.present)


def rows_of(x: StreamBatch, rows: list[int]) -> StreamBatch:
    return StreamBatch(tuple(tensor[rows] for tensor in x.tensors), x.present[rows])


def toy(n: int = 64, seed: int = 0, kinds: tuple[str, ...] = ("mlp", "mlp")) -> tuple[Streams, np.ndarray]:
    """Rows of two classes, told by each stream's first feature, or first channel's power."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    arrays = []
    for kind in kinds:
        x = rng.standard_normal((n, *SHAPES[kind]))
        x[:, 0] = (x[:, 0].T + 3 * (2 * y - 1) if kind == "mlp" else x[:, 0].T * (1 + 5 * y)).T
        arrays.append(x.astype(np.float32))
    return Streams(tuple(arrays), np.ones((n, len(kinds)), bool)), np.array(["no", "yes"])[y]

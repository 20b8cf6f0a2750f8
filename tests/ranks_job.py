"""What one rank does in `test_ranks`: every kind of training in float64, its losses written by rank 0.

Run by itself, or by torchrun in several processes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eavctl import ranks
from eavctl.classifiers import dnn, network
from eavctl.classifiers.fitting import Keeping
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Streams
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.fusion.networks import model as fusion
from eavctl.pretraining import fit as pretraining
from eavctl.pretraining.encoder_model import StreamEncoder

SETTINGS: dict[str, Any] = {"epochs": 2, "batch": 7, "lr": 2e-4, "device": "cpu", "validation": 0.3}
ENCODERS = {
    "mlp": ((12,), {"units": 8}),
    "cnn-lstm": ((24, 40), {}),
    "eegnet": ((4, 64), {"kernel": 8}),
    "scnn": ((60,), {}),
    "shallow-transformer": ((4, 120), {}),
    "efficientnet-b0": ((2, 32, 32, 3), {"size": "tiny"}),
}
OF_PICTURES = ("efficientnet-b0",)  # which have one type
METHODS = ("simclr", "moco", "byol", "simsiam", "vicreg", "barlow", "swav", "dino")
EEG = fusion.StreamDesign("eeg", "shallow-transformer", {}, (4, 120))
COLUMNS = fusion.StreamDesign("audio", "mlp", {"units": 8}, (12,))
FUSIONS = {
    "attention": ((EEG, COLUMNS), {"contrastive": 0.5}),
    "channel-attention": ((EEG, COLUMNS), {}),
    "ambt-mean": ((EEG, EEG), {"fusion_layers": 2}),
    "ambt-concat": ((EEG, EEG), {"fusion_layers": 2}),
    "law": ((EEG, COLUMNS), {}),
}


def labels(n_rows: int) -> np.ndarray:
    return np.array(["a", "b", "c"])[np.arange(n_rows) % 3]


def features(n_rows: int, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(n_rows)
    if len(shape) > 2:
        return rng.integers(0, 256, (n_rows, *shape), dtype=np.uint8)
    return rng.normal(size=(n_rows, *shape)).astype(np.float32)


def trained(name: str, n_rows: int) -> dict[str, Any]:
    """An encoder with a head."""
    shape, given = ENCODERS[name]
    epochs: list[Any] = []
    x = features(n_rows, shape)
    weights = np.linspace(0.5, 1.5, n_rows)
    model = dnn.fit(
        x, labels(n_rows), row_weights=weights / weights.mean(), encoder=name, encoder_settings=given,
        settings=TrainSettings(**SETTINGS), on_epoch=epochs.append,
    )  # fmt: skip
    return {"losses": losses(epochs), "proba": model.predict_proba(x).tolist()}


def fused(name: str, n_rows: int) -> dict[str, Any]:
    """Streams, of which rows lack some: the first rows the first stream, so that a rank has none of it."""
    streams, given = FUSIONS[name]
    epochs: list[Any] = []
    present = np.ones((n_rows, len(streams)), bool)
    present[: n_rows // 2, 0] = False
    present[-1, 1] = False
    x = Streams(tuple(features(n_rows, each.shape) for each in streams), present)
    design = fusion.Design(name, streams, given)
    keeping = Keeping(on_epoch=epochs.append)
    model = fusion.fit(x, labels(n_rows), design, settings=TrainSettings(**SETTINGS), keeping=keeping)
    return {"losses": losses(epochs), "proba": model.predict_proba(x).tolist()}


def pretrained(name: str, n_rows: int) -> dict[str, Any]:
    """A method of self-supervision; ``clip`` takes two streams."""
    encoders = (StreamEncoder("", "mlp", {"units": 8}, (12,)),)
    x: Any = features(n_rows, (12,))
    if name == "clip":
        encoders = tuple(StreamEncoder(each, "mlp", {"units": 8}, (12,)) for each in ("audio", "eeg"))
        x = Streams((x, features(n_rows + 1, (12,))[:n_rows]), np.ones((n_rows, 2), bool))
    epochs: list[Any] = []
    settings = pretraining.train_settings(name, epochs=2, batch=8, device="cpu")
    design = pretraining.Design(name, {}, encoders, settings)
    rows = Rows.of(x, labels(n_rows))
    pretraining.fit(rows, design, keeping=Keeping(on_epoch=epochs.append))
    return {"losses": losses(epochs)}


def losses(epochs: list[Any]) -> list[float]:
    return [value for each in epochs for value in (each.loss, each.validation_loss)]


def evaluated() -> dict[str, list[int]]:
    """How often each row of tables of 1 to 17 rows is computed, over all ranks."""
    found = {}
    network.INFERENCE_BATCH = 2
    for n_rows in range(1, 18):
        seen: list[int] = []

        def module(x: torch.Tensor, seen: list[int] = seen) -> torch.Tensor:
            seen += x[:, 0].int().tolist()
            return x

        x = np.arange(n_rows, dtype=np.float32)[:, None]
        outputs = network.forward(module, x)
        assert outputs[:, 0].tolist() == list(range(n_rows))
        found[str(n_rows)] = sorted(row for each in ranks.of_all(seen) for row in each)
    network.INFERENCE_BATCH = 64
    return found


CASES = {
    **{name: lambda name=name: trained(name, 26) for name in ENCODERS},
    "mlp of 5 rows": lambda: trained("mlp", 5),
    **{name: lambda name=name: fused(name, 22) for name in FUSIONS},
    **{name: lambda name=name: pretrained(name, 21) for name in (*METHODS, "clip")},
}
FEW = ("mlp", "eegnet", "shallow-transformer", "mlp of 5 rows", "attention", "ambt-mean", "dino")


def main(out: Path, names: Collection[str]) -> None:
    """Run the cases of these names; none are all."""
    torch.set_num_threads(1)
    with ranks.joined("cpu"):
        found: dict[str, Any] = {"evaluated": evaluated()}
        as_float32 = network._as_tensor
        network._as_tensor = lambda x: t if (t := as_float32(x)).dtype == torch.uint8 else t.double()
        for name in names or CASES:
            torch.set_default_dtype(torch.float32 if name in OF_PICTURES else torch.float64)
            found[name] = CASES[name]()
        if ranks.rank() == 0:
            out.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

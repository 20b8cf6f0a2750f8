"""Objectives of the training loop: classification, and one without labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from eavctl.classifiers.fitting import Keeping, fit_members
from eavctl.classifiers.network import CPU, build_network
from eavctl.classifiers.objective import Classification, Validation
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.training_loop import Epoch, TrainSettings

SETTINGS = TrainSettings(epochs=60, batch=8, lr=5e-2, patience=60, ema=0, weight_decay=0, device="cpu")


class Autoencoder(nn.Module):
    """Through one value and back: of rows on a line it can learn them all."""

    body = None

    def __init__(self) -> None:
        super().__init__()
        self.there, self.back = nn.Linear(4, 1), nn.Linear(1, 4)

    def forward(self, x: Tensor) -> Tensor:
        back: Tensor = self.back(self.there(x))
        return back

    def fit_input(self, x: Tensor) -> None:
        pass

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return x

    def after_step(self) -> None:
        pass


class Reconstruction:
    """Mean squared error, without labels."""

    def loss(self, network: Any, x: Tensor, y: Tensor) -> Tensor:
        return F.mse_loss(network(x), x)

    def validate(self, network: nn.Module, rows: Rows) -> Validation:
        x = torch.from_numpy(rows.array)
        with torch.inference_mode():
            return Validation(float(F.mse_loss(network(x), x)), {}, {"n": len(rows)})


def test_the_loop_trains_without_labels_by_another_objective() -> None:
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(96, 1)) * np.array([1.0, -2.0, 0.5, 1.5])).astype(np.float32)
    rows = Rows.of(x, None, groups=[f"s{i % 8}" for i in range(96)])
    epochs: list[Epoch] = []
    (result,) = fit_members(
        lambda member: Autoencoder(),
        rows,
        SETTINGS,
        {},
        Keeping(on_epoch=epochs.append),
        objective=lambda rows, train: Reconstruction(),
    )
    losses = [epoch.validation_loss for epoch in epochs]
    assert losses[-1] < 0.01 * losses[0]
    assert result["best_epoch"] == 1 + int(np.argmin(losses))
    assert result["n"] == result["n_validation"] > 0
    assert 0 < len(result["validation_groups"]) < 8
    network = Autoencoder()
    network.load_state_dict(result["weights"])
    assert Reconstruction().validate(network, rows).loss < 0.01 * losses[0]


def test_classes_weigh_alike_however_many_rows_they_have() -> None:
    """The loss is the mean over classes of the mean over their rows."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 5)).astype(np.float32), np.repeat([0, 1], [30, 10])
    meta = {"encoder": "mlp", "encoder_settings": {"units": 4}, "shape": [5], "dropout": 0.0}
    network = build_network({**meta, "classes": ["a", "b"]}).eval()
    rows = Rows(x, y, ("a", "b"))
    objective = Classification.of(rows, np.arange(40), 0.0, CPU)
    with torch.inference_mode():
        each = F.cross_entropy(network(torch.from_numpy(x)), torch.from_numpy(y), reduction="none").numpy()
        found = objective.loss(network, torch.from_numpy(x), torch.from_numpy(y))
    np.testing.assert_allclose(float(found), (each[:30].mean() + each[30:].mean()) / 2, rtol=1e-5)

"""Fine-tuning in stages: a body held fixed at first, weights from a folder, pictures that stay bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eavctl import registry
from eavctl.classifiers.dnn import TrainSettings, fit
from eavctl.classifiers.network import CPU, build_network
from eavctl.classifiers.objective import Classification
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.training_loop import Training
from eavctl.errors import UsageError

SETTINGS = TrainSettings(
    epochs=6, freeze_epochs=3, lr=1e-3, freeze_lr=2e-2, batch=16, members=1, device="cpu", patience=1
)


class Pictures(nn.Module):
    """A body with batch norm, and a neck; rows are bytes."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(int(np.prod(shape)), 8), nn.BatchNorm1d(8))
        self.neck = nn.Linear(8, 4)
        self.embedding_dim = 4
        self.seen: set[torch.dtype] = set()
        self.steps = 0

    def fit_input(self, x: Tensor) -> None:
        self.seen.add(x.dtype)

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        self.seen.add(x.dtype)
        return x

    def forward(self, x: Tensor) -> Tensor:
        embedded: Tensor = self.neck(torch.relu(self.body(x.flatten(1).float() / 255)))
        return embedded

    def after_step(self) -> None:
        self.steps += 1

    def load_weights(self, folder: Path) -> None:
        self.body.load_state_dict(torch.load(folder / "body.pt", weights_only=True))


@pytest.fixture(autouse=True)
def encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.names("encoders")
    entry = registry.Entry("encoders", "pictures", Pictures, {"modality": "video"})
    monkeypatch.setitem(registry._entries["encoders"], "pictures", entry)


def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    return (60 + 80 * y[:, None, None] + rng.integers(0, 60, (80, 3, 4))).astype(np.uint8), y.astype(np.int64)


META: dict[str, Any] = {
    "encoder": "pictures",
    "encoder_settings": {},
    "shape": (3, 4),
    "classes": ["a", "b"],
    "dropout": 0.0,
}


def training(settings: TrainSettings) -> Training:
    x, y = rows()
    train, validation = np.arange(64), np.arange(64, 80)
    given = Rows(x, y, ("a", "b"))
    objective = Classification.of(given, train, settings.label_smoothing, CPU)
    return Training(lambda: build_network(META), objective, given, (train, validation), settings)


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def moved(before: dict[str, Tensor], module: nn.Module) -> set[str]:
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


def test_the_body_and_its_batch_norm_stand_still_until_the_frozen_epochs_are_over() -> None:
    run = training(SETTINGS)
    body, neck = run.network.encoder.body, run.network.encoder.neck
    before_body, before_neck = state(body), state(neck)
    rates = [run.run_epoch().lr for _ in range(3)]
    assert moved(before_body, body) == set()
    assert moved(before_neck, neck) == {"weight", "bias"}
    assert max(rates) > SETTINGS.lr
    assert run.run_epoch().lr <= SETTINGS.lr
    assert {"0.weight", "1.weight", "1.running_mean"} <= moved(before_body, body)


def test_patience_does_not_end_the_training_before_the_whole_has_learned() -> None:
    run = training(replace(SETTINGS, freeze_lr=1e-9))
    while not run.ended:
        run.run_epoch()
    assert run.epoch > SETTINGS.freeze_epochs


def test_pictures_stay_bytes_and_every_step_is_told() -> None:
    run = training(SETTINGS)
    run.run_epoch()
    assert run.network.encoder.seen == {torch.uint8}
    assert run.network.encoder.steps == 4


def test_weights_come_from_the_folder_and_into_the_account(tmp_path: Path) -> None:
    expected = build_network(META).encoder.body.state_dict()
    torch.save(expected, tmp_path / "body.pt")
    x, y = rows()
    held = replace(SETTINGS, freeze_epochs=SETTINGS.epochs)
    model = fit(x, y.astype(str), encoder="pictures", settings=held, weights=tmp_path)
    found = model.state_dict()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[f"0.encoder.body.{name}"], tensor)
    assert len(model.to_meta()["training"]["weights"]) == 32


def test_an_encoder_without_a_body_takes_neither_weights_nor_frozen_epochs(tmp_path: Path) -> None:
    x = np.zeros((20, 16, 20), np.float32)
    labels = np.array(["a", "b"] * 10)
    for options in ({"weights": tmp_path, "settings": TrainSettings(epochs=2)}, {"settings": SETTINGS}):
        with pytest.raises(UsageError, match="no pretrained body"):
            fit(x, labels, encoder="cnn-lstm", **options)
    with pytest.raises(UsageError, match="frozen"):
        TrainSettings(epochs=3, freeze_epochs=4)

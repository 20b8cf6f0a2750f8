"""The default schedule counts steps of the optimizer where rows are few, and epochs elsewhere."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from eavctl.classifiers import dnn
from eavctl.classifiers.calibration import uar
from eavctl.classifiers.training_loop import EPOCHS, FEW_ROWS, LEAST_STEPS, Epoch, TrainSettings
from eavctl.errors import TrainingWarning, UsageError

DEFAULT = TrainSettings(device="cpu")
RATE = 100  # Hz


def steps(settings: TrainSettings, n_rows: int) -> int:
    """Steps of a whole training, of rows that are not kept for validation."""
    return settings.most_epochs * math.ceil(n_rows * (1 - settings.validation) / settings.batch)


@pytest.mark.parametrize("batch", [4, 16, 64, 1000])
def test_no_number_of_rows_is_trained_for_fewer_steps_or_epochs_than_the_least(batch: int) -> None:
    default = replace(DEFAULT, batch=batch)
    for n_rows in (1, 2, 15, 16, 17, 30, 45, FEW_ROWS - 1, FEW_ROWS, 200, 281, 282, 1000):
        settings = default.for_rows(n_rows)
        n_batches = steps(settings, n_rows) // settings.most_epochs
        assert settings.most_epochs >= EPOCHS
        assert LEAST_STEPS <= steps(settings, n_rows) < max(LEAST_STEPS, EPOCHS * n_batches) + n_batches
        assert settings.patience / settings.most_epochs >= default.patience / EPOCHS
        assert (settings.validation == 0) == (n_rows < FEW_ROWS)


def test_tables_that_are_large_enough_are_trained_as_by_forty_epochs() -> None:
    for n_rows in (300, 720, 100_000):
        assert DEFAULT.for_rows(n_rows) == replace(DEFAULT, epochs=40)
    assert DEFAULT.for_rows(250) != replace(DEFAULT, epochs=40)


def test_a_number_of_epochs_that_was_asked_for_holds_for_few_rows_too() -> None:
    for epochs in (1, 40, 500):
        asked = replace(DEFAULT, epochs=epochs)
        assert asked.for_rows(20) is asked
    with pytest.raises(UsageError, match="41 of 40 epochs"):
        TrainSettings(freeze_epochs=41)


def rhythms(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise of four channels, 2 s a row; an alpha rhythm in the second or the third tells the class."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    times = np.arange(2 * RATE) / RATE
    x = 10 * rng.standard_normal((n, 4, len(times)))
    phases = rng.uniform(0, 2 * np.pi, n)
    x[np.arange(n), 1 + y] += 8 * np.sin(2 * np.pi * 10 * times + phases[:, None])
    return x.astype(np.float32), np.array(["left", "right"])[y]


def fitted(x: np.ndarray, labels: np.ndarray, settings: TrainSettings, **options: Any) -> dnn.DnnModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)  # without validation
        return dnn.fit(x, labels, settings=settings, **options)


def test_eegnet_learns_a_rhythm_from_thirty_rows() -> None:
    x, labels = rhythms(30, 0)
    new, truth = rhythms(200, 1)
    model = fitted(x, labels, DEFAULT, encoder="eegnet", encoder_settings={"d": 2, "f2": 16})
    member = model.to_meta()["training"]["members"][0]
    assert (member["n_train"], member["n_validation"]) == (30, 0)
    assert member["best_epoch"] == member["epochs"]
    assert uar((model.predict(new) == "left").astype(int), (truth == "left").astype(int)) > 0.85
    assert model.predict_proba(new).max() < 1  # not trained to certainty


def test_an_epoch_without_validation_shows_no_score() -> None:
    epoch = Epoch(0, 3, 0.1, 0.5, math.nan, {"UAR": math.nan}, {"agreement": 0.25})
    assert "nan" not in str(epoch)
    assert "0.250" in str(epoch)


def test_a_table_that_is_large_enough_has_the_weights_of_forty_epochs() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 5)).astype(np.float32)
    labels = np.where(x[:, 0] > 0, "a", "b")
    default, asked = (
        fitted(x, labels, settings, encoder="mlp") for settings in (DEFAULT, replace(DEFAULT, epochs=40))
    )
    assert default.to_meta() == asked.to_meta()
    for name, value in default.state_dict().items():
        assert torch.equal(value, asked.state_dict()[name])


def test_altered_copies_do_not_make_few_rows_many() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((FEW_ROWS + 30, 5)).astype(np.float32)
    labels = np.where(x[:, 0] > 0, "a", "b")
    units = np.arange(len(x)) % (FEW_ROWS - 10)
    copies = np.arange(len(x)) >= FEW_ROWS - 10
    model = fitted(x, labels, DEFAULT, encoder="mlp", units=units.astype(str), copies=copies)
    assert model.to_meta()["training"]["members"][0]["n_validation"] == 0

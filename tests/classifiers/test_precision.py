"""Other ways to compute a training: bfloat16, a compiled loss, and a GPU where there is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from eavctl.classifiers import dnn
from eavctl.classifiers.fitting import Keeping
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.training_loop import Epoch, TrainSettings
from eavctl.errors import UsageError
from eavctl.pretraining import fit as pretraining
from eavctl.pretraining.encoder_model import StreamEncoder

N_ROWS = 48
LABELS = np.array(["a", "b", "c"])[np.arange(N_ROWS) % 3]


def rows(*shape: int) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=(N_ROWS, *shape))
    means = (np.arange(N_ROWS) % 3).reshape(-1, *[1] * len(shape))
    return (noise + means).astype(np.float32)


def losses(encoder: str, x: np.ndarray, settings: dict[str, Any] | None = None, **given: Any) -> list[float]:
    epochs: list[Epoch] = []
    training = TrainSettings(epochs=3, batch=16, validation=0.25, **{"device": "cpu", **given})
    dnn.fit(
        x, LABELS, encoder=encoder, encoder_settings=settings or {}, settings=training, on_epoch=epochs.append
    )
    return [value for each in epochs for value in (each.loss, each.validation_loss)]


@pytest.mark.parametrize(("encoder", "shape"), [("mlp", (20,)), ("cnn-lstm", (24, 40)), ("eegnet", (4, 64))])
def test_bfloat16_has_nearly_the_same_losses(encoder: str, shape: tuple[int, ...]) -> None:
    exact, rough = (losses(encoder, rows(*shape), precision=each) for each in ("float32", "bfloat16"))
    assert rough != exact
    np.testing.assert_allclose(rough, exact, rtol=0.03)


@pytest.mark.slow
def test_a_compiled_loss_is_the_same() -> None:
    np.testing.assert_allclose(losses("mlp", rows(20), compile=True), losses("mlp", rows(20)), rtol=1e-4)


def test_ranks_are_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "localhost"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="torchrun"):
        TrainSettings(compile=True)


on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@on_gpu
@pytest.mark.parametrize(("encoder", "shape"), [("mlp", (20,)), ("cnn-lstm", (24, 40)), ("eegnet", (4, 64))])
def test_a_gpu_has_nearly_the_same_first_loss(encoder: str, shape: tuple[int, ...]) -> None:
    """Random numbers differ between devices, so without dropout and augmentation."""
    still = {"dropout": 0.0}
    found = [losses(encoder, rows(*shape), still, dropout=0.0, device=each) for each in ("cpu", "cuda")]
    assert all(np.isfinite(found[1]))
    if encoder == "mlp":  # the others augment
        np.testing.assert_allclose(found[1][1], found[0][1], rtol=0.05)


@on_gpu
@pytest.mark.parametrize("method", ["simclr", "byol", "moco", "swav", "dino"])
def test_a_gpu_pretrains(method: str) -> None:
    epochs: list[Epoch] = []
    encoder = StreamEncoder("", "mlp", {"units": 8}, (20,))
    settings = pretraining.train_settings(method, epochs=2, batch=16, device="cuda")
    design = pretraining.Design(method, {}, (encoder,), settings)
    pretraining.fit(Rows.of(rows(20), LABELS), design, keeping=Keeping(on_epoch=epochs.append))
    assert all(np.isfinite(each.loss) for each in epochs)

"""``convnet``: the published sizes, standardised input, shifts and mirrors that move pixels and no more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from eavctl.classifiers.dnn import fit
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.encoders.augmentation import moved, relit
from eavctl.encoders.convnet import ConvNet
from eavctl.errors import DataError

SMALL: dict[str, Any] = {"channels": [4, 8, 8], "units": 16}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int = 4, shape: tuple[int, ...] = (28, 28, 1)) -> Tensor:
    return torch.randint(256, (n, *shape), dtype=torch.uint8, generator=generator(1))


def test_the_layers_are_those_of_the_walk_through() -> None:
    encoder = ConvNet((28, 28, 1))
    sizes = [part.weight.shape[:2] for part in encoder.convolutions if isinstance(part, torch.nn.Conv2d)]
    assert sizes == [(32, 1), (64, 32), (128, 64)]
    assert encoder.linear.weight.shape == (256, 1152)
    assert encoder.embedding_dim == 256


@pytest.mark.parametrize("shape", [(8, 8, 1), (17, 40, 3), (28, 28, 1)])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_any_size_and_colour_from_8_pixels_on(shape: tuple[int, ...], norm: Any) -> None:
    encoder = ConvNet(shape, channels=(4, 4, 4), units=7, norm=norm).eval()
    assert encoder(pictures(2, shape)).shape == (2, 7)


@pytest.mark.parametrize("shape", [(7, 28, 1), (28, 28), (25, 28, 28, 3), (3, 28, 28)])
def test_other_rows_are_refused_with_what_to_do(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="--features images"):
        ConvNet(shape)


def test_bytes_and_floats_give_one_embedding_and_the_input_is_standardised_by_channel() -> None:
    encoder, x = ConvNet((12, 12, 3), channels=(4, 4, 4), units=5).eval(), pictures(5000, (12, 12, 3))
    x[..., 2] = 9
    encoder.fit_input(x)
    values = x.numpy().reshape(-1, 3).astype(float)
    np.testing.assert_allclose(encoder.mean, values.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(encoder.std[:2], values.std(axis=0)[:2], rtol=1e-6)
    assert encoder.std[2] == 1
    assert torch.equal(encoder(x[:3]), encoder(x[:3].float()))


def test_moved_pictures_are_numpys() -> None:
    x = pictures(3, (10, 20, 2))
    shifts = torch.tensor([[0.2, 0.0, -0.1], [0.1, -0.25, 0.0]])  # of 10 and 20 pixels
    found = moved(x, shifts, torch.tensor([False, False, True]))
    for i, (down, right) in enumerate([(2, 2), (0, -5), (-1, 0)]):
        edged = np.pad(x[i].numpy(), ((5, 5), (5, 5), (0, 0)), mode="edge")
        expected = edged[5 - down : 15 - down, 5 - right : 25 - right]
        assert np.array_equal(found[i], expected[:, ::-1] if i == 2 else expected)


def test_brightness_scales_the_mean_and_contrast_what_differs_from_it() -> None:
    x = 100 + 10 * torch.randn(2, 30, 30, 1, generator=generator())
    found = relit(x, torch.tensor([1.2, 1.0]), torch.tensor([1.0, 0.5]))
    torch.testing.assert_close(found.mean(dim=(1, 2, 3)), x.mean(dim=(1, 2, 3)) * torch.tensor([1.2, 1.0]))
    torch.testing.assert_close(found.std(dim=(1, 2, 3)), x.std(dim=(1, 2, 3)) * torch.tensor([1.2, 0.5]))


def test_pictures_of_letters_are_not_mirrored() -> None:
    x = torch.zeros(64, 32, 32, 1)
    x[:, :, :8] = 200
    for mirror, n_mirrored in ((False, range(1)), (True, range(16, 49))):
        varied = ConvNet((32, 32, 1), **SMALL, mirror=mirror).augment(x, generator())
        assert (
            int((varied[:, :, 24:].mean(dim=(1, 2, 3)) > varied[:, :, :8].mean(dim=(1, 2, 3))).sum())
            in n_mirrored
        )


def test_it_learns_bars() -> None:
    rng = np.random.default_rng(0)
    labels = np.tile(["across", "down"], 60)
    x = rng.integers(0, 120, (120, 16, 16, 1)).astype(np.uint8)
    for row, label in zip(x, labels, strict=True):
        place = rng.integers(3, 13)
        if label == "across":
            row[place] = 250
        else:
            row[:, place] = 250
    settings = TrainSettings(epochs=20, lr=0.006, batch=16, ema=0)
    model = fit(x[:80], labels[:80], encoder="convnet", encoder_settings=SMALL, settings=settings)
    found = model.predict_proba(x[80:]).argmax(axis=1)
    assert (np.array(model.classes_)[found] == labels[80:]).mean() > 0.9

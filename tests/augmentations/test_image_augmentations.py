"""Augmentations of pictures against what is known of them."""

from __future__ import annotations

import colorsys
import math

import pytest
import torch
from augmented_rows import alter, generator, rows
from torch import Tensor

from eavctl.augmentations import images

LUMINANCE = torch.tensor([0.299, 0.587, 0.114])


def luminance(x: Tensor) -> Tensor:
    return torch.einsum("c,bfchw->bfhw", LUMINANCE, x)


def test_a_crop_of_the_whole_picture_is_the_picture() -> None:
    x = rows("images")
    torch.testing.assert_close(alter("crop", "images", x, scale=1, ratio=1), x, rtol=1e-4, atol=1e-2)


def test_a_crop_shows_a_part_of_the_picture_enlarged() -> None:
    """A ramp stays a ramp; its slope is the side of the box, and its values come from within."""
    ramp = torch.arange(20.0).expand(200, 1, 1, 20, 20)
    found = alter("crop", "images", ramp, scale=0.25, ratio=1.5)
    inner = found[:, 0, 0, 10, 1:-1]
    slopes = inner.diff(dim=1)
    torch.testing.assert_close(slopes, slopes[:, :1].expand_as(slopes), rtol=1e-3, atol=1e-3)
    width = slopes[:, 0]
    turned = alter("crop", "images", ramp.transpose(3, 4), scale=0.25, ratio=1.5)
    height = turned[:, 0, 0, 1:-1, 10].diff(dim=1)[:, 0]
    area, ratio = width * height, width / height
    assert 0.25 - 1e-3 <= area.min() < 0.3
    assert area.max() > 0.9
    whole = (width > 1 - 1e-3) | (height > 1 - 1e-3)  # a long box is cut at the border
    assert 1 / 1.5 - 1e-3 <= ratio[~whole].min() < 0.75
    assert 1.35 < ratio[~whole].max() <= 1.5 + 1e-3
    assert found.min() >= 0
    assert found.max() <= 19


def test_a_crop_interpolates_bilinearly() -> None:
    """Against `grid_sample` with the same box."""
    x = rows("images", n=1)
    found = alter("crop", "images", x, scale=0.5)
    drawn = [float(torch.rand(1, generator=each)) for each in [generator()] * 4]
    area, turned = 0.5 + 0.5 * drawn[0], (2 * drawn[1] - 1) * math.log(1.33) / 2
    height, width = min(1, math.sqrt(area) / math.exp(turned)), min(1, math.sqrt(area) * math.exp(turned))
    top, left = (1 - height) * drawn[2], (1 - width) * drawn[3]
    theta = torch.tensor([[[width, 0, 2 * left + width - 1], [0, height, 2 * top + height - 1]]])
    grid = torch.nn.functional.affine_grid(theta, list(x[:, 0].shape), align_corners=False)
    expected = torch.nn.functional.grid_sample(x[:, 0], grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(found[:, 0], expected, rtol=1e-4, atol=1e-2)


def test_two_flips_are_none() -> None:
    x = rows("images")
    once = alter("flip", "images", x, p=1)
    assert torch.equal(once, x.flip(4))
    assert torch.equal(alter("flip", "images", once, p=1), x)


@pytest.mark.parametrize(("name", "share"), [("flip", 0.5), ("grey", 0.2), ("jitter", 1), ("blur", 0.5)])
def test_the_share_of_altered_pictures_is_as_stated(name: str, share: float) -> None:
    x = rows("images", n=1).expand(2000, -1, -1, -1, -1)
    altered = (alter(name, "images", x) - x).abs().amax(dim=(1, 2, 3, 4)) > 1e-3
    assert float(altered.float().mean()) == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_jitter_of_no_strength_is_none(channels: int) -> None:
    x = rows("images", channels=channels)
    torch.testing.assert_close(alter("jitter", "images", x, strength=0, p=1), x, rtol=1e-5, atol=1e-3)


def test_saturation_and_hue_keep_luminance_and_grey() -> None:
    x = rows("images", n=50)
    saturation, turn = 2 * torch.rand(50, generator=generator()), torch.rand(50, generator=generator(1))
    found = images._recoloured(x, saturation, turn)
    torch.testing.assert_close(luminance(found), luminance(x), rtol=1e-4, atol=1e-2)
    even = x[:, :, :1].expand_as(x)
    torch.testing.assert_close(images._recoloured(even, saturation, turn), even, rtol=1e-4, atol=1e-2)
    assert (found - x).abs().max() > 10


def test_no_saturation_is_grey_and_a_third_of_the_circle_turns_red_to_green_or_blue() -> None:
    red = torch.tensor([200.0, 50.0, 50.0]).reshape(1, 1, 3, 1, 1)
    one, third = torch.ones(1), torch.full((1,), 1 / 3)
    without = images._recoloured(red, torch.zeros(1), torch.zeros(1)).flatten()
    torch.testing.assert_close(without, without[0].expand(3), rtol=1e-4, atol=1e-2)
    hues = []
    for turn in (third, -third):
        colour = images._recoloured(red, one, turn).flatten().clamp(0, 255) / 255
        hues.append(colorsys.rgb_to_hsv(*colour.tolist())[0])
    assert sorted(hues) == pytest.approx([1 / 3, 2 / 3], abs=0.08)


def test_jitter_varies_brightness_and_contrast_of_grey_pictures_by_its_strength() -> None:
    """Every picture is an affine map of its own: contrast is the slope, brightness the change of the mean."""
    x = 100 + 20 * torch.rand((500, 1, 1, 8, 8), generator=generator(1))
    found = alter("jitter", "images", x, strength=0.2, p=1).flatten(1)
    flat = x.flatten(1)
    brightness = found.mean(dim=1) / flat.mean(dim=1)
    contrast = found.std(dim=1) / flat.std(dim=1) / brightness
    for factor in (brightness, contrast):
        assert 0.8 - 1e-3 <= factor.min() < 0.82
        assert 1.18 < factor.max() <= 1.2 + 1e-3
    assert abs(torch.corrcoef(torch.stack([brightness, contrast]))[0, 1]) < 0.15


def test_grey_has_three_equal_channels_of_the_same_luminance() -> None:
    x = rows("images")
    found = alter("grey", "images", x, p=1)
    assert torch.equal(found[:, :, 0], found[:, :, 1])
    assert torch.equal(found[:, :, 0], found[:, :, 2])
    torch.testing.assert_close(found[:, :, 0], luminance(x))
    one = rows("images", channels=1)
    assert torch.equal(alter("grey", "images", one, p=1), one)


def test_blur_keeps_a_constant_and_spreads_a_point_evenly() -> None:
    constant = torch.full((3, 1, 1, 9, 9), 77.0)
    torch.testing.assert_close(alter("blur", "images", constant, p=1), constant)
    point = torch.zeros(5, 1, 1, 9, 9)
    point[:, :, :, 4, 4] = 100
    found = alter("blur", "images", point, p=1)
    torch.testing.assert_close(found.sum(dim=(3, 4)), point.sum(dim=(3, 4)))
    for same in (found.flip(3), found.flip(4), found.transpose(3, 4)):
        torch.testing.assert_close(found, same)
    assert (found[:, 0, 0, 3:6, 3:6] > 0).all()
    assert (found[:, 0, 0, 2] == 0).all()  # three pixels, in a small picture


@pytest.mark.parametrize(("side", "reach"), [(28, 1), (56, 2), (100, 5)])
def test_blur_is_a_gaussian_of_a_tenth_of_the_side(side: int, reach: int) -> None:
    point = torch.zeros(1, 1, 1, side, side + 5)
    point[..., side // 2, side // 2] = 1
    found = alter("blur", "images", point, p=1)[0, 0, 0]
    weights = found.sum(dim=1)
    distance = (torch.arange(side) - side // 2).abs()
    assert torch.equal(weights > 0, distance <= reach)
    torch.testing.assert_close(found[:, :side], torch.outer(weights, weights))
    near = distance <= reach
    log = (weights[near] / weights.max()).log()
    torch.testing.assert_close(log, log.min() * (distance[near] / reach) ** 2, rtol=1e-3, atol=1e-4)


def test_erase_fills_one_box_with_the_mean_colour() -> None:
    x = rows("images", n=300, n_frames=2)
    found = alter("erase", "images", x, p=1, share=0.2)
    mean = x.mean(dim=(1, 3, 4), keepdim=True)
    erased = (found == mean).all(dim=(1, 2))
    torch.testing.assert_close(torch.where(erased[:, None, None], x, found), x)
    box = erased.any(dim=2)[:, :, None] & erased.any(dim=1)[:, None]
    assert torch.equal(box, erased)
    area = erased.float().mean(dim=(1, 2))
    assert 0 <= area.min() < 0.05
    assert 0.15 < area.max() <= 0.3  # whole pixels of 120

"""Augmentations of pictures: (batch, n_frames, channels, height, width), values from 0 to 255.

The frames of a clip are altered alike.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Generator, Tensor

from eavctl.augmentations.draws import Chance, chosen, uniform
from eavctl.augmentations.kind import IMAGES, Kind
from eavctl.registry import register
from eavctl.settings import Within

BRIGHTEST = 255.0
YIQ = torch.tensor([(0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])  # from RGB
RGB = torch.linalg.inv(YIQ)
LUMINANCE = YIQ[0]
LEAST_SIGMA = 0.1  # pixels
LEAST_ERASED = 0.02  # of the area
LONGEST_ERASED = 3.0  # the longer side over the shorter one


@register("augmentations", "crop", of=(IMAGES,), order=1, default=True)
def crop(
    x: Tensor,
    generator: Generator,
    kind: Kind,
    *,
    scale: Annotated[float, Within(0.01, 1)] = 0.3,
    ratio: Annotated[float, Within(1, 10)] = 1.33,
) -> Tensor:
    """Cut out a random box and resize it bilinearly to the whole picture [1]_.

    Parameters
    ----------
    x : shape (batch, n_frames, channels, height, width).
    generator : random generator on the device of ``x``.
    scale : least share of the picture's area; the largest is 1.
    ratio : most by which the box's width over its height, or the inverse, differs from the picture's.

    References
    ----------
    .. [1] Szegedy et al.: Going deeper with convolutions, 2015.
    """
    flat = x.flatten(1, 2)
    area = uniform(x, scale, 1, generator)
    longer = (0.5 * uniform(x, -math.log(ratio), math.log(ratio), generator)).exp()
    rows = _places(flat, area.sqrt() / longer, 2, generator)[:, :, None]
    columns = _places(flat, area.sqrt() * longer, 3, generator)[:, None]
    size = (len(x), *x.shape[3:])
    grid = torch.stack([columns.expand(size), rows.expand(size)], dim=3)
    return F.grid_sample(flat, grid, padding_mode="border", align_corners=False).reshape(x.shape)


@register("augmentations", "flip", of=(IMAGES,), order=2, default=True)
def flip(x: Tensor, generator: Generator, kind: Kind, *, p: Chance = 0.5) -> Tensor:
    """Mirror some pictures, left to right.

    Parameters
    ----------
    x : shape (batch, n_frames, channels, height, width).
    generator : random generator on the device of ``x``.
    p : share of the pictures.
    """
    return torch.where(chosen(x, p, generator), x.flip(4), x)


@register("augmentations", "jitter", of=(IMAGES,), order=3, default=True)
def jitter(x: Tensor, generator: Generator, kind: Kind, *, strength: Chance = 0.8, p: Chance = 1.0) -> Tensor:
    """Vary brightness, contrast, saturation and hue [1]_; of grey pictures the first two.

    Saturation scales the two colour axes of YIQ, and hue turns them. Neither changes luminance, so the order
    of the four makes no difference.

    Parameters
    ----------
    x : shape (batch, n_frames, channels, height, width).
    generator : random generator on the device of ``x``.
    strength : most by which brightness, contrast and saturation are scaled up or down, as a share; the hue is
        turned by up to a quarter of it, as a share of the circle.
    p : share of the pictures.

    References
    ----------
    .. [1] Chen et al.: A simple framework for contrastive learning of visual representations, 2020.
    """
    extent = strength * chosen(x, p, generator)
    brightness, contrast, saturation = (1 + extent * uniform(x, -1, 1, generator) for _ in range(3))
    turn = extent / 4 * uniform(x, -1, 1, generator)
    is_colour = x.shape[2] == 3
    mean = (_luminance(x) if is_colour else x).mean(dim=(1, 2, 3, 4), keepdim=True)
    coloured = _recoloured(x, saturation, turn) if is_colour else x
    varied = torch.addcmul(mean * (brightness * (1 - contrast)), coloured, brightness * contrast)
    return varied.clamp_(0, BRIGHTEST)


@register("augmentations", "grey", of=(IMAGES,), order=4, default=True)
def grey(x: Tensor, generator: Generator, kind: Kind, *, p: Chance = 0.2) -> Tensor:
    """Replace the three colours of some pictures by their luminance; grey pictures stay as they are.

    Parameters
    ----------
    x : shape (batch, n_frames, channels, height, width).
    generator : random generator on the device of ``x``.
    p : share of the pictures.
    """
    if x.shape[2] == 1:
        return x
    return torch.where(chosen(x, p, generator), _luminance(x), x)


@register("augmentations", "blur", of=(IMAGES,), order=5, default=True)
def blur(
    x: Tensor,
    generator: Generator,
    kind: Kind,
    *,
    sigma: Annotated[float, Within(LEAST_SIGMA, 100)] = 2.0,
    p: Chance = 0.5,
) -> Tensor:
    """Blur some pictures with a Gaussian kernel [1]_, a tenth of the side long, but at least 3 pixels.

    Parameters
    ----------
    x : shape (batch, n_frames, channels, height, width).
    generator : random generator on the device of ``x``.
    sigma : largest standard deviation, pixels; the smallest is 0.1.
    p : share of the pictures.

    References
    ----------
    .. [1] Chen et al.: A simple framework for contrastive learning of visual representations, 2020.
    """
    reach = max(1, min(x.shape[3:]) // 20)
    kernels = _gaussian(uniform(x, LEAST_SIGMA, sigma, generator), reach)
    pictures = x.flatten(0, 2)[None]  # a depthwise convolution, with a kernel for each channel of each frame
    kernels = kernels.expand(-1, x.shape[1] * x.shape[2], -1, -1).flatten(0, 1)[:, None]
    padded = F.pad(pictures, (reach,) * 4, mode="replicate")
    blurred = F.conv2d(padded, kernels, groups=len(kernels)).reshape(x.shape)
    return torch.where(chosen(x, p, generator), blurred, x)


@register("augmentations", "erase", of=(IMAGES,), order=6, default=True)
def erase(
    x: Tensor,
    generator: Generator,
    kind: Kind,
    *,
    share: Annotated[float, Within(LEAST_ERASED, 1)] = 0.3,
    p: Chance = 1.0,
) -> Tensor:
    """Fill a random box of some pictures with the picture's mean colour [1]_.

    Parameters
    ----------
    x : shape (batch, n_frames, channels, height, width).
    generator : random generator on the device of ``x``.
    share : largest share of the picture's area; the smallest is 0.02.
    p : share of the pictures.

    References
    ----------
    .. [1] Zhong et al.: Random erasing data augmentation, 2020.
    """
    area = uniform(x, LEAST_ERASED, share, generator)
    longer = (0.5 * uniform(x, -1, 1, generator) * math.log(LONGEST_ERASED)).exp()
    rows = _interval(x, area.sqrt() / longer, x.shape[3], generator)
    columns = _interval(x, area.sqrt() * longer, x.shape[4], generator)
    erased = rows[..., None] & columns[..., None, :] & chosen(x, p, generator)
    return torch.where(erased, x.mean(dim=(1, 3, 4), keepdim=True), x)


def _places(x: Tensor, length: Tensor, axis: int, generator: Generator) -> Tensor:
    """Where the pixels of a random interval of an axis are, (batch, size), as `grid_sample` takes them.

    Parameters
    ----------
    length : of the interval, as a share of the axis, (batch, 1, ...); a longer one is cut to the whole axis.
    """
    length = length.reshape(-1, 1).clamp(max=1)
    start = (1 - length) * uniform(length, 0, 1, generator)
    size = x.shape[axis]
    centres = (torch.arange(size, device=x.device) + 0.5) / size
    return 2 * torch.addcmul(start, length, centres) - 1


def _gaussian(sigma: Tensor, reach: int) -> Tensor:
    """Kernels (batch, 1, 2 * reach + 1, 2 * reach + 1) of a standard deviation each, in pixels."""
    offsets = torch.arange(-reach, reach + 1, device=sigma.device)
    weights = (-0.5 * (offsets / sigma.reshape(-1, 1, 1)).square()).exp()
    weights = weights / weights.sum(dim=2, keepdim=True)
    return (weights.transpose(1, 2) @ weights)[:, None]


def _luminance(x: Tensor) -> Tensor:
    """Luminance of RGB pictures, (batch, n_frames, 1, height, width)."""
    found: Tensor = LUMINANCE.to(x.device) @ x.flatten(3)
    return found.reshape(*x.shape[:2], 1, *x.shape[3:])


def _recoloured(x: Tensor, saturation: Tensor, turn: Tensor) -> Tensor:
    """RGB pictures of another saturation (a factor) and hue (turned by a share of the circle), as in YIQ."""
    angle, scale = 2 * math.pi * turn.flatten(), saturation.flatten()
    mixed = x.new_zeros(len(x), 3, 3)
    mixed[:, 0, 0] = 1
    mixed[:, 1, 1] = mixed[:, 2, 2] = scale * angle.cos()
    mixed[:, 2, 1] = scale * angle.sin()
    mixed[:, 1, 2] = -mixed[:, 2, 1]
    matrix = RGB.to(x.device) @ mixed @ YIQ.to(x.device)
    found: Tensor = matrix[:, None] @ x.flatten(3)
    return found.reshape(x.shape)


def _interval(x: Tensor, length: Tensor, size: int, generator: Generator) -> Tensor:
    """Mask of a random interval of an axis, bool (batch, 1, 1, size); its length as a share of the axis."""
    length = length.reshape(-1, 1, 1, 1).clamp(max=1) * size
    start = (size - length) * uniform(length, 0, 1, generator)
    centres = torch.arange(size, device=x.device) + 0.5
    inside: Tensor = (centres >= start) & (centres < start + length)
    return inside

"""Masks of spectrograms and changes of pictures, on batches, that encoders use for augmentation."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

PADDING_TOLERANCE = 1e-3
N_MASKS = 2
BRIGHTEST = 255.0  # of the values of pictures


def unpadded(x: Tensor, padding: float | None = None) -> Tensor:
    """Mask of the frames that are not padding: bool (batch, n_frames) for x (batch, n_mels, n_frames).

    Padding is the run of frames at the end that have the value ``padding``; where that is None, of equal
    frames. The first frame never counts as padding, so every clip has at least one frame.
    """
    last = x[:, :, -1:] if padding is None else padding
    differs = (x - last).abs().amax(dim=1) > PADDING_TOLERANCE
    frames = torch.arange(x.shape[2], device=x.device)
    return frames <= (differs * frames).amax(dim=1, keepdim=True)


def stripes(x: Tensor, size: int, share: float, generator: torch.Generator) -> Tensor:
    """Mask of two random intervals per sample, each of up to ``share`` of an axis: bool (batch, size)."""
    shape = (len(x), N_MASKS, 1)
    width = torch.rand(shape, generator=generator, device=x.device) * share * size
    start = torch.rand(shape, generator=generator, device=x.device) * (size - width)
    indices = torch.arange(size, device=x.device)
    return ((indices >= start) & (indices < start + width)).any(dim=1)


def moved(x: Tensor, shifts: Tensor, mirrored: Tensor) -> Tensor:
    """Shift pictures, repeating their edges, and mirror some of them, left to right.

    Parameters
    ----------
    x : shape (batch, height, width, channels).
    shifts : shape (2, batch): down and to the right, as shares of the height and the width; rounded to whole
        pixels.
    mirrored : bool, shape (batch,).
    """
    height, width = x.shape[1:3]
    rows = torch.arange(height, device=x.device) - (shifts[0] * height).round().long()[:, None]
    columns = torch.arange(width, device=x.device) - (shifts[1] * width).round().long()[:, None]
    columns = torch.where(mirrored[:, None], width - 1 - columns, columns)
    pictures = torch.arange(len(x), device=x.device)[:, None, None]
    return x[pictures, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]]


def reframed(x: Tensor, mirrored: Tensor, angle: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Cut each clip to a rotated rectangle, and resize it bilinearly to the size of the pictures.

    Parameters
    ----------
    x : float, shape (batch, n_frames, height, width, channels); the frames of a clip are cut alike.
    mirrored : bool, shape (batch,): whether the result is mirrored, left to right.
    angle : of the rectangle, in radians, shape (batch,).
    scale : height and width of the rectangle over those of the pictures, shape (batch,).
    shift : of its centre across and down, over width and height of the pictures, shape (2, batch).

    Returns
    -------
    float, of the shape of ``x``. Beyond the pictures, their edge is repeated.
    """
    batch, n_frames, height, width, channels = x.shape
    flat = x.permute(0, 1, 4, 2, 3).reshape(batch, n_frames * channels, height, width)
    offset = 2 * shift  # the grid's width and height are 2
    cos, sin, across = angle.cos(), angle.sin(), torch.where(mirrored, -scale, scale)
    rows = (across * cos, -scale * sin, offset[0]), (across * sin, scale * cos, offset[1])
    turn = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    grid = F.affine_grid(turn, list(flat.shape), align_corners=False)
    found = F.grid_sample(flat, grid, padding_mode="border", align_corners=False)
    return found.reshape(batch, n_frames, channels, height, width).permute(0, 1, 3, 4, 2)


def relit(x: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    """Change the brightness and contrast of each picture or clip; the contrast around its mean.

    Parameters
    ----------
    x : shape (batch, ..., height, width, channels), bytes or floats from 0 to 255.
    brightness, contrast : factors, shape (batch,).

    Returns
    -------
    float32, from 0 to 255.
    """
    each = (len(x), *(1,) * (x.ndim - 1))
    brightness, contrast = brightness.reshape(each), contrast.reshape(each)
    lit = x.to(torch.float32)
    mean = lit.mean(dim=tuple(range(1, x.ndim)), keepdim=True) * brightness
    return (lit * (brightness * contrast) + mean * (1 - contrast)).clamp_(0, BRIGHTEST)

"""Cropping, resizing, fitting and rotating pictures, without aliasing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

GREY = 128  # level around pictures that do not fill a square


def cut_out(picture: np.ndarray, box: Sequence[float] | np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Crop a picture to a box and resize it; outside the picture, its edge is repeated.

    The filter is Pillow's antialiased bilinear one: each pixel of the result is the mean, with triangular
    weights, of the pixels that it covers.

    Parameters
    ----------
    picture : uint8, shape (height, width, 3) or (height, width).
    box : left, top, right, bottom, in pixels; fractions are allowed.
    size : height and width of the result, in pixels.

    Returns
    -------
    uint8, shape (*size, 3) or size.
    """
    from PIL import Image

    height, width = picture.shape[:2]
    left, top, right, bottom = (float(edge) for edge in box)
    # Whole pixels around the box, and at least one of the picture's.
    x0, y0 = min(math.floor(left), width - 1), min(math.floor(top), height - 1)
    x1, y1 = max(math.ceil(right), x0 + 1, 1), max(math.ceil(bottom), y0 + 1, 1)
    part = picture[max(y0, 0) : y1, max(x0, 0) : x1]
    if part.shape[:2] != (y1 - y0, x1 - x0):
        beyond = [(max(-y0, 0), max(y1 - height, 0)), (max(-x0, 0), max(x1 - width, 0)), (0, 0)]
        part = np.pad(part, beyond[: picture.ndim], mode="edge")
    inside = (left - x0, top - y0, right - x0, bottom - y0)
    image = Image.fromarray(part)
    # reducing_gap: large crops are first averaged over whole pixels to twice the size, which is faster.
    return np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR, inside, reducing_gap=2.0))


def resize(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a whole picture to (height, width); see `cut_out`."""
    height, width = picture.shape[:2]
    return picture if (height, width) == size else cut_out(picture, (0, 0, width, height), size)


def centre_square(picture: np.ndarray) -> tuple[float, float, float, float]:
    """The box (left, top, right, bottom) of the largest square in the middle of a picture."""
    height, width = picture.shape[:2]
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


@dataclass(frozen=True)
class Letterbox:
    """How a whole picture fits into a square: scaled, its proportions kept, in the middle of grey.

    Parameters
    ----------
    height, width : of the picture, in pixels.
    side : of the square, in pixels.
    """

    height: int
    width: int
    side: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the scaled picture, in pixels."""
        longer = max(self.height, self.width)
        return max(round(self.side * self.height / longer), 1), max(round(self.side * self.width / longer), 1)

    @property
    def corner(self) -> tuple[int, int]:
        """Top and left of the scaled picture in the square, in pixels."""
        height, width = self.size
        return (self.side - height) // 2, (self.side - width) // 2

    @property
    def inside(self) -> tuple[slice, slice]:
        """Rows and columns of the square that the picture fills."""
        (top, left), (height, width) = self.corner, self.size
        return slice(top, top + height), slice(left, left + width)

    def picture(self, picture: np.ndarray) -> np.ndarray:
        """The square of a picture, uint8 (height, width, 3): uint8 (side, side, 3)."""
        square = np.full((self.side, self.side, 3), GREY, np.uint8)
        square[self.inside] = resize(picture, self.size)
        return square

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """The square of a mask, bool (height, width): True where it covers at least half of a pixel."""
        square = np.zeros((self.side, self.side), bool)
        square[self.inside] = _covered(mask, self.size)
        return square

    def mask_outside(self, mask: np.ndarray) -> np.ndarray:
        """A mask of the square, bool (side, side), as one of the picture, bool (height, width)."""
        return _covered(mask[self.inside], (self.height, self.width))

    def box(self, box: Sequence[float] | np.ndarray) -> np.ndarray:
        """Left, top, right and bottom in the picture as (cx, cy, width, height), shares of the square."""
        left, top, right, bottom = self._edges(box, 1)
        return np.array([left + right, top + bottom, 2 * (right - left), 2 * (bottom - top)]) / (
            2 * self.side
        )

    def box_outside(self, box: Sequence[float] | np.ndarray) -> np.ndarray:
        """The inverse of `box`, within the picture."""
        x, y, width, height = (float(each) * self.side for each in box)
        edges = self._edges((x - width / 2, y - height / 2, x + width / 2, y + height / 2), -1)
        return np.asarray(np.clip(edges, 0, [self.width, self.height, self.width, self.height]))

    def _edges(self, box: Sequence[float] | np.ndarray, way: int) -> np.ndarray:
        """Left, top, right and bottom of the picture in the square (1), or the other way round (-1)."""
        scale = np.array([self.size[1] / self.width, self.size[0] / self.height] * 2)
        shift = np.array([self.corner[1], self.corner[0]] * 2)
        edges = np.asarray(box, np.float64)
        return np.asarray(edges * scale + shift if way > 0 else (edges - shift) / scale)


def _covered(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask in another size: True where it covers at least half of a pixel; enlarged, without steps."""
    from PIL import Image

    if mask.shape == size:
        return mask
    grows = size > mask.shape
    way = Image.Resampling.BILINEAR if grows else Image.Resampling.BOX
    levels = Image.fromarray(mask.astype(np.uint8) * 255).resize(size[::-1], way)
    return np.asarray(levels) > 127


def grey(picture: np.ndarray) -> np.ndarray:
    """Luma (ITU-R BT.601) of an RGB picture (height, width, 3), uint8 (height, width)."""
    if picture.strides[2] == 0:  # a grey level, repeated
        return picture[:, :, 0]
    from PIL import Image

    return np.asarray(Image.fromarray(picture).convert("L"))


def turned(picture: np.ndarray, centre: np.ndarray, side: float, angle: float, size: int) -> np.ndarray:
    """Crop a rotated square from a picture and resize it; outside the picture, the result is black.

    Parameters
    ----------
    picture : uint8, shape (height, width) or (height, width, 3); at most a little larger than the result, to
        avoid aliasing.
    centre : x and y of the centre of the square, in pixels.
    side : side of the square, in pixels.
    angle : angle of the upper edge of the square, in radians, clockwise on the screen.
    size : side of the result, in pixels.

    Returns
    -------
    uint8, shape (size, size) or (size, size, 3).
    """
    from PIL import Image

    step = side / size
    across, down = step * math.cos(angle), step * math.sin(angle)
    x = centre[0] - (across - down) * size / 2
    y = centre[1] - (across + down) * size / 2
    # Pillow maps new pixels' centres: x' = across * x - down * y + x0, y' = down * x + across * y + y0.
    affine = (across, -down, x, down, across, y)
    image = Image.fromarray(picture)
    transform, filtered = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    return np.asarray(image.transform((size, size), transform, affine, filtered))

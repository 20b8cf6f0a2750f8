"""Layers of small convolutional networks in numpy: pictures (n, height, width, channels), float32."""

from __future__ import annotations

import numpy as np


def convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolution without padding and bias.

    Parameters
    ----------
    x : shape (n, height, width, channels), contiguous.
    kernel : shape (side, side, channels, outputs).

    Returns
    -------
    Shape (n, height - side + 1, width - side + 1, outputs).
    """
    n, height, width, channels = x.shape
    side = len(kernel)
    # A row of a window is contiguous, so a window is a view of `side` rows: one copy, one matrix product.
    shape = (n, height - side + 1, width - side + 1, side, side * channels)
    strides = (*x.strides[:3], x.strides[1], x.strides[3])
    windows = np.lib.stride_tricks.as_strided(x, shape, strides)
    product = windows.reshape(-1, side * side * channels) @ kernel.reshape(-1, kernel.shape[-1])
    return np.asarray(product.reshape(*shape[:3], kernel.shape[-1]))


def depthwise(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolution of each channel with its own kernel (side, side, channels), padded with zeros.

    The result has the shape of ``x``, (n, height, width, channels); ``side`` is odd.
    """
    _, height, width, _ = x.shape
    padded = pad(x, len(kernel) // 2)
    found = np.zeros_like(x)
    for row, column in np.ndindex(*kernel.shape[:2]):
        found += padded[:, row : row + height, column : column + width] * kernel[row, column]
    return found


def pad(x: np.ndarray, margin: int) -> np.ndarray:
    """The pictures with zeros around them."""
    return np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))


def pool(x: np.ndarray, side: int) -> np.ndarray:
    """Max pooling with a stride of 2, including windows that the lower or right edge cuts."""
    return _pooled_rows(_pooled_rows(x, side).swapaxes(1, 2), side).swapaxes(1, 2)


def _pooled_rows(x: np.ndarray, side: int) -> np.ndarray:
    n = -(-(x.shape[1] - side) // 2) + 1
    largest = x[:, : 2 * n - 1 : 2].copy(order="K")  # keeps the channels contiguous
    for i in range(1, side):
        other = x[:, i : i + 2 * n - 1 : 2]  # n - 1 rows if the last window is cut
        np.maximum(largest[:, : other.shape[1]], other, out=largest[:, : other.shape[1]])
    return largest

"""Texture of small grey pictures, cell by cell: histograms of oriented gradients."""

from __future__ import annotations

import functools

import numpy as np

N_BINS = 8  # of orientation, over half a turn
FLAT = 1e-3  # of full contrast: weaker edges than this are noise


def gradient_histograms(pictures: np.ndarray, grid: int) -> np.ndarray:
    """Histograms of oriented gradients: strength of the edges of each orientation in each cell.

    Each histogram is divided by the strength of all edges in its cell and the eight around it, which removes
    contrast and illumination.

    Parameters
    ----------
    pictures : float, shape (n_pictures, height, width), full scale 1.
    grid : cells in a row and in a column.

    Returns
    -------
    float32, shape (n_pictures, grid, grid, N_BINS), 0 to 1. Bin k holds gradients at 180 k / N_BINS degrees
    from the horizontal, clockwise on the screen: bin 0 holds vertical edges.

    References
    ----------
    .. [1] Dalal, Triggs: Histograms of oriented gradients for human detection, CVPR 2005.
    """
    pictures = pictures.astype(np.float32)
    down, right = np.gradient(pictures, axis=(1, 2))
    strength = np.hypot(right, down)
    place = np.arctan2(down, right) / np.pi * N_BINS % N_BINS
    distance = np.abs(place[..., None] - np.arange(N_BINS, dtype=np.float32))
    share = np.maximum(1 - np.minimum(distance, N_BINS - distance), 0)  # between the two nearest bins
    cells = cell_means(strength[..., None] * share, grid)
    total = cells.sum(axis=-1)
    padded = np.pad(total, ((0, 0), (1, 1), (1, 1)), mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2)).mean(axis=(-1, -2))
    return np.asarray(cells / (np.maximum(total, around) + FLAT)[..., None], dtype=np.float32)


def cell_means(maps: np.ndarray, grid: int) -> np.ndarray:
    """Means of (n, height, width, ...) over a grid of cells that overlap by half, (n, grid, grid, ...).

    Each pixel is shared among the cells whose centres surround it, so that small shifts have little effect.
    """
    down, across = (_sharing(length, grid) for length in maps.shape[1:3])
    rows = np.tensordot(down, maps, axes=(1, 1))
    return np.asarray(np.moveaxis(np.tensordot(across, rows, axes=(1, 2)), (0, 1), (2, 1)), dtype=np.float32)


@functools.cache
def _sharing(length: int, grid: int) -> np.ndarray:
    """Share of each pixel of a row in each cell's mean, (grid, length); every cell's shares sum to 1."""
    place = np.clip((np.arange(length) + 0.5) / length * grid - 0.5, 0, grid - 1)
    share = np.maximum(1 - np.abs(place - np.arange(grid)[:, None]), 0)
    return np.asarray(share / share.sum(axis=1, keepdims=True), np.float32)

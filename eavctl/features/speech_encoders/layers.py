"""Layers of a transformer in numpy, float32."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

EPSILON = 1e-5  # of layer norms
NUMBERS_AT_ONCE = 2**16  # so that the intermediate arrays stay in the cache

# The error function within 1.5e-7: Abramowitz and Stegun, Handbook of mathematical functions, 7.1.26.
_SLOPE = 0.3275911 / np.sqrt(2)
_POLYNOMIAL = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


class Dense(NamedTuple):
    """A linear layer: weights (n_in, n_out), and a bias (n_out,) or None."""

    weight: np.ndarray
    bias: np.ndarray | None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The layer's output, (n_rows, n_out)."""
        found = x @ self.weight
        if self.bias is not None:
            found += self.bias
        return np.asarray(found)


class LayerNorm(NamedTuple):
    """Standardises each row, then scales and shifts it by weights (width,) and a bias (width,)."""

    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The layer's output, (n_rows, width)."""
        found = x - x.mean(axis=1, keepdims=True)
        variance = np.einsum("ij,ij->i", found, found)[:, None] / x.shape[1]
        found /= np.sqrt(variance + EPSILON)
        found *= self.weight
        found += self.bias
        return np.asarray(found)


def attention(query: np.ndarray, key: np.ndarray, value: np.ndarray, n_heads: int) -> np.ndarray:
    """Scaled dot-product attention of every row to all rows, head by head, (n_rows, width)."""
    width = query.shape[1] // n_heads
    scaled, mixed = query / np.float32(np.sqrt(width)), np.empty_like(query)
    for first in range(0, query.shape[1], width):
        head = slice(first, first + width)
        weights = scaled[:, head] @ key[:, head].T
        weights -= weights.max(axis=1, keepdims=True)
        np.exp(weights, out=weights)
        mixed[:, head] = weights @ value[:, head]
        mixed[:, head] /= weights.sum(axis=1, keepdims=True)
    return mixed


def gelu(x: np.ndarray) -> np.ndarray:
    """Each value times the normal distribution's probability of a lower one, in place, within 1e-6.

    ``x`` is a contiguous float32 array. With the upper tail ``q(|x|)``, this is ``max(x, 0) - |x| q(|x|)``.
    """
    flat = x.reshape(-1)
    for start in range(0, len(flat), NUMBERS_AT_ONCE):
        part = flat[start : start + NUMBERS_AT_ONCE]
        size = np.abs(part)
        t = size * np.float32(_SLOPE)
        t += 1
        np.reciprocal(t, out=t)
        tail = t * np.float32(_POLYNOMIAL[0])
        for coefficient in _POLYNOMIAL[1:]:
            tail += np.float32(coefficient)
            tail *= t
        tail *= size
        np.square(size, out=size)
        size *= np.float32(-0.5)
        np.exp(size, out=size)
        tail *= size
        tail *= np.float32(0.5)
        np.maximum(part, 0, out=part)
        part -= tail
    return x

"""Embeddings of all rows of a table, by a pretrained encoder and by random ones."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from eavctl.classifiers.network import forward
from eavctl.training.encoder_start import EncoderStart


class Embedder:
    """Embeds the rows of a table, each once; no encoder is fitted to them.

    Parameters
    ----------
    start : the pretrained encoder.
    x : features of all rows, shape (n_rows, *shape).
    device : to compute on.
    """

    def __init__(self, start: EncoderStart, x: np.ndarray, device: torch.device) -> None:
        self._start, self._x, self._device = start, x, device
        self._random: dict[int, np.ndarray] = {}

    @cached_property
    def pretrained(self) -> np.ndarray:
        """By the pretrained encoder, float32 (n_rows, embedding_dim)."""
        return self._start.model.embed(self._x, self._start.stream, self._device)

    def random(self, seed: int) -> np.ndarray:
        """By an encoder like it with random weights and the same input statistics, of the same shape."""
        if seed not in self._random:
            encoder = self._start.model.random(seed, self._start.stream).to(self._device)
            self._random[seed] = forward(encoder, self._x, self._device).astype(np.float32)
        return self._random[seed]

    @property
    def raw(self) -> np.ndarray:
        """The features themselves, (n_rows, n_values)."""
        return self._x.reshape(len(self._x), -1)

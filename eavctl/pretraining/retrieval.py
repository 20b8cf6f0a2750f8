"""How often a sample of one modality finds its partner in another: the progress of `clip`."""

from __future__ import annotations

import numpy as np

PIECE_ROWS = 256  # of the similarities that are in memory at once


def hits_at_1(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Whether each query's partner is the most similar row of a gallery, by cosine.

    Where several rows are equally similar, the query gets the share that a draw among them would: so
    embeddings that are all alike reach chance, which is 1 / n_rows.

    Parameters
    ----------
    queries, gallery : shape (n_rows, dim), of the same samples in the same order.

    Returns
    -------
    float64, shape (n_rows,): 1, 0, or a share; their mean is the recall at 1.
    """
    one, other = _unit(queries), _unit(gallery)
    return np.concatenate(
        [_hits(one[i : i + PIECE_ROWS] @ other.T, i) for i in range(0, len(one), PIECE_ROWS)]
    )


def _hits(similarity: np.ndarray, first: int) -> np.ndarray:
    """Hits of some rows, the partner of row i being column ``first + i``."""
    own = similarity[np.arange(len(similarity)), first + np.arange(len(similarity))]
    best = similarity.max(axis=1)
    n_best = (similarity == best[:, None]).sum(axis=1)
    return np.where(own == best, 1.0 / n_best, 0.0)


def _unit(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float64)
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.finfo(np.float64).tiny))

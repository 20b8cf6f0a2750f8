"""How often a sample of one modality finds its partner in another: the progress of `clip`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from eavctl.classifiers.network import forward
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Streams
from eavctl.errors import DataError
from eavctl.evaluation.intervals import Clusters, Interval, clusters_of, score_intervals

PIECE_ROWS = 256  # of the similarities that are in memory at once
MOST_ROWS = 1024  # of a gallery


class Aligned(Protocol):
    """A method that projects several streams into one space."""

    def project(self, x: Any) -> torch.Tensor:
        """Vectors of all streams beside each other, (batch, n_streams * dim), of a batch of streams."""
        ...


class Pair(NamedTuple):
    """Two streams, and the hits of their samples.

    Parameters
    ----------
    one, other : names of the streams.
    there, back : as `hits_at_1` of one in the other, and of the other in the one, shape (n_rows,).
    clusters : the persons of the rows; None where they are not known.
    """

    one: str
    other: str
    there: np.ndarray
    back: np.ndarray
    clusters: Clusters | None = None

    @property
    def recall(self) -> float:
        """The mean of both ways."""
        return float(self.there.mean() + self.back.mean()) / 2

    @property
    def chance(self) -> float:
        """Recall of a draw."""
        return 1 / len(self.there)

    def to_meta(self) -> dict[str, Any]:
        """JSON-able: recall at 1 of both ways, each with its interval over persons."""
        ways = {f"{self.one} to {self.other}": self.there, f"{self.other} to {self.one}": self.back}
        return {
            "recall_at_1": {name: self._interval(hits).to_json() for name, hits in ways.items()},
            "chance": self.chance,
            "n_rows": len(self.there),
            **({f"n_{self.clusters.over}": self.clusters.n} if self.clusters else {}),
        }

    def _interval(self, hits: np.ndarray) -> Interval:
        value = float(hits.mean())
        if self.clusters is None:
            return Interval(value, None, None)
        misses = (hits < 1).astype(int)  # equal rows count as misses
        found = score_intervals(self.clusters, np.zeros_like(misses), misses, 2)["accuracy"]
        return replace(found, value=value)


@dataclass(frozen=True)
class Retrieval:
    """Measures retrieval between all pairs of streams.

    Parameters
    ----------
    x : rows with all streams, shape (n_rows, *shape) each.
    names : of the streams.
    device : of the method.
    clusters : the persons of the rows, for intervals; None leaves these out.
    """

    x: Streams
    names: Sequence[str]
    device: torch.device
    clusters: Clusters | None = None

    @classmethod
    def of(
        cls, rows: Rows, names: Sequence[str], device: torch.device, *, intervals: bool = False, seed: int = 0
    ) -> Retrieval:
        """One of a random sample of rows, at most `MOST_ROWS`."""
        taken = rows.taking(np.sort(np.random.default_rng(seed).permutation(len(rows))[:MOST_ROWS]))
        return cls(taken.streams, names, device, clusters_of(taken.key_frame) if intervals else None)

    def __call__(self, method: Aligned) -> list[Pair]:
        """The hits of each pair of streams, by a method in evaluation mode.

        Raises
        ------
        DataError : projections that are not finite.
        """
        projected = forward(method.project, self.x, self.device)
        if not np.isfinite(projected).all():
            raise DataError("the embedding is not finite; pretrain with a lower --lr")
        parts = dict(zip(self.names, np.split(projected, len(self.names), axis=1), strict=True))
        return [
            Pair(
                one,
                other,
                hits_at_1(parts[one], parts[other]),
                hits_at_1(parts[other], parts[one]),
                self.clusters,
            )
            for one, other in itertools.combinations(self.names, 2)
        ]


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

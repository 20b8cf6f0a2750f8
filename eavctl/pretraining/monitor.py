"""Figures of an embedding: spread and effective rank, which show a collapse, and a nearest-neighbour score.

The loss says little of a pretraining: it stays high where the embedding still improves, and can be lowest
where all rows have collapsed to one point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from eavctl.classifiers.calibration import uar
from eavctl.classifiers.network import forward
from eavctl.classifiers.streams import Table
from eavctl.errors import DataError

SHARE, FEWEST_ROWS, MOST_ROWS = 4, 256, 1024  # a quarter of the rows is monitored, within these bounds
FINAL_ROWS = 2048  # of the figures in the file
NEIGHBOURS, TEMPERATURE = 20, 0.1
# An embedding has collapsed below this share of 1/sqrt(d), or this effective rank (or a quarter of d). Random
# weights have shares of 0.04 to 0.9: deep encoders move all rows the same way, and still tell them apart.
LEAST_SPREAD, LEAST_RANK = 0.01, 2.0


class Figures(NamedTuple):
    """What `Monitor` measures of an embedding of d dimensions.

    Parameters
    ----------
    spread : see `spread`; ``1 / sqrt(d)`` where directions are evenly distributed.
    rank : see `effective_rank`.
    knn : see `neighbour_recall`; None where no rows have labels.
    dim : d.
    """

    spread: float
    rank: float
    knn: float | None
    dim: int

    @property
    def chance_spread(self) -> float:
        """The spread of evenly distributed directions, ``1 / sqrt(d)``."""
        return float(1 / np.sqrt(self.dim))

    @property
    def relative_spread(self) -> float:
        """The spread as a multiple of ``1 / sqrt(d)``."""
        return self.spread / self.chance_spread

    @property
    def collapsed(self) -> bool:
        """Whether the embedding has collapsed: (almost) all rows to one point, or to one line."""
        return self.relative_spread < LEAST_SPREAD or self.rank < min(LEAST_RANK, self.dim / 4)

    def to_meta(self) -> dict[str, Any]:
        """The figures as the file of an encoder keeps them."""
        return {
            "spread": self.spread,
            "spread_of_chance": self.chance_spread,
            "effective_rank": self.rank,
            "embedding_dim": self.dim,
            "knn": self.knn,
        }

    @property
    def words(self) -> str:
        """The figures in a few words."""
        knn = "" if self.knn is None else f", kNN {self.knn:.3f}"
        return f"spread {self.relative_spread:.2f}/sqrt(d), rank {self.rank:.1f} of {self.dim}{knn}"


@dataclass(frozen=True)
class Monitor:
    """Measures the embedding of a sample of rows.

    Parameters
    ----------
    x : the rows, shape (n_rows, *shape).
    y : class numbers, shape (n_rows,), -1 for rows without a label.
    units : names of the clips or trials, shape (n_rows,); None takes each row by itself.
    device : of the network.
    """

    x: np.ndarray
    y: np.ndarray
    units: np.ndarray | None
    device: torch.device

    @classmethod
    def of(
        cls,
        x: Table,
        rows: np.ndarray,
        y: np.ndarray,
        units: np.ndarray | None,
        device: torch.device,
        *,
        n_rows: int | None = None,
        seed: int = 0,
    ) -> Monitor:
        """A monitor of a random sample of rows.

        Parameters
        ----------
        x, y, units : of all rows, as the class takes them.
        rows : numbers of the rows to draw from.
        n_rows : size of the sample; by default a quarter of the rows, between 256 and 1024 of them.
        """
        wanted = n_rows or min(max(len(rows) // SHARE, FEWEST_ROWS), MOST_ROWS)
        drawn = np.sort(np.random.default_rng(seed).permutation(rows)[:wanted])
        return cls(x[drawn], y[drawn], None if units is None else units[drawn], device)

    def __call__(self, embed: Any) -> Figures:
        """Measure the embedding by a module in evaluation mode.

        Raises
        ------
        DataError : an embedding that is not finite.
        """
        z = forward(embed, self.x, self.device)
        if not np.isfinite(z).all():
            raise DataError("the embedding is not finite; pretrain with a lower --lr")
        return Figures(spread(z), effective_rank(z), neighbour_recall(z, self.y, self.units), z.shape[1])


def unit_length(z: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, float64 (n_rows, d); rows of zeros stay."""
    lengths = np.linalg.norm(z, axis=1, keepdims=True)
    return np.asarray(z / np.where(lengths > 0, lengths, 1), np.float64)


def spread(z: np.ndarray) -> float:
    """Mean over the dimensions of the standard deviation of unit-length rows.

    It is 0 where all rows have one direction, and ``1 / sqrt(d)`` where directions are evenly distributed
    [1]_.

    Parameters
    ----------
    z : embedding, shape (n_rows, d).

    References
    ----------
    .. [1] Chen, He: Exploring simple Siamese representation learning, CVPR 2021, section 4.1.
    """
    return float(unit_length(z).std(axis=0).mean())


def effective_rank(z: np.ndarray) -> float:
    """Exponential of the entropy of the singular values of the centred embedding, which sum to 1 [1]_.

    From 1, where the rows lie on a line, to d, where all directions vary alike; 0 where all rows are equal.

    Parameters
    ----------
    z : embedding, shape (n_rows, d).

    References
    ----------
    .. [1] Roy, Vetterli: The effective rank: a measure of effective dimensionality, EUSIPCO 2007.
    """
    # Eigenvalues of the smaller product are much faster than singular values; and torch computes them by the
    # threads that train, where numpy's own would compete with these.
    centred = torch.from_numpy(np.asarray(z - z.mean(axis=0), np.float64))
    product = centred @ centred.T if len(z) < z.shape[1] else centred.T @ centred
    squares = torch.linalg.eigvalsh(product).numpy()
    values = np.sqrt(squares[squares > squares.max() * max(z.shape) * np.finfo(float).eps])
    shares = values / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0


def neighbour_recall(
    z: np.ndarray, y: np.ndarray, units: np.ndarray | None = None, n_neighbours: int = NEIGHBOURS
) -> float | None:
    """Mean recall over classes of a vote of the nearest neighbours, each row left out, with its unit.

    Neighbours are nearest by cosine and vote with the weight ``exp(cosine / 0.1)`` [1]_.

    Parameters
    ----------
    z : embedding, shape (n_rows, d).
    y : class numbers, shape (n_rows,), -1 for rows without a label, which are left out.
    units : names of clips or trials, shape (n_rows,), whose rows are never neighbours of each other.
    n_neighbours : number of neighbours that vote.

    Returns
    -------
    None where fewer than two classes or units have labels.

    References
    ----------
    .. [1] Wu, Xiong, Yu, Lin: Unsupervised feature learning via non-parametric instance discrimination, CVPR
       2018.
    """
    known = np.flatnonzero(y >= 0)
    labels = y[known]
    kept = np.arange(len(known)) if units is None else np.unique(units[known], return_inverse=True)[1]
    if len(np.unique(labels)) < 2 or len(np.unique(kept)) < 2:
        return None
    directions = torch.from_numpy(unit_length(z[known]))
    cosines = (directions @ directions.T).numpy()
    cosines[kept[:, None] == kept] = -np.inf
    n_neighbours = min(n_neighbours, len(known) - 1)
    nearest = np.argpartition(-cosines, n_neighbours - 1, axis=1)[:, :n_neighbours]
    weights = np.exp((np.take_along_axis(cosines, nearest, axis=1) - 1) / TEMPERATURE)  # 0 for the own unit
    votes = np.zeros((len(known), labels.max() + 1))
    np.add.at(votes, (np.arange(len(known))[:, None], labels[nearest]), weights)
    return uar(votes.argmax(axis=1), labels)

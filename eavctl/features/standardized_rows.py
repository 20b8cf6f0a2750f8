"""Rows on the disk that are standardised by group when they are indexed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eavctl.features.bands import COLUMNS, Bands, does_vary, unpadded

PIECE_ROWS = 512


@dataclass(frozen=True)
class StandardizedRows:
    """What `eavctl.features.normalize.standardize_by_group` gives, a few rows at a time.

    Parameters
    ----------
    base : features on the disk, shape (n_rows, *shape).
    group_of : the number of each row's group, shape (n_rows,).
    mean, std : of the groups, float64, shape (n_groups, *shape of the statistics of a row).
    bands : as of `eavctl.features.normalize.standardize_by_group`.
    onto : mean and deviation that standardised rows get, float32, shape (n_columns,); None for 0 and 1.
    """

    base: Any
    group_of: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    bands: Bands
    onto: tuple[np.ndarray, np.ndarray] | None = None

    @classmethod
    def of(cls, base: Any, groups: np.ndarray, bands: Bands, copies: np.ndarray | None) -> StandardizedRows:
        """Compute the statistics of all groups in one pass over the rows.

        Parameters
        ----------
        groups, copies : as of `eavctl.features.normalize.standardize_by_group`.
        """
        names, group_of = np.unique(groups, return_inverse=True)
        counted = np.ones(len(groups), bool) if copies is None else ~copies
        counted |= (np.bincount(group_of, counted) == 0)[group_of]  # a group of nothing but copies
        shape = _kept(base.shape[1:], bands)
        count, mean, squares = np.zeros(len(names)), *np.zeros((2, len(names), *shape))
        for start in range(0, len(base), PIECE_ROWS):
            rows = np.arange(start, min(start + PIECE_ROWS, len(base)))
            rows = rows[counted[rows]]
            values = base[rows].astype(np.float64)
            for group in np.unique(group_of[rows]):
                mine = values[group_of[rows] == group]
                n, own, spread = _moments(mine, bands)
                # Sums of squares about two means, merged: see `eavctl.encoders.moments.fit_moments`.
                away, total = own - mean[group], count[group] + n
                mean[group] += away * n / total
                squares[group] += spread + away**2 * count[group] * n / total
                count[group] = total
        many = np.maximum(count, 1).reshape(-1, *[1] * len(shape))
        return cls(base, group_of, mean, np.sqrt(squares / many), bands)

    @classmethod
    def by_speaker(
        cls, base: Any, datasets: np.ndarray, speakers: np.ndarray, recordings: np.ndarray, shrinkage: float
    ) -> StandardizedRows:
        """What `eavctl.features.normalize.standardize_by_speaker` gives, a few rows at a time.

        Parameters
        ----------
        datasets, speakers, recordings : as there.
        shrinkage : recordings of a speaker whose own statistics weigh as much as those of the data set.
        """
        _, dataset = np.unique(datasets, return_inverse=True)
        people, person = np.unique(speakers, return_inverse=True)
        members, member_of = np.unique(np.stack([dataset, person]), axis=1, return_inverse=True)
        own = cls.of(base, member_of, COLUMNS, None)
        # The statistics of the data sets, of those of their members.
        dataset_of, n_rows = members[0], np.bincount(member_of)[:, None].astype(np.float64)
        all_rows = np.bincount(dataset_of, n_rows[:, 0])[:, None]
        sums, squares = np.zeros((2, len(all_rows), own.shape[1]))
        np.add.at(sums, dataset_of, n_rows * own.mean)
        mean = (sums / all_rows)[dataset_of]
        np.add.at(squares, dataset_of, n_rows * (own.std**2 + (own.mean - mean) ** 2))
        variance = (squares / all_rows)[dataset_of]
        pairs = np.unique(np.stack([member_of, np.unique(recordings, return_inverse=True)[1]]), axis=1)
        n = np.bincount(pairs[0], minlength=len(n_rows)) * (people[members[1]] != "")
        share = (n / (n + shrinkage))[:, None]
        centre = share * own.mean + (1 - share) * mean
        return replace(own, mean=centre, std=np.sqrt(share * own.std**2 + (1 - share) * variance))

    def scaled(self, mean: np.ndarray, scale: np.ndarray) -> StandardizedRows:
        """The same rows of columns, with this mean and deviation, shape (n_columns,)."""
        return replace(self, onto=(mean.astype(np.float32), scale.astype(np.float32)))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that these rows would have as an array."""
        return tuple(self.base.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the numbers, float32."""
        return np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self.group_of)

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        values = self.base[rows].astype(np.float64)
        groups = self.group_of[rows]
        mean, std = self.mean[groups], self.std[groups]
        known = does_vary(std, mean)
        if self.bands.padding is not None:
            known = known & unpadded(values, 1 + self.bands.axis, self.bands.padding)
        standard = np.where(known, (values - mean) / np.where(does_vary(std, mean), std, 1.0), 0.0)
        found = standard.astype(np.float32)
        if self.onto is not None:
            found *= self.onto[1]
            found += self.onto[0]
        return found

    def groups_of(self, rows: np.ndarray) -> np.ndarray:
        """See `eavctl.classifiers.streams.Stored`."""
        found: np.ndarray = self.base.groups_of(rows)
        return found


def _kept(shape: tuple[int, ...], bands: Bands) -> tuple[int, ...]:
    """The shape of the statistics of a row: 1 but along the bands."""
    return tuple(size if axis == bands.axis else 1 for axis, size in enumerate(shape))


def _moments(values: np.ndarray, bands: Bands) -> tuple[int, np.ndarray, np.ndarray]:
    """Number of values of a band, their mean, and the sum of their squares about it."""
    axes = tuple(axis for axis in range(values.ndim) if axis != 1 + bands.axis)
    valid = np.array(True)
    n = values.size // values.shape[1 + bands.axis]
    if bands.padding is not None:
        valid = unpadded(values, 1 + bands.axis, bands.padding)
        n = int(valid.sum())
    mean = values.mean(axis=axes, keepdims=True, where=valid)
    spread = np.square(values - mean).sum(axis=axes, keepdims=True, where=valid)
    return n, mean[0], spread[0]

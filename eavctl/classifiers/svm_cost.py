"""Estimates of the time and memory that fits of a support vector machine take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eavctl.classifiers.inner_folds import N_FOLDS

# Measured on 1,000 to 7,442 rows of 33 to 3,415 columns, on one core: seconds of a fit with its search for
# each pair of rows, and for each of its columns; and bytes of the process before it.
PAIR_S, COLUMN_S, PROCESS = 6e-7, 4e-10, 4e8
WITHOUT_SEARCH = 0.2  # of these seconds, where C and gamma are given: 0.2 to 0.4 on 540 to 2,500 rows


@dataclass(frozen=True)
class Cost:
    """Estimated time in seconds and memory in bytes."""

    seconds: float
    memory: float


def cost(n_rows: Sequence[int], n_columns: int, jobs: int = 1) -> Cost:
    """Estimate what fits take.

    Parameters
    ----------
    n_rows : rows of each fit; the fits run one after the other.
    n_columns : of the table.
    jobs : inner folds that are tried at once.
    """
    pairs = sum(n**2 for n in n_rows)
    seconds = pairs * (PAIR_S + n_columns * COLUMN_S) / jobs
    return Cost(seconds, _memory(max(n_rows), n_columns, jobs))


def least_seconds(n_rows: int, n_columns: int) -> float:
    """Seconds that a fit with given C and gamma takes at least."""
    return WITHOUT_SEARCH * cost([n_rows], n_columns).seconds


def most_rows(n_columns: int, jobs: int, memory: float) -> int:
    """The largest number of rows, in hundreds, whose fit takes at most this memory, in bytes."""
    n = 0
    while _memory(n + 100, n_columns, jobs) <= memory:
        n += 100
    return n


def _memory(n_rows: int, n_columns: int, jobs: int) -> float:
    """Bytes of the process, the table and its training part, and in each inner fold of large matrices."""
    table = 8 * n_rows * n_columns
    share = 1 - 1 / N_FOLDS
    trained = share * n_rows
    matrices = 16 * trained * n_rows  # distances and kernels from all rows to the training rows
    rows = 16 * trained * n_columns + 16 * min(trained, n_columns) ** 2  # normalised, and their covariance
    return PROCESS + table + jobs * (matrices + rows)

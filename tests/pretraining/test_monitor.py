"""Spread, effective rank and the neighbours' vote: against what is known of made-up embeddings."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from eavctl.errors import DataError
from eavctl.pretraining.monitor import Figures, Monitor, effective_rank, neighbour_recall, spread, unit_length

CPU = torch.device("cpu")


@pytest.mark.parametrize("d", [2, 16, 64])
def test_even_directions_have_the_spread_of_chance_whatever_their_lengths(d):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(4000, d)) * rng.uniform(0.1, 10, size=(4000, 1))
    assert spread(z) == pytest.approx(1 / math.sqrt(d), rel=0.02)


def test_one_direction_has_no_spread():
    assert spread(np.outer(np.arange(1, 50), np.ones(8))) == pytest.approx(0, abs=1e-12)
    assert spread(np.zeros((20, 8))) == 0


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_the_effective_rank_counts_equal_directions(rank):
    rng = np.random.default_rng(1)
    directions = np.linalg.qr(rng.normal(size=(8, 8)))[0][:rank]
    centred = rng.normal(size=(500, rank))
    columns = np.linalg.qr(centred - centred.mean(axis=0))[0]
    assert effective_rank(columns @ directions + 5.0) == pytest.approx(rank, rel=1e-6)


def test_the_effective_rank_is_the_entropy_of_the_singular_values():
    z = np.random.default_rng(2).normal(size=(60, 5)) * [1, 2, 4, 8, 16]
    values = np.sqrt(np.linalg.eigvalsh(np.cov(z.T, bias=True)) * len(z))
    shares = values / values.sum()
    assert effective_rank(z) == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares)))
    assert effective_rank(np.ones((9, 4))) == 0


def slow_vote(z, y, units, k):
    directions = unit_length(z)
    right: dict[int, list[bool]] = {}
    for i, row in enumerate(directions):
        if y[i] < 0:
            continue
        others = [j for j in range(len(z)) if y[j] >= 0 and units[j] != units[i]]
        nearest = sorted(others, key=lambda j: -float(row @ directions[j]))[:k]
        votes = np.zeros(y.max() + 1)
        for j in nearest:
            votes[y[j]] += math.exp((float(row @ directions[j]) - 1) / 0.1)
        right.setdefault(int(y[i]), []).append(int(votes.argmax()) == y[i])
    return float(np.mean([np.mean(each) for each in right.values()]))


@pytest.mark.parametrize("k", [1, 5, 20])
def test_the_vote_is_that_of_a_slow_loop(k):
    rng = np.random.default_rng(k)
    y = rng.integers(-1, 3, size=70)
    z = rng.normal(size=(70, 6)) + np.eye(6)[y % 3]
    units = rng.integers(0, 25, size=70).astype(str)
    assert neighbour_recall(z, y, units, k) == pytest.approx(slow_vote(z, y, units, k))


def test_a_unit_never_votes_for_itself():
    """Copies of a row would answer perfectly where nothing else does."""
    rng = np.random.default_rng(3)
    z = np.repeat(rng.normal(size=(40, 8)), 4, axis=0)
    y = np.repeat(np.arange(40) % 2, 4)
    clips = np.repeat(np.arange(40), 4).astype(str)
    assert neighbour_recall(z, y, None, 3) == 1
    found = neighbour_recall(z, y, clips, 3)
    assert found is not None
    assert found < 0.75


def test_without_two_labelled_classes_or_units_there_is_no_vote():
    z, y = np.random.default_rng(0).normal(size=(6, 3)), np.array([0, 0, 1, 1, -1, -1])
    assert neighbour_recall(z, np.full(6, -1)) is None
    assert neighbour_recall(z, np.zeros(6, int)) is None
    assert neighbour_recall(z, y, np.full(6, "one")) is None
    assert neighbour_recall(z, y) is not None


@pytest.mark.parametrize(
    ("figures", "collapsed"),
    [
        (Figures(0.001, 20.0, None, 64), True),
        (Figures(0.12, 1.2, None, 64), True),
        (Figures(0.12, 30.0, None, 64), False),
        (Figures(0.5, 1.0, None, 2), False),
    ],
)
def test_a_collapse_is_to_a_point_or_to_a_line(figures, collapsed):
    assert figures.collapsed is collapsed


def test_a_monitor_measures_rows_of_its_sample_alone():
    x, y = np.random.default_rng(0).normal(size=(2000, 4)).astype(np.float32), np.full(2000, -1)
    x[1500:] = np.nan
    monitor = Monitor.of(x, np.arange(1500), y, None, CPU, seed=3)
    assert len(monitor.x) == 375
    found = monitor(torch.nn.Identity())
    assert (found.dim, found.knn) == (4, None)
    assert found.relative_spread == pytest.approx(1, rel=0.1)
    with pytest.raises(DataError, match="not finite"):
        Monitor.of(x, np.arange(1400, 2000), y, None, CPU)(torch.nn.Identity())

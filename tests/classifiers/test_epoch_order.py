"""An epoch takes each training row once; of rows on the disk it decodes each row group about once."""

import numpy as np
import pytest
import torch

from eavctl.classifiers import epoch_order as module
from eavctl.classifiers.epoch_order import epoch_order
from eavctl.classifiers.streams import RowsOf

CPU = torch.device("cpu")
N_ROWS, GROUP, HELD = 5000, 100, 8  # rows, of a group, groups of a buffer


class OnDisk:
    """Rows in groups, of which the last few are kept; counts how often one is fetched."""

    dtype = np.dtype(np.float32)

    def __init__(self, n_rows=N_ROWS, kept=2 * HELD):
        self.shape, self.kept, self.held, self.fetched = (n_rows, 4), kept, [], []

    def __len__(self):
        return self.shape[0]

    def groups_of(self, rows):
        return np.asarray(rows) // GROUP

    def __getitem__(self, rows):
        for group in dict.fromkeys(self.groups_of(rows).tolist()):
            if group in self.held:
                self.held.remove(group)
            else:
                self.fetched.append(group)
            self.held = [*self.held, group][-self.kept :]
        return np.repeat(np.asarray(rows, np.float32)[:, None], 4, axis=1)


@pytest.fixture(autouse=True)
def _small_buffer(monkeypatch):
    monkeypatch.setattr(module, "BUFFER_BYTES", HELD * GROUP * 16)


def order_of(x, train, seed=0):
    return epoch_order(x, train, torch.Generator().manual_seed(seed), CPU).numpy()


def test_rows_in_memory_are_permuted_as_ever():
    x, train = np.zeros((50, 3)), np.arange(0, 50, 2)
    expected = torch.randperm(len(train), generator=torch.Generator().manual_seed(3)).numpy()
    assert np.array_equal(order_of(x, train, 3), expected)
    assert np.array_equal(order_of(RowsOf(x, np.arange(50)), train, 3), expected)


@pytest.mark.parametrize("n_train", [1, 2, 99, 1234, N_ROWS])
def test_each_row_comes_once(n_train):
    train = np.sort(np.random.default_rng(0).permutation(N_ROWS)[:n_train])
    assert np.array_equal(np.sort(order_of(OnDisk(), train)), np.arange(n_train))


def test_the_seed_determines_the_order_and_epochs_differ():
    x, train = OnDisk(), np.arange(N_ROWS)
    assert np.array_equal(order_of(x, train, 1), order_of(x, train, 1))
    assert (order_of(x, train, 1) != order_of(x, train, 2)).mean() > 0.9


@pytest.mark.parametrize("as_part", [False, True])
def test_each_group_is_fetched_about_once(as_part):
    x, train = OnDisk(), np.flatnonzero(np.arange(N_ROWS) % 5)
    rows, numbers = (RowsOf(x, np.arange(1000, N_ROWS)), train[train < 4000]) if as_part else (x, train)
    order = order_of(rows, numbers)
    for batch in np.array_split(order, 100):
        rows[numbers[batch]]
    n_groups = len(np.unique(x.fetched))
    assert n_groups == (40 if as_part else 50)
    assert len(x.fetched) <= 1.1 * n_groups


def test_rows_that_are_near_in_the_table_are_spread():
    """Within a buffer the order says nothing; between buffers, as little as which groups are in which."""
    order = order_of(OnDisk(), np.arange(N_ROWS))
    groups = order // GROUP
    same = (groups[1:] == groups[:-1]).mean()
    assert same < 1.5 / HELD  # of neighbours in the epoch; 0.99 in the table
    assert abs(np.corrcoef(order, np.arange(N_ROWS))[0, 1]) < 0.35
    steps = np.abs(np.diff(order))
    assert np.median(steps) > 0.15 * N_ROWS  # 0.29 of a permutation


def test_every_group_can_come_at_any_time():
    place = np.empty((40, 50))
    for seed in range(40):
        order = order_of(OnDisk(), np.arange(N_ROWS), seed)
        place[seed] = [np.flatnonzero(order // GROUP == group).mean() for group in range(50)]
    means = place.mean(axis=0)
    assert np.abs(means - N_ROWS / 2).max() < 4 * N_ROWS / np.sqrt(12 * 40)


def test_a_buffer_smaller_than_a_group_takes_one_at_a_time(monkeypatch):
    monkeypatch.setattr(module, "BUFFER_BYTES", 1)
    x, train = OnDisk(kept=1), np.arange(N_ROWS)
    for batch in np.array_split(order_of(x, train), 1000):
        x[train[batch]]
    assert len(x.fetched) <= 1.5 * 50

"""How far recordings are from the training data: false alarms are known, other signals are found."""

from __future__ import annotations

import json

import numpy as np
import pytest

from eavctl.classifiers import novelty
from eavctl.classifiers.novelty import FALSE_ALARMS, N_DIRECTIONS, Novelty

N_COLUMNS = 60
FACTORS = np.random.default_rng(9).normal(size=(3, N_COLUMNS))


def rows(n: int, seed: int, spread: float = 1.0) -> np.ndarray:
    """Features that vary most in three directions, and a little in all; in units that differ by column."""
    rng = np.random.default_rng(seed)
    x = 3 * rng.normal(size=(n, 3)) @ FACTORS + spread * rng.normal(size=(n, N_COLUMNS))
    return np.asarray(7 + x * np.logspace(-2, 2, N_COLUMNS), np.float32)


def fitted(n: int = 600, n_groups: int = 6) -> Novelty:
    x, groups = rows(n, 0), np.array([f"p{i % n_groups}" for i in range(n)])
    folds = [(np.flatnonzero(groups != name), np.flatnonzero(groups == name)) for name in np.unique(groups)]
    found = novelty.fit(x, np.full(n, "d"), folds, "subjects")
    assert found is not None
    return found


def test_false_alarms_on_new_rows_are_about_those_measured() -> None:
    found = fitted()
    assert found.measured["false_alarms"] == pytest.approx(FALSE_ALARMS, abs=0.01)
    assert found.measured["each"] == {"d": found.measured["false_alarms"]}
    new = found.distance(rows(4000, 1)) > found.threshold
    assert 0.02 < new.mean() < 0.10


def test_energy_inside_the_directions_of_the_training_data_is_not_novel_and_outside_is() -> None:
    found, rng = fitted(), np.random.default_rng(5)
    units = np.logspace(-2, 2, N_COLUMNS)
    inside = 7 + 6 * rng.normal(size=(200, 3)) @ FACTORS * units  # twice as far as any training row
    outside = 7 + 4 * rng.normal(size=(200, N_COLUMNS)) * units  # nearer the mean
    assert (found.distance(inside) > found.threshold).mean() < 0.2
    assert (found.distance(outside) > found.threshold).mean() > 0.99


def test_the_distance_does_not_depend_on_the_units_of_the_columns() -> None:
    """A factor and an offset of every column, in training and test rows alike, change nothing."""
    x, groups = rows(600, 0), np.arange(600) % 6
    folds = [(np.flatnonzero(groups != each), np.flatnonzero(groups == each)) for each in range(6)]
    rng = np.random.default_rng(2)
    factor, offset = rng.uniform(0.5, 20, N_COLUMNS), rng.normal(size=N_COLUMNS)
    one = novelty.fit(x, np.full(600, "d"), folds, "subjects")
    other = novelty.fit((x * factor + offset).astype(np.float32), np.full(600, "d"), folds, "subjects")
    assert one is not None
    assert other is not None
    test = rows(50, 3)
    assert other.distance(test * factor + offset) == pytest.approx(one.distance(test), rel=0.02)


def test_data_sets_count_equally_whatever_their_size() -> None:
    """5 % of the mean over two data sets, of which the smaller one is more widely spread."""
    x = np.concatenate([rows(1000, 0), rows(100, 1, spread=2.0)])
    datasets = np.repeat(["big", "small"], [1000, 100])
    folds = [
        (np.flatnonzero(datasets != name), np.flatnonzero(datasets == name)) for name in ("big", "small")
    ]
    found = novelty.fit(x, datasets, folds, "datasets")
    assert found is not None
    each = found.measured["each"]
    assert each["small"] > each["big"]
    assert (each["small"] + each["big"]) / 2 == pytest.approx(FALSE_ALARMS, abs=0.01)


def test_a_file_keeps_it_and_it_is_small() -> None:
    found = fitted()
    arrays = found.to_arrays()
    again = Novelty.from_parts(arrays, json.loads(json.dumps(found.to_meta())))
    assert np.array_equal(again.distance(rows(9, 4)), found.distance(rows(9, 4)))
    assert sum(array.nbytes for array in arrays.values()) < (8 + N_DIRECTIONS) * N_COLUMNS + 100
    with pytest.raises(ValueError, match="fit"):
        Novelty.from_parts({**arrays, "scale": np.ones(3)}, found.to_meta())


def test_of_too_few_rows_or_equal_ones_nothing_is_said() -> None:
    groups = np.arange(60) % 3
    folds = [(np.flatnonzero(groups != each), np.flatnonzero(groups == each)) for each in range(3)]
    assert novelty.fit(rows(60, 0), np.full(60, "d"), folds, "subjects") is None
    groups = np.arange(300) % 3
    folds = [(np.flatnonzero(groups != each), np.flatnonzero(groups == each)) for each in range(3)]
    assert novelty.fit(np.ones((300, 8), np.float32), np.full(300, "d"), folds, "subjects") is None


def test_tables_of_few_columns_have_a_distance_too() -> None:
    x, groups = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32), np.arange(300) % 3
    folds = [(np.flatnonzero(groups != each), np.flatnonzero(groups == each)) for each in range(3)]
    found = novelty.fit(x, np.full(300, "d"), folds, "subjects")
    assert found is not None
    assert found.distance(np.full((1, 3), 30.0))[0] > found.threshold

"""Common spatial patterns, beside MNE's."""

from dataclasses import replace

import mne
import numpy as np
import pytest

from eavctl.classifiers.csp import CommonSpatialPatterns, CspStep
from eavctl.classifiers.rows import Rows
from eavctl.features.covariances import columns_of


def epochs(n_classes, n_rows=60, seed=0):
    """Mixtures of six sources, of which each class has a stronger one."""
    rng = np.random.default_rng(seed)
    y = np.arange(n_rows) % n_classes
    sources = rng.normal(size=(n_rows, 6, 300))
    sources[np.arange(n_rows), y] *= 2.5
    sources -= sources.mean(axis=2, keepdims=True)
    return rng.normal(size=(6, 6)) @ sources, y


def rows_of(signals, y):
    matrices = signals @ signals.swapaxes(1, 2) / signals.shape[2]
    return Rows.of(columns_of(matrices[:, None]), [f"class {k}" for k in y])


def test_log_powers_are_those_of_mne_for_two_classes():
    signals, y = epochs(2)
    rows = rows_of(signals, y)
    found = CommonSpatialPatterns(rows, 1).table(np.arange(len(rows)))
    csp = mne.decoding.CSP(n_components=4, reg=None, log=True, cov_est="epoch", norm_trace=False)
    with mne.utils.use_log_level("ERROR"):
        expected = csp.fit_transform(signals, y)
    # Filters have another norm: log powers differ by a constant each.
    np.testing.assert_allclose(found - found.mean(axis=0), expected - expected.mean(axis=0), atol=1e-6)


def test_directions_without_power_are_no_patterns():
    signals, y = epochs(2)
    signals -= signals.mean(axis=1, keepdims=True)  # an average reference: the sum of the channels is 0
    step = CommonSpatialPatterns(rows_of(signals, y), 1).step(np.arange(len(y)))
    powers = np.var(step.filters[0] @ signals, axis=2).mean(axis=0)
    assert np.isfinite(step.filters).all()
    np.testing.assert_allclose(powers, 0.5, rtol=0.2)  # of filters by A + B, over two classes of one size


@pytest.mark.parametrize("n_classes", [2, 3])
def test_filters_find_the_sources_that_differ(n_classes):
    signals, y = epochs(n_classes)
    rows = rows_of(signals, y)
    projection = CommonSpatialPatterns(rows, 1)
    half = np.arange(0, len(rows) // 2)
    x = projection.table(half)
    centres = np.stack([x[half][y[half] == k].mean(axis=0) for k in range(n_classes)])
    answers = ((x[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert (answers == y)[len(half) :].mean() > 0.95
    assert CspStep.from_arrays(projection.step(half).to_arrays())(rows.x).shape == x.shape


def test_filters_are_of_weighted_rows_and_copies_add_no_weight():
    signals, y = epochs(2, n_rows=20)
    rows = rows_of(signals, y)
    weights = np.random.default_rng(0).integers(1, 4, len(y)).astype(float)
    again = np.repeat(np.arange(len(y)), weights.astype(int))
    repeated, weighted = rows.taking(again), replace(rows, weights=weights)
    np.testing.assert_allclose(_filters_of(weighted), _filters_of(repeated), atol=1e-6)
    units = np.arange(len(y)).astype(str)[again]
    copies = np.concatenate([[False], again[1:] == again[:-1]])
    np.testing.assert_allclose(
        _filters_of(replace(repeated, units=units, copies=copies)), _filters_of(rows), atol=1e-6
    )


def _filters_of(rows):
    filters = CommonSpatialPatterns(rows, 1).step(np.arange(len(rows))).filters
    return filters * np.sign(filters[..., :1])

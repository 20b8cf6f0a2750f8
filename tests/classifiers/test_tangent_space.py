"""The step from covariances to the tangent space, beside pyriemann, and what it promises."""

import dataclasses

import numpy as np
import pytest
from pyriemann.geometry.mean import mean_riemann
from pyriemann.geometry.tangentspace import tangent_space

from eavctl.classifiers import linear
from eavctl.classifiers.projection import Projected, behind
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.tangent_space import TangentSpace, TangentStep, _auc, tangent_vectors
from eavctl.errors import DataError
from eavctl.features.covariances import columns_of, geometric_mean, matrices_of, power

N_CHANS, N_BANDS = 4, 3


def covariances(n_rows, rng, n_bands=N_BANDS):
    signals = rng.normal(size=(n_rows, n_bands, N_CHANS, 40)) * np.geomspace(1, 4, N_CHANS)[:, None]
    return signals @ signals.swapaxes(-1, -2) / 40


def two_classes(n_rows=80, seed=0):
    """In the middle band alone, a mixture of all channels is stronger in one class."""
    rng = np.random.default_rng(seed)
    matrices = covariances(n_rows, rng)
    y = np.arange(n_rows) % 2
    mixture = np.array([1.0, -2, 1, 3])
    matrices[y == 1, 1] += 0.6 * np.outer(mixture, mixture)
    groups = np.array([f"p{i}" for i in np.arange(n_rows) // 8 % 10])
    labels = np.where(y == 1, "strong", "weak")
    return Rows.of(columns_of(matrices).astype(np.float32), labels, groups)


def test_vectors_are_those_of_pyriemann():
    matrices = covariances(20, np.random.default_rng(0), n_bands=1)
    reference = mean_riemann(matrices[:, 0])
    found = tangent_vectors(matrices, power(reference, -0.5)[None])[:, 0]
    np.testing.assert_allclose(found, tangent_space(matrices[:, 0], reference, metric="riemann"), atol=1e-10)


def test_the_length_of_a_vector_is_the_distance_from_the_reference():
    from pyriemann.geometry.distance import distance_riemann

    matrices = covariances(5, np.random.default_rng(1), n_bands=1)
    reference = geometric_mean(matrices[:, 0])
    lengths = np.linalg.norm(tangent_vectors(matrices, power(reference, -0.5)[None])[:, 0], axis=1)
    np.testing.assert_allclose(lengths, [distance_riemann(each[0], reference) for each in matrices])


def test_a_mixing_of_the_channels_changes_no_inner_product():
    rows = two_classes()
    mixing = np.random.default_rng(3).normal(size=(N_CHANS, N_CHANS))
    mixed = mixing @ matrices_of(rows.x, N_BANDS) @ mixing.T
    everything = np.arange(len(rows))
    one = TangentSpace(rows, N_BANDS, 0).table(everything)
    other = TangentSpace(dataclasses.replace(rows, x=columns_of(mixed)), N_BANDS, 0).table(everything)
    np.testing.assert_allclose(one @ one.T, other @ other.T, atol=2e-4 * np.abs(one @ one.T).max())


def test_the_band_that_tells_the_classes_apart_outweighs_the_others():
    rows = two_classes()
    space = TangentSpace(rows, N_BANDS, 0)
    everything = np.arange(len(rows))
    variance = space.table(everything).reshape(len(rows), N_BANDS, -1).var(axis=0).sum(axis=1)
    assert variance[1] > 10 * max(variance[0], variance[2])
    assert variance.sum() == pytest.approx(1, abs=1e-4)


def test_bands_weigh_alike_where_none_is_better_than_chance():
    rows = two_classes()
    x = columns_of(np.tile(np.eye(N_CHANS), (len(rows), N_BANDS, 1, 1)))  # nothing varies
    step = TangentSpace(dataclasses.replace(rows, x=x), N_BANDS, 0).step(np.arange(len(rows)))
    np.testing.assert_allclose(step.scale, step.scale[0])
    assert np.isfinite(step(x)).all()


def test_nothing_is_learned_from_rows_that_are_not_trained_on():
    rows = two_classes()
    train = np.arange(40)
    turned = dataclasses.replace(rows, y=np.where(np.arange(len(rows)) < 40, rows.y, 1 - rows.y))
    one, other = (TangentSpace(each, N_BANDS, 0).step(train) for each in (rows, turned))
    np.testing.assert_array_equal(one.scale, other.scale)


def test_an_auc_is_that_of_scikit_learn():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    y, scores = rng.integers(0, 3, 60), rng.normal(size=(60, 3)).round(1)  # with ties
    expected = np.mean([roc_auc_score(y == k, scores[:, k]) for k in range(3)])
    assert _auc(scores, np.eye(3)[y]) == pytest.approx(expected)


def test_a_model_behind_the_step_is_rebuilt_from_its_parts():
    rows = two_classes()
    projection = TangentSpace(rows, N_BANDS, 0)
    fitted = linear.fit(rows.x, rows.labels, groups=rows.groups, projection=projection)
    model = behind(projection, fitted, rows)
    again = Projected.from_parts(linear.LinearModel, model.to_arrays(), model.to_meta())
    proba = model.predict_proba(rows.x)
    np.testing.assert_array_equal(again.predict_proba(rows.x), proba)
    assert (model.classes_[model.decide(proba)] == rows.labels).mean() > 0.9
    with pytest.raises(DataError, match="finite"):
        model.predict_proba(np.full_like(rows.x, np.nan))
    with pytest.raises(ValueError, match="step"):
        TangentStep.from_arrays({"whitening": model.step.whitening, "scale": np.ones(2)})

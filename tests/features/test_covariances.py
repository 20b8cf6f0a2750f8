"""Powers, logarithms and the geometric mean of covariance matrices, against formulas and pyriemann."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eavctl.features.covariances import geometric_mean, log, power


def mixing_of(n, rng):
    """A matrix of moderate condition, (n, n)."""
    return np.linalg.qr(rng.normal(size=(n, n)))[0] * np.exp(rng.uniform(-1, 1, n))


def spd(*shape, spread=1.0, seed=0):
    """Positive definite matrices (*shape, n, n) around a common one, by the last number of the shape."""
    rng = np.random.default_rng(seed)
    n = shape[-1]
    mixing = mixing_of(n, rng)
    sources = np.exp(spread * rng.normal(size=(*shape[:-1], n)))
    turns = np.linalg.qr(rng.normal(size=(*shape[:-1], n, n)))[0]
    mixed = mixing @ turns * np.sqrt(sources)[..., None, :]
    return mixed @ mixed.swapaxes(-1, -2)


def distance(one, other):
    return np.linalg.norm(np.log(np.linalg.eigvals(np.linalg.solve(one, other)).real))


def test_powers_and_logarithms_are_those_of_the_eigenvalues():
    c = spd(5, 3, 4)
    np.testing.assert_allclose(power(c, 0.5) @ power(c, 0.5), c, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(power(c, -1), np.linalg.inv(c), rtol=1e-7)
    np.testing.assert_allclose(
        power(c, -0.5) @ c @ power(c, -0.5), np.broadcast_to(np.eye(4), c.shape), atol=1e-9
    )
    np.testing.assert_allclose(log(power(c, 0.5)), log(c) / 2, atol=1e-9)
    assert np.trace(log(c), axis1=-1, axis2=-2) == pytest.approx(np.linalg.slogdet(c)[1])


@given(n_rows=st.integers(1, 12), n_chans=st.integers(1, 6), spread=st.floats(0, 2), seed=st.integers(0, 999))
def test_logarithms_about_the_mean_sum_to_zero(n_rows, n_chans, spread, seed):
    c = spd(n_rows, n_chans, spread=spread, seed=seed)
    white = power(geometric_mean(c), -0.5)
    assert np.abs(log(white @ c @ white).mean(axis=0)).max() < 1e-8


def test_the_mean_of_matrices_that_commute_is_the_geometric_mean_of_their_eigenvalues():
    values = np.exp(np.random.default_rng(1).normal(size=(9, 2, 3)))
    diagonal = values[..., None] * np.eye(3)
    expected = np.exp(np.log(values).mean(axis=0))[..., None] * np.eye(3)
    np.testing.assert_allclose(geometric_mean(diagonal), expected, atol=1e-9)


def test_the_mean_of_two_is_the_middle_of_their_geodesic():
    a, b = spd(2, 5, spread=2)
    root, inverse = power(a, 0.5), power(a, -0.5)
    middle = root @ power(inverse @ b @ inverse, 0.5) @ root
    assert distance(geometric_mean(np.stack([a, b])), middle) < 1e-8


@pytest.mark.parametrize("spread", [0.1, 1.0, 2.0])
def test_the_mean_is_that_of_pyriemann_in_each_band(spread):
    pyriemann = pytest.importorskip("pyriemann.geometry.mean")
    c = spd(40, 3, 8, spread=spread)
    found = geometric_mean(c)
    for band in range(3):
        expected = pyriemann.mean_riemann(c[:, band], tol=1e-11, maxiter=500)
        assert distance(found[band], expected) < 1e-8


def test_mixing_the_channels_mixes_the_mean():
    c = spd(20, 6)
    w = mixing_of(6, np.random.default_rng(3))
    assert distance(geometric_mean(w @ c @ w.T), w @ geometric_mean(c) @ w.T) < 1e-7


def test_matrices_that_are_not_positive_definite_have_finite_results():
    rng = np.random.default_rng(4)
    thin = rng.normal(size=(10, 6, 3))
    deficient = thin @ thin.swapaxes(1, 2)
    swapped = rng.permutation(spd(10, 6).ravel()).reshape(10, 6, 6)
    zero = np.zeros((3, 6, 6))
    huge = spd(4, 6) * 1e12
    for odd in (deficient, swapped + swapped.swapaxes(1, 2), zero, np.concatenate([zero, huge, deficient])):
        mean = geometric_mean(odd)
        assert np.isfinite(mean).all()
        assert (np.linalg.eigvalsh(mean) > -1e-7 * np.abs(mean).max()).all()
        assert np.isfinite(log(odd)).all()
        assert np.isfinite(power(odd, -0.5)).all()


def test_a_matrix_of_few_independent_channels_keeps_them_and_bounds_the_others():
    thin = np.random.default_rng(5).normal(size=(6, 3))
    c = thin @ thin.T
    values, vectors = np.linalg.eigh(c)
    white = power(c, -0.5)
    np.testing.assert_allclose(white @ vectors[:, 3:], vectors[:, 3:] / np.sqrt(values[3:]), rtol=1e-6)
    assert np.linalg.norm(white, 2) < 1e4 / np.sqrt(values[-1])

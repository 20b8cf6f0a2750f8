"""Alignment of people: mixings of channels, people left out, copies, few independent channels, refusals."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from eavctl import registry
from eavctl.errors import UsageError
from eavctl.features.covariances import columns_of, geometric_mean, log, matrices_of, power
from eavctl.features.eeg_alignment import SHRINKAGE, euclidean, riemannian
from eavctl.features.eeg_cov import shrunk
from eavctl.features.normalize import normalization_of, standardize_by_group

N_CHANS, N_TIMES, N_ROWS, N_PEOPLE = 6, 200, 60, 6
BANDS = [[8, 13], [13, 30]]


def every(n_rows):
    return np.ones(n_rows, bool)


def gains_of(rng):
    """What a head does to its sources: a symmetric mixing whose gains differ up to tenfold."""
    turn = np.linalg.qr(rng.normal(size=(N_CHANS, N_CHANS)))[0]
    return (turn * np.exp(rng.normal(size=N_CHANS))) @ turn.T


def person(rng, mixing):
    """Epochs (n_rows, n_chans, n_times) and classes: one source is strong, or another."""
    y = np.arange(N_ROWS) % 2
    power_of = np.exp(0.2 * rng.normal(size=(N_ROWS, N_CHANS)))
    power_of[np.arange(N_ROWS), y] *= 2.5
    sources = np.sqrt(power_of)[..., None] * rng.normal(size=(N_ROWS, N_CHANS, N_TIMES))
    return (mixing @ sources).astype(np.float32), y


def covariances(x):
    """Of one band, (n_rows, 1, n_chans, n_chans)."""
    return np.stack([shrunk(row @ row.T / N_TIMES, N_TIMES) for row in x.astype(float)])[:, None]


def tangent(c):
    """Logarithms about the mean, (n_rows, n_columns); off-diagonals count twice, as in a norm of matrices."""
    white = power(geometric_mean(c), -0.5)
    weights = np.where(np.eye(c.shape[-1], dtype=bool), 1, np.sqrt(2))
    return columns_of(log(white @ c @ white) * weights)


def left_out_in_turn(features, y):
    """Mean accuracy of a linear model over people that it was not fitted on; the classes are balanced."""
    found = []
    for test in range(len(features)):
        train = [i for i in range(len(features)) if i != test]
        model = LogisticRegression(C=0.1, max_iter=1000)
        model.fit(np.concatenate([features[i] for i in train]), np.concatenate([y[i] for i in train]))
        found.append(model.score(features[test], y[test]))
    return np.mean(found)


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(0)
    x, y = zip(*(person(rng, gains_of(rng)) for _ in range(N_PEOPLE)), strict=True)
    return x, y


def in_one_tangent_space(parts):
    """The tangent vectors of all people at their common mean."""
    return np.split(tangent(np.concatenate(parts)), len(parts))


def test_aligned_covariances_carry_over_to_people_who_are_left_out(people):
    x, y = people
    plain = [covariances(each) for each in x]
    aligned = [matrices_of(riemannian(columns_of(each), every(N_ROWS), bands=[[8, 13]]), 1) for each in plain]
    assert left_out_in_turn(in_one_tangent_space(plain), y) < 0.7
    assert left_out_in_turn(in_one_tangent_space(aligned), y) > 0.95


def test_aligned_epochs_carry_over_to_people_who_are_left_out(people):
    x, y = people
    plain = [np.log(each.var(axis=2)) for each in x]
    aligned = [np.log(euclidean(each, every(N_ROWS)).var(axis=2)) for each in x]
    assert left_out_in_turn(plain, y) < 0.7
    assert left_out_in_turn(aligned, y) > 0.85


def test_any_mixing_of_the_channels_turns_the_aligned_covariances_and_keeps_their_distances():
    rng = np.random.default_rng(1)
    x, _ = person(rng, np.eye(N_CHANS))
    c = np.concatenate([covariances(x), covariances(x[::-1] * np.linspace(1, 3, N_CHANS)[:, None])], axis=1)
    w = np.linalg.qr(rng.normal(size=(N_CHANS, N_CHANS)))[0] * np.geomspace(0.1, 10, N_CHANS)
    one, other = (
        matrices_of(riemannian(columns_of(each), every(N_ROWS), bands=BANDS), 2) for each in (c, w @ c @ w.T)
    )
    for band in range(2):
        # Each is a congruence of the other, of the two square roots of one mean: an orthogonal one.
        turn = power(geometric_mean(w @ c[:, band] @ w.T), -0.5) @ w @ power(geometric_mean(c[:, band]), 0.5)
        np.testing.assert_allclose(turn @ turn.T, np.eye(N_CHANS), atol=1e-6)
        np.testing.assert_allclose(other[:, band], turn @ one[:, band] @ turn.T, atol=1e-4)
    distances = [
        np.linalg.norm(tangent(each)[:, None] - tangent(each)[None], axis=2) for each in (one, other)
    ]
    assert distances[0].max() > 1
    np.testing.assert_allclose(*distances, atol=1e-3)


def test_the_mean_of_each_band_becomes_the_identity():
    rng = np.random.default_rng(2)
    x, _ = person(rng, gains_of(rng))
    c = np.concatenate([covariances(x), 5 * covariances(np.roll(x, 1, axis=1))], axis=1)
    counted = np.arange(N_ROWS) < 40
    found = matrices_of(riemannian(columns_of(c), counted, bands=BANDS), 2)
    expected = np.broadcast_to(np.eye(N_CHANS), (2, N_CHANS, N_CHANS))
    np.testing.assert_allclose(geometric_mean(found[counted]), expected, atol=1e-4)
    assert np.abs(geometric_mean(found) - expected).max() > 1e-3


def test_aligned_epochs_have_the_regularised_covariance_and_no_gain():
    rng = np.random.default_rng(3)
    x, _ = person(rng, gains_of(rng))
    mean = np.mean([row @ row.T / N_TIMES for row in x.astype(float)], axis=0)
    values, vectors = np.linalg.eigh(mean)
    expected = (vectors * (values / ((1 - SHRINKAGE) * values + SHRINKAGE * values.mean()))) @ vectors.T
    found = euclidean(x, every(N_ROWS))
    assert found.dtype == np.float32
    np.testing.assert_allclose(
        np.mean([row @ row.T / N_TIMES for row in found.astype(float)], axis=0), expected, atol=1e-4
    )
    np.testing.assert_allclose(euclidean(x * np.float32(50), every(N_ROWS)), found, rtol=1e-3, atol=1e-4)


def test_what_an_average_reference_leaves_of_the_mean_is_not_amplified():
    rng = np.random.default_rng(4)
    x, _ = person(rng, gains_of(rng))
    referenced = x - x.mean(axis=1, keepdims=True)
    found = euclidean(referenced, every(N_ROWS))
    assert np.abs(found.sum(axis=1)).max() < 1e-3 * found.std()
    c = covariances(referenced.astype(float))
    assert np.abs(riemannian(columns_of(c), every(N_ROWS), bands=[[8, 13]])).max() < 100


def test_hostile_covariances_have_finite_results():
    rng = np.random.default_rng(5)
    values = rng.normal(size=(12, 2 * N_CHANS * (N_CHANS + 1) // 2)).astype(np.float32)
    for odd in (values, values * 0, values * 1e12, values * np.geomspace(1e-9, 1e9, 12)[:, None]):
        assert np.isfinite(riemannian(odd, every(12), bands=BANDS)).all()
    assert np.isfinite(euclidean(np.zeros((3, 4, 50), np.float32), every(3))).all()


def test_people_are_aligned_by_their_own_rows_and_not_by_copies(people):
    x = np.concatenate([people[0][0], people[0][1]])
    groups = np.repeat(["a", "b"], N_ROWS)
    normalize = normalization_of("eeg-epochs", "subject", {})
    found = normalize(x, groups)
    for name, own in zip("ab", people[0][:2], strict=True):
        assert np.array_equal(found[groups == name], euclidean(own, every(N_ROWS)))
    copies = np.arange(2 * N_ROWS) % 2 == 1
    loud = np.where(copies[:, None, None], 1000 * x, x)
    of_copies = normalize(loud, groups, copies=copies)
    without = normalize(x[~copies], groups[~copies])
    assert np.array_equal(of_copies[~copies], without)
    assert np.abs(of_copies[copies]).max() > 10 * np.abs(without).max()
    only = normalize(x, groups, copies=groups == "a")  # a person of whom there are only copies
    assert np.array_equal(only, found)


@pytest.mark.parametrize("name", registry.names("features"))
def test_each_set_of_eeg_has_an_alignment_and_others_name_speaker(name):
    entry = registry.get("features", name)
    settings = {key: each.default for key, each in entry.settings.items()}
    if entry.facts["modality"] == "eeg":
        assert normalization_of(name, "subject", settings).meta
        return
    with pytest.raises(UsageError, match="speaker"):
        normalization_of(name, "subject", settings)


def test_bands_are_standardised_by_subject_as_by_speaker():
    x, groups = np.random.default_rng(6).normal(3, 2, (20, 4)), np.repeat(["a", "b"], 10)
    found = normalization_of("eeg-bands", "subject", {})
    assert np.array_equal(found(x, groups), standardize_by_group(x, groups))
    assert found.meta == normalization_of("eeg-bands", "speaker", {}).meta


@pytest.mark.parametrize("by", ["speaker", "dataset"])
def test_columns_of_matrices_are_not_standardised_one_by_one(by):
    with pytest.raises(UsageError, match="subject"):
        normalization_of("eeg-cov", by, {})
    assert normalization_of("eeg-epochs", by, {}).meta == {"axis": 0, "padding": None}

"""The shared cause of the twin: places on the plane of affect, shown by each modality in its own way."""

from itertools import combinations

import numpy as np
import pytest

from eavctl.datasets.affect import coordinates
from eavctl.datasets.eav import EMOTIONS
from eavctl.synthetic import twin_effects, twin_trials

TRIALS, PEOPLE = 990, range(1, 13)


def settings(strength: float | None = 1.0, **others) -> twin_trials.Settings:
    shared = {} if strength is None else {"latent": "circumplex", "latent_strength": strength}
    return twin_trials.Settings(TRIALS, 1.0, 3, 1.0, **shared, **others)


def effects(modality: str, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Effect of many trials, (trials, 5), and their classes."""
    made, number = settings(strength), twin_trials.MODALITIES.index(modality)
    shown = [made.shown(subject)[:, number] for subject in PEOPLE]
    places = [made.places(subject)[:, number] for subject in PEOPLE]
    parts = [twin_effects.mixed(modality, *each, strength) for each in zip(shown, places, strict=True)]
    return np.concatenate(parts), np.concatenate(shown)


def within_classes(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Deviations from the mean of the class."""
    means = np.stack([values[labels == c].mean(axis=0) for c in range(len(EMOTIONS))])
    return values - means[labels]


def explained(one: np.ndarray, other: np.ndarray) -> float:
    """Share of the variance of ``other`` that a linear map of ``one`` explains, both centred."""
    fitted = one @ np.linalg.lstsq(one, other, rcond=None)[0]
    return float((fitted**2).sum() / (other**2).sum())


@pytest.mark.parametrize("modality", twin_trials.MODALITIES)
@pytest.mark.parametrize("strength", [0.0, 0.3, 0.5, 1.0])
def test_the_effect_deviates_equally_whatever_the_strength(modality, strength):
    values, labels = effects(modality, strength)
    weights = 1 / np.bincount(labels)[labels] / len(EMOTIONS)
    mean = weights @ values
    assert np.abs(mean).max() < 0.02
    np.testing.assert_allclose(np.sqrt(weights @ (values - mean) ** 2), 1, atol=0.02)


@pytest.mark.parametrize("modality", twin_trials.MODALITIES)
def test_the_strength_moves_the_means_of_classes_from_their_own_profiles_to_the_map(modality):
    own = twin_effects.profiles(modality)
    at_places = twin_effects.caused(modality, coordinates(EMOTIONS))
    for strength, expected, room in (
        (0.0, own, 1e-9),
        (1.0, at_places, 0.25),
    ):  # the map bends within a class
        values, labels = effects(modality, strength)
        means = np.stack([values[labels == c].mean(axis=0) for c in range(len(EMOTIONS))])
        assert np.abs(means - expected).max() < room
    spread = [np.mean(within_classes(*effects(modality, s)) ** 2) for s in (0.0, 0.3, 0.6, 1.0)]
    assert spread[0] < 1e-20
    assert (np.diff(spread) > 0).all()


def test_modalities_agree_beyond_the_class_only_with_a_shared_cause():
    for one, other in combinations(twin_trials.MODALITIES, 2):
        shares = {}
        for strength in (1.0, None):
            made, pairs = settings(strength), []
            for subject in PEOPLE:
                numbers = [twin_trials.MODALITIES.index(name) for name in (one, other)]
                both = made.informative(subject)[:, numbers].all(axis=1)
                pair = [made.courses(subject, name)[both] for name in (one, other)]
                pairs.append([within_classes(each, made.labels[both]) for each in pair])
            shares[strength] = explained(*(np.concatenate(each) for each in zip(*pairs, strict=True)))
        assert shares[1.0] > 0.04
        assert shares[None] < 0.01


@pytest.mark.parametrize("modality", twin_trials.MODALITIES)
def test_maps_are_smooth_and_not_linear(modality):
    line = np.linspace(-1, 1, 201)
    for places in (np.stack([line, 0 * line], 1), np.stack([0 * line, line], 1)):
        steps = np.diff(twin_effects.caused(modality, places), axis=0)
        bends = np.diff(steps, axis=0)
        assert np.abs(bends).max() < 0.05 * np.abs(steps).max()
    grid = np.stack(np.meshgrid(line[::10], line[::10]), -1).reshape(-1, 2)
    shown = twin_effects.caused(modality, grid)
    shown -= shown.mean(axis=0)
    assert 0.5 < explained(grid, shown) < 0.98  # linear at heart, and bent


def test_maps_differ_by_modality_and_not_by_seed():
    grid = np.random.default_rng(0).uniform(-1, 1, (500, 2))
    for one, other in combinations(twin_trials.MODALITIES, 2):
        apart = twin_effects.caused(one, grid)[:, :, None] - twin_effects.caused(other, grid)[:, None]
        assert np.sqrt((apart**2).mean(axis=0)).min() > 0.05  # no two latent variables follow the same map
    assert not np.allclose(settings().places(1), settings().places(2))


@pytest.mark.parametrize("modality", twin_trials.MODALITIES)
def test_without_the_cause_or_at_strength_0_latent_variables_are_the_same(modality):
    before = settings(None).courses(2, modality)
    np.testing.assert_array_equal(settings(0.0).courses(2, modality), before)
    assert not np.allclose(settings(0.5).courses(2, modality), before)
    assert "latent" not in settings(None).facts
    assert settings(0.5).facts["latent_strength"] == 0.5


def test_one_draw_for_all_modalities_and_with_interaction_around_the_class_that_each_shows():
    alone, together = settings(), settings(interaction=True)
    places = alone.places(1)
    np.testing.assert_array_equal(places, np.repeat(places[:, :1], 3, axis=1))
    moved = places[:, 0] - coordinates(EMOTIONS)[alone.labels]
    assert np.abs(moved.mean(axis=0)).max() < 0.03
    np.testing.assert_allclose(moved.std(axis=0), twin_effects.SPREAD, rtol=0.1)
    centres = coordinates(EMOTIONS)[together.shown(1)]
    np.testing.assert_allclose(together.places(1) - centres, np.repeat(moved[:, None], 3, axis=1))

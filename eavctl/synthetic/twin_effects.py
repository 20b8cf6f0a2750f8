"""Effect of a trial's class on the latent variables of each modality: by itself, or through a shared cause.

By itself, each modality has a profile of each class, independent of the profiles of the others. The shared
cause is a place on the plane of affect (valence and arousal), which all modalities of a trial show, each by a
map of its own: a latent variable grows with the place along one direction of the plane, and saturates. So the
modalities agree on which classes are alike, and one tells where another has a class.
"""

from __future__ import annotations

import numpy as np

from eavctl.datasets.affect import coordinates
from eavctl.datasets.eav import EMOTIONS

CAUSES = ("circumplex",)
SPREAD = 0.2  # deviation of a trial's valence and arousal around its class's
SLOPE = 1.5  # of the maps, in 1 / units of the plane, where they are steepest
NODES = 8  # of the quadrature over the places of a class, in each direction

# Profile of each class by itself; centred and scaled by `profiles`. Rows as `EMOTIONS`.
MANNERS = {
    # frontal asymmetry, frontal theta, temporal asymmetry, posterior alpha, central gamma: `twin_eeg.trial`
    "eeg": ((0.2, -1.2, 1.0, -0.3, -1.2), (-1.5, 0.8, -1.1, 0.5, -0.4), (-0.3, 1.1, 1.2, -0.9, 1.1),
            (1.4, 0.4, -0.9, -1.1, 0.9), (0.2, -1.1, -0.3, 1.6, -0.4)),
    # level and range of pitch, rate, loudness, brightness: `twin_voice.speech`
    "audio": ((0.0, -1.3, 0.9, 0.3, -0.9), (-0.7, 0.2, -1.5, -1.1, -0.6), (-0.1, 0.7, 0.9, 1.5, 1.5),
              (1.6, 1.4, 0.2, 0.2, -0.4), (-0.8, -0.8, -0.5, -1.0, 1.0)),
    # smile, opening of the mouth, height of the brows, frown, opening of the eyes: `twin_face.film`
    "video": ((0.0, -1.0, -0.3, 0.1, 1.2), (-1.4, -0.3, 0.8, -1.2, -0.8), (-0.7, 0.8, -1.4, 1.5, 0.3),
              (1.5, 1.2, 0.7, 0.0, 0.2), (0.6, -0.7, 0.2, -0.4, -1.3)),
}  # fmt: skip

# The map of the shared cause: for each latent variable, in the order of `MANNERS`, the direction in which it
# grows, in degrees (0 valence, 90 arousal), and how far from the centre in that direction it is steepest.
MAPS = {
    "eeg": ((10, 0.2), (60, -0.3), (155, 0.1), (260, 0.1), (105, -0.1)),
    "audio": ((75, -0.1), (40, 0.0), (110, -0.4), (90, 0.1), (140, -0.2)),
    "video": ((0, 0.1), (50, -0.2), (80, -0.4), (170, 0.2), (120, 0.0)),
}


def profiles(modality: str) -> np.ndarray:
    """Effect of each class by itself, (n_classes, 5), with mean 0 and RMS 1 over classes."""
    manners = np.array(MANNERS[modality])
    manners -= manners.mean(axis=0)
    return np.asarray(manners / np.sqrt((manners**2).mean(axis=0)))


def drawn_places(shown: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Valence and arousal that each modality of each trial shows, (trials, n_modalities, 2).

    One draw a trial moves its places by the same step, so that modalities that show the same class show the
    same place.

    Parameters
    ----------
    shown : index in `EMOTIONS` of the class that each modality shows, (trials, n_modalities).
    """
    step = rng.normal(0, SPREAD, (len(shown), 1, 2))
    return np.asarray(coordinates(EMOTIONS)[shown] + step)


def caused(modality: str, places: np.ndarray) -> np.ndarray:
    """Effect of places on the plane of affect, (..., 5), with mean 0 and RMS 1 over classes and draws.

    Parameters
    ----------
    places : valence and arousal, (..., 2).
    """
    grid, weights = _places_of_classes()
    responses = _responses(modality, grid)
    mean = weights @ responses.mean(axis=0)
    deviation = np.sqrt(weights @ ((responses - mean) ** 2).mean(axis=0))
    return np.asarray((_responses(modality, places) - mean) / deviation)


def mixed(modality: str, shown: np.ndarray, places: np.ndarray, strength: float) -> np.ndarray:
    """Effect on each trial of the shared cause and of the class by itself, (trials, 5).

    Parameters
    ----------
    shown : index in `EMOTIONS` of the class of each trial, (trials,).
    places : valence and arousal of each trial, (trials, 2).
    strength : share of the shared cause in the variance, from 0 to 1.

    Returns
    -------
    Whatever the strength, the RMS over classes and draws is 1 in each latent variable: the sum is divided by
    its own, since five classes are too few for the two parts to be uncorrelated.
    """
    of_cause, of_class = np.sqrt(strength), np.sqrt(1 - strength)
    grid, weights = _places_of_classes()
    own = profiles(modality)
    together = np.mean(np.tensordot(caused(modality, grid), weights, (1, 0)) * own, axis=0)
    total = of_cause * caused(modality, places) + of_class * own[shown]
    return np.asarray(total / np.sqrt(1 + 2 * of_cause * of_class * together))


def _responses(modality: str, places: np.ndarray) -> np.ndarray:
    """Each latent variable's hyperbolic tangent of the place along its direction, (..., 5)."""
    degrees, steepest = np.array(MAPS[modality]).T
    angles = np.deg2rad(degrees)
    return np.asarray(np.tanh(SLOPE * (places @ np.stack([np.cos(angles), np.sin(angles)]) - steepest)))


def _places_of_classes() -> tuple[np.ndarray, np.ndarray]:
    """Places that the trials of each class take, (n_classes, n_nodes, 2), and the weight of each node."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    steps = SPREAD * np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    each = np.outer(weights, weights).ravel()
    return coordinates(EMOTIONS)[:, None] + steps, each / each.sum()

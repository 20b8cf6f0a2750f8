"""What the trials of the twin of EAV show: their classes, and the latent variables of each modality."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from eavctl.datasets.eav import EMOTIONS, TASKS
from eavctl.synthetic import twin_effects

RECIPE = 1  # increases when the same settings give other files
MODALITIES = ("eeg", "audio", "video")
BLOCKS = "AACCSSHACHHSSAACCHHS"  # after neutral; letters are initials of emotions
LETTERS_A_CLASS = 5
PREFERRED = (0, 2, 4, 1, 3)  # order in which the blocks of a class get trials: the most distant first
STEP = len(TASKS) * len(EMOTIONS)
INFORMATIVE = 0.68  # probability that a modality carries class information in a trial
STRENGTH = 1.5  # deviation between classes at snr 1; that between trials of a class is 1
PERSON, REACTION, DRIFT = 0.8, 0.5, 0.5  # deviation between people, of their reactions, and over a session
LARGEST = 4.0  # absolute value of latent variables: voices and faces beyond it are impossible
OPPOSITES = (1, 2, 3, 4, 0)  # the face that contradicts the voice, by class; no class is its own opposite
CONTRADICTED = 0.5  # probability that face and voice contradict each other, with interaction


@dataclass(frozen=True)
class Settings:
    """The settings on which the bytes of the files depend, besides subject and trial."""

    trials: int
    snr: float
    seed: int
    seconds: float
    recipe: int = RECIPE
    interaction: bool = False
    latent: str | None = None
    latent_strength: float = 1.0

    @property
    def facts(self) -> dict[str, Any]:
        """The settings for ``TWIN.json``, without those of a later version that are not used."""
        unused = set() if self.interaction else {"interaction"}
        unused |= set() if self.latent else {"latent", "latent_strength"}
        return {name: value for name, value in asdict(self).items() if name not in unused}

    @cached_property
    def labels(self) -> np.ndarray:
        """Index in `EMOTIONS` of each trial, the same for all subjects, shape (trials,)."""
        return sequence(self.trials)

    def rng(self, subject: int, *what: int) -> np.random.Generator:
        """Generator for one purpose and subject, independent of all other draws."""
        return np.random.default_rng([self.seed, subject, *what])

    def informative(self, subject: int) -> np.ndarray:
        """Whether each modality carries class information, bool, (trials, 3); Listening has no audio."""
        rng = self.rng(subject, len(MODALITIES))
        informative = rng.random((self.trials, len(MODALITIES))) < INFORMATIVE
        silent = np.arange(self.trials) % len(TASKS) == 0
        instead = np.where(silent, rng.choice((0, 2), self.trials), rng.integers(3, size=self.trials))
        recorded = informative & ~(silent[:, None] & (np.arange(3) == MODALITIES.index("audio")))
        without = np.flatnonzero(~recorded.any(axis=1))
        informative[without, instead[without]] = True
        if self.interaction:
            informative[np.ix_(~silent, self._together)] = True
        return informative

    @property
    def _together(self) -> list[int]:
        """The modalities that show a class together, in `MODALITIES`."""
        return [MODALITIES.index(name) for name in ("audio", "video")]

    def shown(self, subject: int) -> np.ndarray:
        """Index in `EMOTIONS` of the class that each modality shows in each trial, (trials, 3)."""
        shown = np.repeat(self.labels[:, None], len(MODALITIES), axis=1)
        if not self.interaction:
            return shown
        rng = self.rng(subject, len(MODALITIES), 1)
        contradict = rng.random(self.trials) < CONTRADICTED
        contradict &= np.arange(self.trials) % len(TASKS) == TASKS.index("speaking")
        face = np.where(contradict, np.array(OPPOSITES)[self.labels], self.labels)
        other = (face + rng.integers(1, len(EMOTIONS), self.trials)) % len(EMOTIONS)
        shown[:, self._together] = np.stack([np.where(contradict, other, self.labels), face], axis=1)
        return shown

    def places(self, subject: int) -> np.ndarray:
        """Valence and arousal that each modality shows in each trial, (trials, 3, 2)."""
        return twin_effects.drawn_places(self.shown(subject), self.rng(subject, len(MODALITIES), 2))

    def courses(self, subject: int, modality: str) -> np.ndarray:
        """The five latent variables of each trial, (trials, 5), in deviations between trials of a class."""
        number = MODALITIES.index(modality)
        rng = self.rng(subject, number)
        profiles, shown = twin_effects.profiles(modality), self.shown(subject)
        reactions = rng.normal(0, REACTION, profiles.shape)
        person = rng.normal(0, PERSON, profiles.shape[1])
        chance = rng.normal(0, 1, (self.trials, profiles.shape[1]))
        drift = DRIFT * drifts(self.trials, profiles.shape[1], rng) if modality == "eeg" else 0
        effect = profiles[shown[:, number]]
        if self.latent:
            places = self.places(subject)[:, number]
            effect = twin_effects.mixed(modality, shown[:, number], places, self.latent_strength)
        effect = self.informative(subject)[:, number, None] * (effect + reactions[shown[:, number]])
        return np.asarray(np.clip(self.snr * STRENGTH * effect + person + chance + drift, -LARGEST, LARGEST))


def sequence(trials: int) -> np.ndarray:
    """Emotion of each trial, as an index in `EMOTIONS`: neutral first, then blocks of one class.

    With 200 trials, a block has 4 Listening and 4 Speaking trials, and each class has 40 trials.

    Parameters
    ----------
    trials : number of trials, a multiple of 10; below 100, some blocks are left out, first those next to a
        block of the same class.
    """
    pairs = trials // STEP
    initials = "".join(name[0] for name in EMOTIONS)
    seen = dict.fromkeys(BLOCKS, 0)
    order = [0] * pairs
    for letter in BLOCKS:
        share, rest = divmod(pairs, LETTERS_A_CLASS)
        order += [initials.index(letter)] * (share + (PREFERRED.index(seen[letter]) < rest))
        seen[letter] += 1
    return np.repeat(order, len(TASKS))


def drifts(trials: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Slow drifts over a session, (trials, count), of variance 1: sums of four sines of 0.5 to 3 cycles."""
    cycles = rng.uniform(0.5, 3, (4, count))
    phase = rng.uniform(0, 2 * np.pi, (4, count))
    time = np.arange(trials)[:, None, None] / trials
    return np.asarray(np.sin(2 * np.pi * cycles * time + phase).sum(axis=1) / np.sqrt(2))

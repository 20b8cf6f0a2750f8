"""Valence and arousal of emotions, by the names of classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Degrees on the circle: 0 pleasure, 90 arousal, 180 displeasure, 270 sleepiness [1]_; disgust from [2]_.
_ANGLES = {
    "happy": 7.8,
    "delighted": 24.9,
    "excited": 48.6,
    "astonished": 69.8,
    "angry": 99.0,
    "afraid": 116.0,
    "annoyed": 123.0,
    "frustrated": 141.0,
    "disgusted": 149.7,
    "sad": 207.5,
    "bored": 242.0,
    "tired": 267.7,
    "calm": 316.2,
    "relaxed": 318.0,
    "content": 323.0,
}
_CENTRE = "neutral"
_SYNONYMS = {
    "neutral": ("neutrality",),
    "happy": ("happiness", "joy", "joyful"),
    "excited": ("excitement",),
    "astonished": ("surprise", "surprised"),
    "angry": ("anger",),
    "afraid": ("fear", "fearful"),
    "annoyed": ("annoyance",),
    "frustrated": ("frustration",),
    "disgusted": ("disgust",),
    "sad": ("sadness",),
    "bored": ("boredom",),
    "tired": ("tiredness",),
    "calm": ("calmness",),
    "relaxed": ("relaxation",),
    "content": ("contentment",),
}
_ABBREVIATED = ("ang", "hap", "sad", "neu", "fea", "dis", "sur", "exc", "fru", "bor", "cal")
_WORD = {other: word for word, others in _SYNONYMS.items() for other in others}


def is_emotion(name: str) -> bool:
    """Whether a name is a word for an emotion, in any case, or its first three letters, as in ``ANG``."""
    word = name.strip().lower()
    return word == _CENTRE or word in _ANGLES or word in _WORD or word in _ABBREVIATED


def coordinates(classes: Sequence[str]) -> np.ndarray:
    """Valence and arousal of classes, by their names in any case.

    An emotion lies on the unit circle at the angle of its word in Russell's direct circular scaling [1]_.
    Surprise has the angle of astonishment. Two classes are not among Russell's words: neutral lies at the
    centre, and disgust in the direction of its pleasure (-0.60) and arousal (0.35) in [2]_.

    Parameters
    ----------
    classes : names of the classes.

    Returns
    -------
    float64, shape (n_classes, 2), valence first; NaN for an unknown name.

    References
    ----------
    .. [1] Russell: A circumplex model of affect, J. Pers. Soc. Psychol. 39, 1980: figure 2.
    .. [2] Russell, Mehrabian: Evidence for a three-factor theory of emotions, J. Res. Pers. 11, 1977.
    """
    return np.array([_coordinates(name) for name in classes], dtype=np.float64).reshape(-1, 2)


def _coordinates(name: str) -> tuple[float, float]:
    word = name.strip().lower()
    word = _WORD.get(word, word)
    if word == _CENTRE:
        return 0.0, 0.0
    angle = np.deg2rad(_ANGLES.get(word, np.nan))
    return float(np.cos(angle)), float(np.sin(angle))

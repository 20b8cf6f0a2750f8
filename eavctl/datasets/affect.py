"""Valence and arousal of emotions, by the names of classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Means of valence and of arousal by all raters, from 1 to 9, of the words in [1]_.
_RATINGS = {
    "neutral": (5.50, 3.45),
    "happy": (8.47, 6.05),
    "delighted": (7.74, 5.00),
    "excited": (8.11, 6.43),
    "surprised": (6.57, 5.95),
    "astonished": (6.42, 5.73),
    "angry": (2.53, 6.20),
    "afraid": (2.25, 5.12),
    "annoyed": (2.80, 5.29),
    "frustrated": (2.55, 5.40),
    "disgusted": (2.68, 4.89),
    "sad": (2.10, 3.49),
    "bored": (2.95, 3.65),
    "tired": (4.29, 3.67),
    "calm": (6.89, 1.67),
    "relaxed": (7.25, 2.49),
    "content": (6.70, 3.17),
}
_MIDDLE, _HALF = 5.0, 4.0  # of the scale from 1 to 9
_SYNONYMS = {
    "neutral": ("neutrality",),
    "happy": ("happiness", "joy", "joyful"),
    "excited": ("excitement",),
    "surprised": ("surprise",),
    "astonished": ("astonishment",),
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
    return word in _RATINGS or word in _WORD or word in _ABBREVIATED


def coordinates(classes: Sequence[str]) -> np.ndarray:
    """Valence and arousal of classes, by their names in any case.

    Each is the mean rating [1]_ of the adjective that names the state (angry for anger, afraid for fear),
    shifted and scaled from 1 to 9 to -1 to 1. The middle of the scale is not rest: raters placed the word
    neutral at low arousal, and it keeps that place.

    Parameters
    ----------
    classes : names of the classes.

    Returns
    -------
    float64, shape (n_classes, 2), valence first; NaN for an unknown name.

    References
    ----------
    .. [1] Warriner, Kuperman, Brysbaert: Norms of valence, arousal, and dominance for 13,915 English lemmas,
       Behavior Research Methods 45, 2013: supplementary table, columns V.Mean.Sum and A.Mean.Sum.
    """
    unknown = (np.nan, np.nan)
    words = [name.strip().lower() for name in classes]
    ratings = [_RATINGS.get(_WORD.get(word, word), unknown) for word in words]
    return (np.array(ratings, dtype=np.float64).reshape(-1, 2) - _MIDDLE) / _HALF

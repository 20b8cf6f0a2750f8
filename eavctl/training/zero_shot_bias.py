"""The bias of zero-shot recognition to seen classes, measured and corrected on training rows only.

A row of a class without training rows tends to be given to a seen class, to which training has drawn rows.
Calibrated stacking [1]_ takes a constant from the scores of the seen classes. To find it, each seen class
is held out too, on a part of the training people, and rows of the people left out are classified: the
constant is the one with the highest harmonic mean of the recalls of the seen classes and of the pretended
unseen one.

References
----------
.. [1] Chao, Changpinyo, Gong, Sha: An empirical study and analysis of generalized zero-shot learning for
   object recognition in the wild, ECCV 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eavctl.classifiers.rows import Rows
from eavctl.evaluation.zero_shot import harmonic_mean

FEWEST_CLASSES = 4  # two are left to train on, where one is held out and one pretended
LEFT_OUT = 3  # one person in so many is left out to find the constant
CONSTANTS = np.linspace(-5, 5, 401)  # in units of log-probabilities
SMALLEST = 1e-12  # probability, before the logarithm


@dataclass(frozen=True)
class Answers:
    """Answers to rows of people left out, of a fit without the held-out class and without another one.

    Parameters
    ----------
    log_proba : float64, shape (n_rows, n_classes - 1), of all classes but the held-out one.
    y : numbers of these classes, shape (n_rows,); the held-out class has no rows here.
    pretended : number of the other class.
    """

    log_proba: np.ndarray
    y: np.ndarray
    pretended: int


def divided(rows: Rows) -> tuple[Rows, Rows] | None:
    """Training rows of most people, and own rows of the others; None where a class is missing in a part.

    Where there are fewer than two people, clips are divided.
    """
    names = rows.speakers
    if names is None or len(np.unique(names)) < 2:
        names = rows.units if rows.units is not None else np.arange(len(rows))
    numbers = np.unique(names, return_inverse=True)[1]
    left_out = numbers % LEFT_OUT == 0
    copies = np.zeros(len(rows), bool) if rows.copies is None else rows.copies
    parts = (np.flatnonzero(~left_out), np.flatnonzero(left_out & ~copies))
    present = set(rows.y.tolist())
    if any(set(rows.y[part].tolist()) != present for part in parts):
        return None
    return rows.taking(parts[0]), rows.taking(parts[1])


def corrected(proba: np.ndarray, held_out: int, constant: float) -> np.ndarray:
    """Probabilities after the constant was taken from the log-probabilities of all classes but one."""
    factors = np.where(np.arange(proba.shape[1]) == held_out, 1.0, np.exp(-constant))
    weighed = proba * factors
    return np.asarray(weighed / weighed.sum(axis=1, keepdims=True))


def constant_of(rehearsed: Sequence[Answers]) -> float:
    """The constant with the highest harmonic mean, averaged over the pretended classes."""
    curves = []
    for answers in rehearsed:
        y, unseen = answers.y, answers.pretended
        seen = np.delete(np.arange(answers.log_proba.shape[1]), unseen)
        likeliest = seen[answers.log_proba[:, seen].argmax(axis=1)]
        margin = answers.log_proba[:, seen].max(axis=1) - answers.log_proba[:, unseen]
        called = margin[:, None] < CONSTANTS  # given to the pretended class, (n_rows, n_constants)
        right = (likeliest == y)[:, None] & ~called
        recall = np.mean([right[y == number].mean(axis=0) for number in seen], axis=0)
        curves.append(harmonic_mean(recall, called[y == unseen].mean(axis=0)))
    mean = np.mean(curves, axis=0)
    return float(CONSTANTS[mean >= mean.max() - 1e-12].mean())

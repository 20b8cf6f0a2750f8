"""Fit a zero-shot classifier in a cross-validation: one class is held out of all training."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Streams
from eavctl.datasets.affect import coordinates
from eavctl.errors import DataError
from eavctl.evaluation.plan import Plan
from eavctl.fusion.networks.alignment import Aligned, AlignmentSettings, Note, align, class_means
from eavctl.fusion.networks.model import Design
from eavctl.training.cross_validation import Fit
from eavctl.training.zero_shot_bias import (
    FEWEST_CLASSES,
    SMALLEST,
    Answers,
    constant_of,
    corrected,
    divided,
)

Pair = frozenset[str]


class NearestCentroid:
    """Classifies a row of the query modality by the nearest centroid in a frozen space.

    Parameters
    ----------
    aligned : the space, and the networks that embed the query in it.
    centroids : float32 (n_classes, dim).
    classes : names, in the order of the centroids.
    held_out : the class without training rows.
    constant : what is taken from the log-probabilities of the others; None where it could not be found.
    pairs : classifiers of two classes, both without training rows, which were fitted beside this one.
    """

    def __init__(
        self,
        aligned: Aligned,
        centroids: np.ndarray,
        classes: Sequence[str],
        held_out: str,
        constant: float | None = None,
        pairs: Mapping[Pair, NearestCentroid] | None = None,
    ) -> None:
        self.aligned, self.centroids, self.classes_ = aligned, centroids, np.array(classes)
        self.held_out, self.constant, self.pairs = list(classes).index(held_out), constant, pairs or {}

    def uncorrected(self, x: Streams) -> np.ndarray:
        """Class probabilities before the bias to seen classes is corrected, float64 (n_rows, n_classes)."""
        return self.aligned.predict_proba(x.arrays[0], self.centroids)

    def predict_proba(self, x: Streams) -> np.ndarray:
        """Class probabilities, float64 (n_rows, n_classes), from the first stream alone."""
        return corrected(self.uncorrected(x), self.held_out, self.constant or 0.0)

    def decide(self, proba: np.ndarray) -> np.ndarray:
        """The likeliest class: shares of training rows say nothing of a class without any."""
        answers: np.ndarray = proba.argmax(axis=1)
        return answers


@dataclass(frozen=True)
class ZeroShotFitter:
    """Aligns the query to the space of the other modalities, without the rows of one class.

    Parameters
    ----------
    held_out : the class.
    design : of the network of the space, and of the query, which is the first stream.
    settings : of the trainings.
    answers : of the fits without two classes, by fold, held-out class and pretended class. Fitters of other
        classes can share it: a fit without two classes is the same for both.
    """

    held_out: str
    design: Design
    settings: AlignmentSettings
    answers: MutableMapping[tuple[str, str, str], Answers] = field(default_factory=dict, compare=False)

    def check(self, rows: Rows, plan: Plan) -> None:
        """See `eavctl.training.cross_validation.Fitter`; each fold needs training rows of the class."""
        for split in plan.folds:
            if self.held_out not in set(rows.labels[split.train]):
                raise DataError(
                    f"fold {split.fold} has no training row of the class {self.held_out!r}, so it has no "
                    "centroid in the space; use other --folds or another --protocol"
                )

    def fit(self, rows: Rows, fit: Fit) -> NearestCentroid:
        """See `eavctl.training.cross_validation.Fitter`."""
        aligned = fit_without(rows, [self.held_out], self.design, self.settings, fit.note)
        classes = [name for name in rows.classes if name in set(rows.labels)]
        centroids = centroids_of(aligned, rows, classes)
        parts = divided(rows) if len(classes) >= FEWEST_CLASSES else None
        if parts is None:
            return NearestCentroid(aligned, centroids, classes, self.held_out)
        others = [name for name in classes if name != self.held_out]
        pairs = {
            frozenset((self.held_out, other)): self._without(*parts, other, classes, fit)
            for other in others
            if (fit.name, self.held_out, other) not in self.answers
        }
        constant = constant_of([self.answers[fit.name, self.held_out, other] for other in others])
        return NearestCentroid(aligned, centroids, classes, self.held_out, constant, pairs)

    def _without(
        self, train: Rows, left_out: Rows, other: str, classes: Sequence[str], fit: Fit
    ) -> NearestCentroid:
        """Fit without two classes on a part of the training people; keep the answers to the others' rows.

        Neither the rows nor the centroid of a held-out class take part in the answers that are kept for it.
        """
        pair = sorted((self.held_out, other), key=classes.index)
        aligned = fit_without(train, pair, self.design, self.settings, fit.note)
        centroids = dict(zip(classes, centroids_of(aligned, train, classes), strict=True))
        for held_out, pretended in (pair, reversed(pair)):
            rest = [name for name in classes if name != held_out]
            rows = left_out.taking(np.flatnonzero(left_out.labels != held_out))
            proba = aligned.predict_proba(rows.streams.arrays[0], np.stack([centroids[c] for c in rest]))
            self.answers[fit.name, held_out, pretended] = Answers(
                np.log(np.maximum(proba, SMALLEST)),
                np.array([rest.index(name) for name in rows.labels]),
                rest.index(pretended),
            )
        return NearestCentroid(aligned, np.stack([centroids[name] for name in pair]), pair, pair[0])


def fit_without(
    rows: Rows,
    held_out: Collection[str],
    design: Design,
    settings: AlignmentSettings,
    note: Note = lambda text: None,
) -> Aligned:
    """Align a query to a space on training rows, without those of some classes.

    Parameters
    ----------
    rows : training rows, ``x`` as `Streams`.
    held_out : the classes whose rows are left out.
    """
    kept = rows.taking(np.flatnonzero(~np.isin(rows.labels, list(held_out))))
    names = sorted(set(kept.labels))
    affect = dict(zip(names, coordinates(names), strict=True))
    return align(
        kept.streams,
        kept.labels,
        design,
        affect,
        settings,
        row_weights=kept.weights,
        groups=kept.speakers,
        units=kept.units,
        copies=kept.copies,
        note=note,
    )


def centroids_of(aligned: Aligned, rows: Rows, classes: Sequence[str]) -> np.ndarray:
    """Centroids of classes in a frozen space, from rows of the other modalities: float32 (n_classes, dim).

    Each centroid depends on the rows of its own class only.
    """
    centroids = []
    for name in classes:
        x = rows.streams[np.flatnonzero(rows.labels == name)]
        points = aligned.embed_space(Streams(x.arrays[1:], x.present[:, 1:]))
        centroids.append(class_means(points, np.zeros(len(points), int), 1)[0])
    return np.stack(centroids)

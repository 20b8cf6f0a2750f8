"""Fit a zero-shot classifier in a cross-validation: one class is held out of all training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Streams
from eavctl.datasets.affect import coordinates
from eavctl.errors import DataError
from eavctl.evaluation.plan import Plan
from eavctl.fusion.networks.alignment import Aligned, AlignmentSettings, Note, align, class_means
from eavctl.fusion.networks.model import Design
from eavctl.training.cross_validation import Fit


class NearestCentroid:
    """Classifies a row of the query modality by the nearest centroid in a frozen space.

    Parameters
    ----------
    aligned : the space, and the networks that embed the query in it.
    centroids : float32 (n_classes, dim).
    classes : names, in the order of the centroids.
    """

    def __init__(self, aligned: Aligned, centroids: np.ndarray, classes: Sequence[str]) -> None:
        self.aligned, self.centroids, self.classes_ = aligned, centroids, np.array(classes)

    def predict_proba(self, x: Streams) -> np.ndarray:
        """Class probabilities, float64 (n_rows, n_classes), from the first stream alone."""
        return self.aligned.predict_proba(x.arrays[0], self.centroids)

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
    """

    held_out: str
    design: Design
    settings: AlignmentSettings

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
        aligned = fit_without(rows, self.held_out, self.design, self.settings, fit.note)
        classes = [name for name in rows.classes if name in set(rows.labels)]
        return NearestCentroid(aligned, centroids_of(aligned, rows, classes), classes)


def fit_without(
    rows: Rows, held_out: str, design: Design, settings: AlignmentSettings, note: Note = lambda text: None
) -> Aligned:
    """Align a query to a space on training rows, without those of one class.

    Parameters
    ----------
    rows : training rows, ``x`` as `Streams`.
    held_out : the class whose rows are left out.
    """
    kept = rows.taking(np.flatnonzero(rows.labels != held_out))
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

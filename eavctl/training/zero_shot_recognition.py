"""Hold classes out in turn, fold by fold: what was answered before and after the correction of the bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from eavctl.classifiers.rows import Rows
from eavctl.evaluation.plan import Plan
from eavctl.fusion.networks.alignment import AlignmentSettings
from eavctl.fusion.networks.model import Design
from eavctl.progress import Tick, silent
from eavctl.storage.tables import PredictionTable
from eavctl.training.cross_validation import FoldResult, cross_validate
from eavctl.training.fit_warnings import FitWarnings
from eavctl.training.zero_shot_bias import Answers
from eavctl.training.zero_shot_fitter import ZeroShotFitter


@dataclass
class Recognition:
    """Answers to the test rows, with each class held out.

    Parameters
    ----------
    predictions : of each held-out class, the rows as predicted without it, corrected.
    uncorrected : of each held-out class, class numbers before the correction, shape (n_tested,).
    constants : of each held-out class, the constant of each fold; empty where none could be found.
    pair_rows, pair_answers : numbers of the test rows of two classes that were held out together, and the
        number of the class of the two that each was given to; one array a pair and fold.
    """

    predictions: dict[str, PredictionTable] = field(default_factory=dict)
    uncorrected: dict[str, np.ndarray] = field(default_factory=dict)
    constants: dict[str, list[float]] = field(default_factory=dict)
    pair_rows: list[np.ndarray] = field(default_factory=list)
    pair_answers: list[np.ndarray] = field(default_factory=list)


def recognize(
    rows: Rows,
    plan: Plan,
    held_out: Sequence[str],
    design: Design,
    settings: AlignmentSettings,
    *,
    collected: FitWarnings | None = None,
    on_fold: Tick = silent,
) -> Recognition:
    """Predict every fold's test rows once for each held-out class.

    Parameters
    ----------
    rows, plan : the rows and their folds.
    held_out : names of classes.
    design, settings : as in `ZeroShotFitter`.
    collected : gathers the warnings of fits.
    on_fold : called with the number of folds done, of all classes, and a note on the next.
    """
    found, answers, n_folds = Recognition(), dict[tuple[str, str, str], Answers](), len(plan.folds)
    for number, name in enumerate(held_out):
        before = np.full(len(rows), -1)
        constants: list[float] = []

        def tick(done: int, _: int, note: str, number: int = number, name: str = name) -> None:
            words = f"{note.rstrip()}, without {name}" if note else ""
            on_fold(number * n_folds + done, len(held_out) * n_folds, words)

        def gather(fold: FoldResult, before: np.ndarray = before, constants: list[float] = constants) -> None:
            numbers = np.array([rows.classes.index(each) for each in fold.predictor.classes_])
            uncorrected = fold.predictor.uncorrected(fold.test.x)
            before[fold.split.test] = numbers[uncorrected.argmax(axis=1)]
            if fold.predictor.constant is not None:
                constants.append(fold.predictor.constant)
            for pair, classifier in fold.predictor.pairs.items():
                own = np.flatnonzero(np.isin(fold.test.labels, list(pair)))
                if len(own):
                    proba = classifier.predict_proba(fold.test.streams[own])
                    named = np.array([rows.classes.index(each) for each in classifier.classes_])
                    found.pair_rows.append(fold.split.test[own])
                    found.pair_answers.append(named[proba.argmax(axis=1)])

        warned = collected.suffixed(f"without {name}") if collected else None
        fitter = ZeroShotFitter(name, design, settings, answers)
        done = cross_validate(rows, fitter, plan, warnings=warned, on_fold=tick, callbacks=[gather])
        found.predictions[name] = done.predictions
        found.uncorrected[name] = before[before >= 0]
        found.constants[name] = constants
    return found
